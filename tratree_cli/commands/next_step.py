"""The line that may be typed after a stage: it names what was just made, and what was found in it.

A bare command would take the default recipe's artifacts, which may start another pipeline; so every
line names its input, and the store where that is not the usual one.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tratree_store import Entry


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
        weak = entry.stage == "sft" and entry.provenance.get("role") != "strong"
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
