"""The registration of tables and figures: a file that no section lists would never be seen."""

from __future__ import annotations

from pathlib import Path

from tratree_cli import reporting
from tratree_cli.reporting.cost import TABLES
from tratree_cli.reporting.sections import SECTIONS

SHARED = {"tables.reward_cells"}
"""What tables have in common, and is none itself."""


def test_every_table_and_figure_stands_in_a_section_once() -> None:
    makers = [*(make for plan in SECTIONS for make in plan.makers), *TABLES]
    registered = [make.__module__.removeprefix("tratree_cli.reporting.") for make in makers]
    (room,) = reporting.__path__
    files = {
        f"{folder}.{path.stem}"
        for folder in ("tables", "figures")
        for path in (Path(room) / folder).glob("[!_]*.py")
    }
    assert set(registered) == files - SHARED
    assert len(registered) == len(set(registered))


def test_sections_have_keys_of_their_own() -> None:
    keys = [plan.key for plan in SECTIONS]
    assert len(keys) == len(set(keys))
