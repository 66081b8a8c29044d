"""Preference pairs in the terminal: how many, how far apart, what was dropped, and one whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from tratree_cli.display.blocks import (
    COUNT,
    TEXT,
    Cell,
    Column,
    Comparison,
    Lane,
    Row,
    Table,
    Turn,
)
from tratree_cli.display.paths import ACTION, agent_turns
from tratree_cli.display.sparkline import sparkline
from tratree_cli.display.terminal_blocks import ComparisonText
from tratree_cli.display.terminal_tables import FittingTable
from tratree_cli.display.text import counted, one_line
from tratree_cli.formats.pairs import PairFile, PairRecord

_BINS = 10
_FIGURES = 25
"""The columns of the table of pairs beside the task and the two actions."""


def pairs_view(pairs: PairFile, limit: int = 10) -> RenderableType:
    """All pairs: gaps, where trajectories part, what was dropped and why, the widest gaps."""
    found = pairs.pairs
    rule = one_line(str(pairs.meta.get("rule", found[0].rule if found else "")))
    tasks = len({pair.task for pair in found})
    parts: list[RenderableType] = [
        Text(f"{len(found)} pairs on {tasks} tasks (rule {rule})", style="bold")
    ]
    if not found:
        parts.append(Text(NOTHING_INFORMATIVE, style="bold"))
    else:
        gaps = Counter(min(_BINS - 1, int(pair.gap * _BINS)) for pair in found)
        steps = Counter(parting(pair) for pair in found)
        mean = sum(pair.gap for pair in found) / len(found)
        drawn = sparkline([gaps[b] for b in range(_BINS)], _BINS, low=0.0)
        parts.append(Text(f"mean gap {mean:.2f}; gaps from 0 to 1: {drawn}"))
        common = ", ".join(f"{step + 1}: {steps[step]}" for step in sorted(steps)[:12])
        parts.append(Text(f"they part at step {common}"))
        # Whole trajectories may begin alike; then their first actions are not what differs.
        kinds = Counter(p.kind for p in found if p.kind and parting(p) == p.step)
        if kinds:
            ranked = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))
            words = ", ".join(f"{kind} {count}" for kind, count in ranked)
            parts.append(Text(one_line(f"what differs: {words}")))
        parts += [Text(line) for line in _unlike_scores(found)]
    dropped = pairs.meta.get("dropped") or {}
    if dropped:
        words = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        parts.append(Text(one_line(f"dropped: {words}"), style="dim"))
    if found:
        parts += [Text(""), WidestGaps(found, limit)]
    return Group(*parts)


NOTHING_INFORMATIVE = (
    "No pair is informative: training on these leaves the model as it is. More samples per task, a "
    "higher temperature or a smaller min_gap would make branches differ."
)


def pair_view(pair: PairRecord) -> RenderableType:
    """One pair: the observation at which they part, then both continuations side by side."""
    lanes = (
        _lane("chosen", pair.chosen, pair.chosen_value, pair.chosen_visits, pair.chosen_score),
        _lane(
            "rejected",
            pair.rejected,
            pair.rejected_value,
            pair.rejected_visits,
            pair.rejected_score,
        ),
    )
    return ComparisonText(
        Comparison(
            key="pair",
            title=f"Task {pair.task}, parting at step {pair.step + 1}"
            + (f" ({one_line(pair.kind)})" if pair.kind else ""),
            instruction=one_line(pair.prompt[-1]["content"], 600),
            lanes=lanes,
        )
    )


def _unlike_scores(found: Sequence[PairRecord]) -> list[str]:
    """How many pairs are there for another reason than a better score, one line a reason."""
    basis = Counter(pair.basis for pair in found)
    lines = {
        "length": "preferred for its length at equal score",
        "mirror": "mirror pairs, made at the end of perfect trajectories",
    }
    told = [f"{basis[name]} {words}" for name, words in lines.items() if basis[name]]
    apart = sum(pair.rejected_step >= 0 and pair.basis == "score" for pair in found)
    if apart:
        told.append(f"{apart} with a rejected side that was recorded after another history")
    return told


def _lane(
    label: str, messages: Sequence[dict[str, str]], value: float, visits: int, score: float
) -> Lane:
    turns = tuple(Turn(action=action, thought=thought) for thought, action in agent_turns(messages))
    if not visits:
        return Lane(label=label, turns=turns, outcome="not tried here")
    outcome = f"G {score:.2f}"
    if visits > 1:
        outcome += f" (branch {value:.2f} over {visits})"
    return Lane(label=label, turns=turns, outcome=outcome)


def parting(pair: PairRecord) -> int:
    """The step, counted from 0, at which the actions of the two sides first differ."""
    chosen, rejected = agent_turns(pair.chosen), agent_turns(pair.rejected)
    alike = 0
    for (_, better), (_, worse) in zip(chosen, rejected, strict=False):
        if better != worse:
            break
        alike += 1
    return pair.step + alike


class WidestGaps:
    """The pairs whose sides are furthest apart; actions are cut to what the width leaves them."""

    def __init__(self, found: Sequence[PairRecord], limit: int) -> None:
        self.found = found
        self.limit = limit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tasks = max(len(one_line(pair.task)) for pair in self.found)
        room = (options.max_width - max(tasks, 4) - _FIGURES) // 2
        yield FittingTable(_table(self.found, self.limit, max(16, min(60, room))))


def _table(found: Sequence[PairRecord], limit: int, room: int) -> Table:
    # Between an action and words without one, the gap is wide and says little.
    ordered = sorted(found, key=lambda p: (not _readable(p), -p.gap, p.task, p.step))
    widest = ordered[:limit]
    columns = (
        Column("Task", TEXT),
        Column("Step", COUNT),
        Column("G", TEXT),
        Column("Better action", TEXT),
        Column("Worse action", TEXT),
    )
    rows = tuple(
        Row(
            (
                Cell(pair.task),
                Cell(parting(pair) + 1),
                Cell(f"{pair.chosen_value:.2f}, {pair.rejected_value:.2f}"),
                Cell(_action(pair.chosen, parting(pair) - pair.step, room)),
                Cell(_action(pair.rejected, parting(pair) - pair.step, room)),
            )
        )
        for pair in widest
    )
    unreadable = sum(not _readable(pair) for pair in found)
    notes = (f"In {counted(unreadable, 'pair')} a side has no readable action.",)
    return Table("pairs", "Widest gaps", columns, rows, notes if unreadable else ())


def _readable(pair: PairRecord) -> bool:
    """Whether all of the agent's words on both sides hold an action."""
    words = (m["content"] for side in (pair.chosen, pair.rejected) for m in side if _spoken(m))
    return all(ACTION in word for word in words)


def _spoken(message: dict[str, str]) -> bool:
    return message["role"] == "assistant"


def _action(messages: Sequence[dict[str, str]], number: int, room: int) -> str:
    """The side's action of that number, cut to ``room``; a side may end before the other."""
    turns = agent_turns(messages)
    return one_line(turns[number][1], room) if number < len(turns) else "(ended)"
