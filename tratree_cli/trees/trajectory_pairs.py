"""Pairs of two complete trajectories of one task by reward alone (the baselines' rules)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tratree_cli.trees.columns import NO_ACTION, Columns
from tratree_cli.trees.pair_index import PairIndex
from tratree_cli.trees.pair_limits import PairFilter, at_horizons, counted, invalid_reason
from tratree_cli.trees.pairs import (
    GAP,
    LOW_CHOSEN,
    NO_EFFECT,
    PER_KIND,
    PER_TASK,
    ROUNDING,
    UNPARSABLE_SIDE,
    KindOf,
    Pair,
    PairSet,
    no_kind,
)


def mine_whole(
    columns: Columns,
    *,
    demos: Columns | None = None,
    min_gap: float = 0.1,
    min_chosen: float = 0.0,
    keep_invalid: bool = False,
    per_kind: int = 0,
    per_task: int = 0,
    horizons: Sequence[int] = (0,),
    seed: int = 0,
    kind_of: KindOf = no_kind,
) -> PairSet:
    """Pairs of two complete trajectories of one task by reward alone.

    Without ``demos`` the trajectories of ``columns`` are compared with each other; with
    ``per_task`` or ``per_kind`` the pairs of a task are drawn by ``seed``. Otherwise each task's
    demonstration (matched by name) is preferred to every trajectory with lower G. Uncounted
    trajectories are left out, those whose first turn had no effect too unless ``keep_invalid``, and
    chosen ones with a G below ``min_chosen``. Every pair is made once for each of ``horizons``.
    """
    dropped: Counter[str] = Counter()
    experts = _by_task(demos) if demos is not None else {}
    source = demos if demos is not None else columns
    pair_filter = PairFilter(columns, demos)
    pairs: list[Pair] = []
    compared = 0
    generator = np.random.default_rng(seed)
    position = {name: place for place, name in enumerate(columns.tasks)}
    for task, members in _by_task(columns).items():
        better = experts.get(task, []) if demos is not None else members
        possible = len(better) * len(members)
        if demos is None:
            possible = len(members) * (len(members) - 1) // 2
        compared += possible > 0
        index = PairIndex(better, source.score, members, columns.score, min_gap)
        dropped[GAP] += possible - index.pairs
        for reason in (LOW_CHOSEN,) if keep_invalid else (LOW_CHOSEN, UNPARSABLE_SIDE, NO_EFFECT):
            index = _narrowed(index, source, columns, min_gap, min_chosen, reason, dropped)
        kinds: Counter[str] = Counter()
        task_pairs: list[Pair] = []
        for place in index.order(generator, drawn=bool(per_task or per_kind)):
            if per_task and len(task_pairs) == per_task:
                dropped[PER_TASK] += index.pairs - index.looked_at
                break
            chosen, rejected = index.pair(place)
            index.looked_at += 1
            pair = Pair(
                position[task],
                0,
                chosen,
                rejected,
                float(source.score[chosen]),
                float(columns.score[rejected]),
                horizon=horizons[-1],
                kind=kind_of(_first_action(source, chosen), _first_action(columns, rejected)),
            )
            if per_kind and kinds[pair.kind] == per_kind:
                dropped[PER_KIND] += 1
            elif pair_filter.accepts(pair, dropped):
                kinds[pair.kind] += 1
                task_pairs.append(pair)
        pairs += sorted(task_pairs, key=lambda pair: (pair.chosen, pair.rejected))
    pairs = at_horizons(pairs, horizons, columns, demos, dropped)
    return PairSet(pairs, counted(dropped), compared, demonstrated=demos is not None)


def _narrowed(
    index: PairIndex,
    chosen_from: Columns,
    columns: Columns,
    min_gap: float,
    min_chosen: float,
    reason: str,
    dropped: Counter[str],
) -> PairIndex:
    """The pairs without those that ``reason`` forbids, which are counted."""
    if reason == LOW_CHOSEN:
        better = [t for t in index.better if chosen_from.score[t] >= min_chosen - ROUNDING]
        worse = index.worse
    else:
        better = [t for t in index.better if invalid_reason(chosen_from, t, 0) != reason]
        worse = [t for t in index.worse if invalid_reason(columns, t, 0) != reason]
    if len(better) == len(index.better) and len(worse) == len(index.worse):
        return index
    left = PairIndex(better, chosen_from.score, sorted(worse), columns.score, min_gap)
    dropped[reason] += index.pairs - left.pairs
    return left


def _first_action(columns: Columns, trajectory: int) -> int:
    span = columns.span(trajectory)
    return int(columns.actions[span.start]) if span.stop > span.start else NO_ACTION


def _by_task(columns: Columns) -> dict[str, list[int]]:
    """Counted trajectories by task name, tasks in the order of their numbers."""
    members: dict[str, list[int]] = {name: [] for name in columns.tasks}
    for trajectory in np.flatnonzero(columns.counted).tolist():
        members[columns.tasks[int(columns.task[trajectory])]].append(trajectory)
    return members
