"""Paths to imitate in the terminal: all in one table, one beside the best that was observed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tratree_cli.display.blocks import COUNT, RATIO, TEXT, Cell, Column, Comparison, Row, Table
from tratree_cli.display.blocks import Lane as DocumentLane
from tratree_cli.display.blocks import Turn as DocumentTurn
from tratree_cli.display.terminal_blocks import ComparisonText
from tratree_cli.display.terminal_tables import FittingTable
from tratree_cli.display.text import one_line
from tratree_cli.formats.paths import PathFile, PathRecord

ACTION = "Action: "
_NAMES = {"mcts": "e* of the search", "best-observed": "best observed"}


def paths_view(paths: PathFile, limit: int = 15) -> RenderableType:
    """All paths: how good they are, how often e* is not the best observed, what was dropped.

    Tasks whose path was dropped are not compared here; the stage's summary counts all trees.
    """
    found = paths.paths
    rule = str(paths.meta.get("rule", found[0].rule if found else ""))
    parts: list[RenderableType] = [
        Text(f"{len(found)} paths ({_NAMES.get(rule, one_line(rule))})", style="bold")
    ]
    if found:
        below = sum(path.score < path.best_score for path in found)
        other = sum(agent_turns(path.messages) != agent_turns(path.best_messages) for path in found)
        mean = sum(path.score for path in found) / len(found)
        best = sum(path.best_score for path in found) / len(found)
        parts.append(
            Text(
                f"mean G {mean:.2f} (best observed {best:.2f}); {other} of {len(found)} are not "
                f"word for word the best observed trajectory of their task, {below} score below it"
            )
        )
    dropped = paths.meta.get("dropped") or {}
    if dropped:
        words = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        least = (paths.meta.get("params") or {}).get("min_score")
        limit_told = f" (mcts.min_score {least:g})" if isinstance(least, int | float) else ""
        words = f"tasks without a path: {words}{limit_told}"
        parts.append(Text(one_line(words), style="dim"))
    if found:
        parts += [Text(""), FittingTable(_table(found, limit))]
    return Group(*parts)


def path_view(path: PathRecord) -> RenderableType:
    """One path beside the best observed trajectory of its task."""
    chosen, best = agent_turns(path.messages), agent_turns(path.best_messages)
    parting = next(
        (i for i, (a, b) in enumerate(zip(chosen, best, strict=False)) if a[1] != b[1]),
        min(len(chosen), len(best)),
    )
    same = path.trajectory == path.best_trajectory
    label = f"{_NAMES.get(path.rule, path.rule)}, visited {path.visits} times"
    lanes = [_lane(label, chosen, parting, path.score)]
    if not same:
        lanes.append(_lane("best observed", best, parting, path.best_score))
    user = [m["content"] for m in path.messages[path.prefix :] if m["role"] == "user"]
    note = (
        f"Both are the same trajectory, out of {path.tried}."
        if same
        else f"Both were recorded, out of {path.tried} trajectories."
    )
    return ComparisonText(
        Comparison(
            key="path",
            title=f"Task {path.task}",
            instruction=one_line(user[0], 400) if user else "",
            lanes=tuple(lanes),
            notes=(note,),
        )
    )


def agent_turns(messages: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """``(thought, action)`` of the agent's turns; words that hold no action stand as the action."""
    found = []
    for message in messages:
        if message["role"] != "assistant":
            continue
        words = message["content"]
        before, mark, action = words.partition(ACTION)
        if not mark:
            found.append(("", words))
            continue
        found.append((before.strip().removeprefix("Thought:").strip(), action))
    return found


def _lane(label: str, turns: Sequence[tuple[str, str]], parting: int, score: float) -> DocumentLane:
    return DocumentLane(
        label=label,
        turns=tuple(
            DocumentTurn(action=action, thought=thought, differs=step >= parting)
            for step, (thought, action) in enumerate(turns)
        ),
        outcome=f"G {score:.2f}",
    )


def _table(found: Sequence[PathRecord], limit: int) -> Table:
    columns = (
        Column("Task", TEXT),
        Column("Steps", COUNT),
        Column("G", RATIO),
        Column("Best observed", RATIO),
        Column("Tried", COUNT),
        Column("Visits", COUNT),
    )
    rows = tuple(
        Row(
            (
                Cell(path.task),
                Cell(len(agent_turns(path.messages[path.prefix :]))),
                Cell(path.score),
                Cell(path.best_score),
                Cell(path.tried),
                Cell(path.visits),
            )
        )
        for path in found[:limit]
    )
    notes = (f"{len(found) - limit} more are not shown.",) if len(found) > limit else ()
    return Table("paths", "By task", columns, rows, notes)
