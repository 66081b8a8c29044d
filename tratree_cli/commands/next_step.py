"""The line that may be typed after a stage: it names what was just made, and what was found in it.

A bare command would take the default recipe's artifacts, which may start another pipeline; so every
line names its input, and the store where that is not the usual one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tratree_cli.display.text import counted

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.pipeline.graph import Node


def next_step(entry: Entry, name: str | None = None, store: Path | None = None) -> str:
    """What to type after ``entry`` was made; empty where nothing follows.

    ``name`` is what the user called it, ``store`` the folder that was given with ``--store``.
    """
    command = _remedy(entry) or _onwards(entry, name or short(entry))
    given = store is not None and str(store) != os.environ.get("TRATREE_STORE")
    return f"{command} --store {shlex.quote(str(store))}" if command and given else command


def short(entry: Entry) -> str:
    """A reference of twelve digits, as listings print it."""
    return f"{entry.kind}:{entry.object[:12]}"


def _onwards(entry: Entry, ref: str) -> str:
    if entry.kind == "model":
        weak = entry.stage in ("sft", "sft-auto") and entry.provenance.get("role") != "strong"
        return f"tratree {'explore' if weak else 'eval'} {ref}"
    command = {
        "demos": "sft",
        "rollouts": "build-tree",
        "tree": "show",
        "pairs": "train-strong",
        "paths": "train-strong",
        "evaluation": "report",
    }.get(entry.kind)
    return f"tratree {command} {ref}" if command else ""


def _remedy(entry: Entry) -> str:
    """What to change where nothing was found that could be trained on; else empty."""
    if entry.summary.get(entry.kind) != 0 or entry.kind not in ("pairs", "paths"):
        return ""
    params = entry.document.get("params", {})
    trees = entry.inputs.get("tree", ())
    source = f"tree:{trees[0][:12]}" if trees else ""
    if entry.kind == "pairs" and source and params.get("min_gap", 0) > 0:
        return f"tratree mine-pairs {source} --min-gap 0"
    if entry.kind == "paths" and params.get("min_score", 0) > 0:
        return f"tratree mcts {source} --set mcts.min_score=0"
    m = entry.provenance.get("config", {}).get("explore", {}).get("m", 4)
    recipe = entry.provenance.get("config", {}).get("recipe", "quick")
    return f"tratree explore --recipe {shlex.quote(str(recipe))} -m {2 * int(m)}"


def another_recipe(missing: Sequence[Node], store: Store) -> str:
    """What to say where a bare stage would start a pipeline beside one of another recipe.

    ``missing`` are the nodes that would run, the one that was asked for last. Empty where the
    store has something of this recipe to start from, or nothing at all.
    """
    root = missing[-1]
    keys = {node.key for node in missing}
    kinds = {source.stage.kind for source in root.upstream() if source.key in keys}
    for kind in sorted(kinds):
        made = [_recipe(entry) for entry in store.entries(kind=kind, limit=50)]
        if not made or root.config.recipe in made or not made[0]:
            continue
        begun = f"this starts recipe '{root.config.recipe}' with {counted(len(missing), 'stage')}"
        words = f"{begun}, but what is in {store.root} was made with recipe '{made[0]}'"
        stage = root.stage.name
        if kind in ("rollouts", "tree", "pairs", "paths"):
            return f"{words}: `tratree {stage} {kind}@latest` goes on from there"
        return f"{words}: `tratree {stage} --recipe {made[0]}` goes on from there"
    return ""


def _recipe(entry: Entry) -> str:
    return str((entry.provenance.get("config") or {}).get("recipe") or "")
