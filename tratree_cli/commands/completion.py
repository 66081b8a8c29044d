"""What the shell completes behind options and arguments; imports nothing until it is asked."""

from __future__ import annotations

from collections.abc import Iterable

REPORT_FORMATS = ("terminal", "markdown", "latex", "csv", "results", "json", "html")
"""What ``report --format`` takes."""
TREE_FORMATS = ("terminal", "mermaid", "dot", "json", "html")
"""What ``show --format`` takes of trees."""


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def complete_environment(incomplete: str) -> list[str]:
    from tratree_cli.envs.registry import environment_names

    return _beginning(environment_names(), incomplete)


def complete_recipe(incomplete: str) -> list[str]:
    from tratree_cli.config import recipes

    return _beginning(recipes(), incomplete)


def complete_assignment(incomplete: str) -> list[str]:
    """The keys of ``--set``, up to the equals sign."""
    from tratree_cli.config import all_keys, keys_of_one_role

    keys = _beginning([*all_keys(), *keys_of_one_role()], incomplete)
    return [f"{key}=" for key in keys]


def complete_format(incomplete: str) -> list[str]:
    return _beginning(REPORT_FORMATS, incomplete)


def complete_export(incomplete: str) -> list[str]:
    from tratree_cli.formats.exporting import FORMATS

    return _beginning((*FORMATS, "inspect"), incomplete)


def complete_tree_format(incomplete: str) -> list[str]:
    return _beginning(TREE_FORMATS, incomplete)


def complete_import(incomplete: str) -> list[str]:
    from tratree_cli.formats.importing import FORMATS

    return _beginning(FORMATS, incomplete)


def complete_split(incomplete: str) -> list[str]:
    return _beginning(("train", "dev", "test", "seen", "unseen"), incomplete)


def complete_reference(incomplete: str) -> list[str]:
    """Names, ``kind@latest`` and the newest artifacts of the store that the environment names."""
    import os
    from pathlib import Path

    from tratree_cli.commands.project import default_store

    root = Path(os.environ.get("TRATREE_STORE") or default_store())
    if not root.is_dir():
        return []
    from tratree_store import Store

    store = Store(root)
    entries = list(store.entries(limit=200))
    known = [*store.names(), *(f"{kind}@latest" for kind in sorted({e.kind for e in entries}))]
    return _beginning([*known, *(f"{e.kind}:{e.object[:12]}" for e in entries)], incomplete)
