"""What ``--dry-run`` prints for people calls policies what tables call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import Folder


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def test_a_plan_names_policies_as_tables_do_and_records_as_they_are_stored(
    tratree: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # so that no state is wrapped
    plan = tratree("report", "--recipe", "micro", "--dry-run", "--verbose").out
    assert "depends on W2SG tree-DPO" in plan and "depends on SFT weak" in plan
    assert "strong model" not in plan and "SFT weak model" not in plan
    lines = list(tratree("report", "--recipe", "micro", "--dry-run", "--json").lines)
    assert "depends on strong model, tree-dpo" in {line["state"] for line in lines}


def test_a_plan_at_80_columns_has_a_line_a_stage_and_a_line_a_reason(
    tratree: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = tratree("report", "--recipe", "micro", "--dry-run").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    stages = len(list(tratree("report", "--recipe", "micro", "--dry-run", "--json").lines))
    assert [line.split("  ")[0] for line in lines[1 : stages + 1]][-1] == "report"
    plan = "\n".join(lines)
    assert "after trajectory trees" in plan and "depends on" not in plan
    assert "evaluation of expert +1: first time: no eval was made in this store before" in plan
