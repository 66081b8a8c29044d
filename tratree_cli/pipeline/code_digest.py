"""The source code that ran: recorded with what it made, so that a silent change is noticed.

A stage is keyed by a version that its author declares, because a key over the code would throw
hours of work away for a renamed variable. What nobody declared is noticed here: the files that a
stage's body reaches are recorded with their digests, and a cached artifact that other code made is
warned of (``--strict-code`` makes it again).

"Reaches" is read from the text, without importing anything: the body's module and whatever it
imports of this package, inside functions too, and the environment that it plays in. Other stages'
modules are not followed, for they say what is made before and not how this is made; nor are the
modules that only carry parameters (which are keyed), errors and paths. Of a plug-in it is the file
that its record names; other code of other packages is known by the versions recorded beside.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import tratree_cli
from tratree_cli.pipeline.registry import ROOT, defines_stage

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.pipeline.graph import Node

PACKAGE = tratree_cli.__name__
PLUG_IN = "plug-in "
"""What stands before the name of a module of another package, in place of a file."""
#: Parameters, errors, paths and the graph itself: what they decide is in the key.
CARRIERS = frozenset(
    {
        "config.py",
        "errors.py",
        "pipeline/graph.py",
        "pipeline/parameters.py",
        "resources.py",
        "sections.py",
        "settings.py",
    }
)


def reachable_files(node: Node) -> dict[str, str]:
    """File (relative to the package) → sha256 of it, for all code that the node's stage reaches.

    Of another package (an environment, a trainer, a pair rule, a policy) it is the module alone.
    """
    modules = [node.stage.module, *node.modules]
    if node.environment is not None:
        from tratree_cli.envs.registry import find_plugin

        plugin = find_plugin(str(node.environment.get("name", "")))
        modules += [plugin.module] if plugin is not None else []
    reached = {f"{PLUG_IN}{module}" for module in modules if not _files_of(module)}
    todo = [file for module in modules for file in _files_of(module)]
    own = set(todo)
    while todo:
        file = todo.pop()
        if file in reached or file in CARRIERS or (file not in own and defines_stage(file)):
            continue
        reached.add(file)
        todo += _imported_by(file)
    return {file: _digest(file) for file in sorted(reached)}


def changed(entry: Entry) -> list[str]:
    """The recorded files that are not what they were when ``entry`` was made; none: unknown."""
    files: Mapping[str, str] = entry.provenance.get("code", {})
    return [file for file, digest in files.items() if _digest(file) != digest]


def code_mismatch(entry: Entry) -> str:
    """Why ``--strict-code`` does not accept an entry; empty where the same code made it."""
    if "code" not in entry.provenance:
        return "it is not recorded which source code made it"
    files = changed(entry)
    return f"source code changed: {join_names(files)}" if files else ""


def join_names(files: list[str]) -> str:
    """A few names for a sentence."""
    return ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")


@cache
def _digest(file: str) -> str:
    path = _plugin_file(file.removeprefix(PLUG_IN)) if file.startswith(PLUG_IN) else ROOT / file
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path is not None else "gone"
    except OSError:
        return "gone"


def _plugin_file(module: str) -> Path | None:
    """The file of another package's module; what that imports is known by versions."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin else None


@cache
def _imported_by(file: str) -> tuple[str, ...]:
    path = ROOT / file
    tree = ast.parse(path.read_bytes(), str(path))
    return tuple(dict.fromkeys(f for name in _imports(tree) for f in _files_of(name)))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports when it runs; a name may turn out to be no module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.orelse:
                yield from _imports(statement)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def _files_of(module: str) -> tuple[str, ...]:
    """The file of a module of this package; empty for other packages and for what is no module."""
    first, *rest = module.split(".")
    if first != PACKAGE or not rest:
        return ()
    place = "/".join(rest)
    for file in (f"{place}.py", f"{place}/__init__.py"):
        if (ROOT / file).is_file():
            return (file,)
    return ()
