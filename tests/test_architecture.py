"""The rooms of the house depend on each other one way only (ARCHITECTURE.md), without circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = (ROOT / "tratree_cli", ROOT / "store" / "tratree_store")

LAYERS = (
    {"__main__"},
    {"app"},
    {"commands"},
    {"reporting", "publishing"},
    {"stages"},
    {"config"},
    {"methods", "pipeline"},
    {"agents", "training", "pretraining"},
    {"models", "evaluation", "display"},
    {"envs", "interop", "embedding"},
    {"formats"},
    {"trees"},
    {"registry", "resources", "processes", "startup", "sections"},
    {"settings", "threads"},
    {"errors", "__init__"},
)
"""From the top down; rooms of one line do not import each other, unless ``BESIDE`` allows it."""

BESIDE = {("interop", "envs")}
LIBRARY = "tratree_store"
"""The store: a library of its own, which knows nothing of tratree."""


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    named = {}
    for source in SOURCES:
        for path in source.rglob("*.py"):
            parts = path.relative_to(source.parent).with_suffix("").parts
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


MODULES = modules()


def imports_of(name: str) -> Iterator[str]:
    """The product's modules that ``name`` imports, inside functions and for typing as well."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in wanted:
            while target and target not in MODULES:
                target = target.rpartition(".")[0]
            if target and target != name:
                yield target


GRAPH = {name: sorted(set(imports_of(name))) for name in MODULES}


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def height(name: str) -> int:
    """The layer of a module, 0 the highest."""
    found = [number for number, rooms in enumerate(LAYERS) if room(name) in rooms]
    assert found, f"{name} belongs to no room: add its room to LAYERS and to ARCHITECTURE.md"
    return found[0]


def test_arrows_between_rooms_run_downwards() -> None:
    against = [
        f"{name} -> {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if name.startswith("tratree_cli") and target.startswith("tratree_cli.")
        if room(name) != room(target)
        if height(target) <= height(name) and (room(name), room(target)) not in BESIDE
    ]
    assert not against, "\n".join(against)


def test_the_store_and_the_trees_know_nothing_of_the_rest() -> None:
    for name, targets in GRAPH.items():
        if name.startswith(LIBRARY):
            assert all(target.startswith(LIBRARY) for target in targets), (name, targets)
        if name.startswith("tratree_cli.trees"):
            assert all(target.startswith("tratree_cli.trees") for target in targets), name


def circles() -> list[list[str]]:
    """Strongly connected modules (Tarjan), of more than one module each."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in GRAPH[name]:
            # A package's own ``__init__`` is imported with every module in it.
            if name.startswith(f"{target}."):
                continue
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1:
                found.append(members)

    for name in GRAPH:
        if name not in index:
            visit(name)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circles()


@pytest.mark.parametrize("name", ["tratree_cli.trees", LIBRARY])
def test_pure_rooms_import_no_model_library(name: str) -> None:
    heavy = {"torch", "transformers", "trl", "peft", "datasets", "sentence_transformers"}
    for module, path in MODULES.items():
        if module.startswith(name):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            roots = {
                alias.name.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import)
                for alias in node.names
            } | {
                (node.module or "").partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
            }
            assert not roots & heavy, module


PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def paths_of_the_page() -> list[str]:
    """Folders (``agents/local/``) and modules (``trees/build.py``) named in ARCHITECTURE.md."""
    quoted = re.findall(r"`([^`\s]+(?:/|\.py))`", PAGE)
    return [path for path in quoted if "NAME" not in path]


def test_every_path_that_the_architecture_page_names_exists() -> None:
    named = paths_of_the_page()
    assert len(named) > 40
    missing = [
        path
        for path in named
        if not (ROOT / path).exists() and not (ROOT / "tratree_cli" / path).exists()
    ]
    assert not missing


def test_the_architecture_page_names_every_room() -> None:
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "tratree_cli").iterdir()
        if path.name.isidentifier() or (path.suffix == ".py" and path.stem != "__init__")
    }
    rooms = {room for room in rooms if room != "__pycache__/"}
    named = {path.removeprefix("tratree_cli/") for path in paths_of_the_page()}
    assert not rooms - named
