"""Trajectory trees and the pairs mined from them, as blocks of a report.

Only the most telling trees go into a page, and of those only so many nodes: a reader wants to see
one decision well, and the artifact has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tratree_cli.display.blocks import Branch, Comparison, Lane, Outline, Turn
from tratree_cli.display.text import counted, one_line
from tratree_cli.display.tree_rows import TreeRow, node_gaps, tree_rows
from tratree_cli.display.valid_actions import most_informative
from tratree_cli.formats.pairs import PairRecord
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.search.api import SearchResult

_ACTION = "Action: "
_THOUGHT = "Thought: "


def informative_outlines(
    tree: TreeFile, count: int = 3, search: SearchResult | None = None, max_nodes: int = 300
) -> tuple[Outline, ...]:
    """The ``count`` trees with the widest gap at a divergence; ``search`` marks the best path."""
    return tuple(
        tree_outline(tree, number, search, max_nodes=max_nodes)
        for number in most_informative(tree)[:count]
    )


def tree_outline(
    tree: TreeFile,
    number: int,
    search: SearchResult | None = None,
    max_depth: int = 0,
    min_visits: int = 0,
    max_nodes: int = 300,
) -> Outline:
    """Tree ``number`` of the forest, cut after ``max_nodes`` nodes (0: whole) with a note."""
    forest = tree.forest
    root = int(forest.roots[number])
    task = forest.columns.tasks[number]
    rows = tree_rows(tree, number, search, max_depth, min_visits, max_nodes)
    children: dict[tuple[int, bool], list[Branch]] = {}
    # Rows stand parents first: walking them backwards, every branch finds its children ready.
    for row in reversed(rows):
        below = children.pop((row.node, row.stop), [])
        children.setdefault((row.parent, False), []).append(_branch(row, below))
    first = next((one for one in tree.rollouts.trajectories if one.task == task), None)
    instruction = tree.texts[first.instruction] if first else task
    root_gap = node_gaps(forest, number).get(root, 0.0)
    left_out = len(forest.nodes(number)) - 1 - sum(not row.stop for row in rows)
    notes = ["G: mean final score of the trajectories through a node; n: their number."]
    if search is not None:
        notes[0] += " The best path is e*, which the search selects (Eq. 7)."
    if left_out > 0:
        notes.append(f"{left_out} more nodes are in the artifact and not drawn here.")
    return Outline(
        key=f"tree-{number}",
        title=f"Tree of task {task}",
        root=Branch(
            text=one_line(instruction, 200),
            detail=instruction,
            value=float(forest.mean[root]) if forest.visits[root] else None,
            visits=int(forest.visits[root]),
            best=search is not None,
            divergence=root_gap > 0,
            children=tuple(reversed(children.get((root, False), []))),
            gap=root_gap,
        ),
        notes=tuple(notes),
    )


def pair_comparison(pair: PairRecord, key: str = "pair") -> Comparison:
    """One preference pair: the state at which the two part, then both continuations."""
    shared = sum(message["role"] == "assistant" for message in pair.prompt)
    instruction = next((m["content"] for m in pair.prompt if m["role"] == "user"), pair.task)
    return Comparison(
        key=key,
        title=f"A pair of task {pair.task}",
        instruction=instruction,
        lanes=(
            Lane("preferred", _turns(pair.chosen), _outcome(pair.chosen_score, pair.chosen_visits)),
            Lane(
                "rejected",
                _turns(pair.rejected),
                _outcome(pair.rejected_score, pair.rejected_visits),
            ),
        ),
        notes=(f"{_shared(shared)} (counting examples in the prompt).",),
    )


def _branch(row: TreeRow, below: Sequence[Branch]) -> Branch:
    """A row with its children, which ``below`` holds last first."""
    thoughts = "\n".join(
        f"{_THOUGHT}{words}" + (f" ({count} times)" if count > 1 else "")
        for words, count in row.thoughts
    )
    return Branch(
        text=row.text,
        detail="\n".join(part for part in (row.observation, thoughts) if part),
        value=row.value,
        visits=row.visits,
        best=row.best,
        divergence=row.gap > 0,
        children=tuple(reversed(below)),
        seen=row.seen,
        ineffective=row.ineffective,
        gap=row.gap,
    )


def _turns(messages: Sequence[Mapping[str, str]]) -> tuple[Turn, ...]:
    turns = []
    seen = ""
    for message in messages:
        if message["role"] != "assistant":
            seen = message["content"]
            continue
        before, found, action = message["content"].partition(_ACTION)
        turns.append(
            Turn(
                action=action.strip() if found else before.strip(),
                thought=before.strip().removeprefix(_THOUGHT) if found else "",
                observation=seen,
                differs=True,
            )
        )
        seen = ""
    return tuple(turns)


def _outcome(score: float, visits: int) -> str:
    return f"G {score:.2f} at its end; {counted(visits, 'trajectory')} took this branch"


def _shared(steps: int) -> str:
    if steps == 0:
        return "They part at the first step"
    return "Both share the first step" if steps == 1 else f"Both share the first {steps} steps"
