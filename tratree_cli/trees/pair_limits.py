"""Which of the pairs that were found stay: those with words, once each, and as many as allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np

from tratree_cli.trees.columns import NO_ACTION, Columns
from tratree_cli.trees.pairs import (
    DUPLICATE,
    IDENTICAL,
    NO_EFFECT,
    PER_KIND,
    PER_TASK,
    SILENT,
    UNPARSABLE_SIDE,
    Pair,
    PairSet,
)


class PairFilter:
    """Drops pairs without texts and duplicates, compared by the numbers of their texts."""

    def __init__(self, columns: Columns, demos: Columns | None = None) -> None:
        self._rejected = columns
        self._chosen = demos if demos is not None else columns
        self._seen: set[tuple[bytes, ...]] = set()

    def accepts(self, pair: Pair, dropped: Counter[str]) -> bool:
        """Whether the pair has texts on both sides, which differ, and was not seen before."""
        mirrored = pair.rejected_step >= 0
        rejected_from = self._chosen if mirrored else self._rejected
        rejected_step = pair.rejected_step if mirrored else pair.step
        prompt = _text_numbers(self._chosen, pair.chosen, 0, pair.step)
        chosen = _text_numbers(self._chosen, pair.chosen, pair.step, pair.horizon)
        rejected = _text_numbers(rejected_from, pair.rejected, rejected_step, pair.horizon)
        key = (np.int64(pair.task).tobytes(), prompt, chosen, rejected)
        if not chosen or not rejected:
            dropped[SILENT] += 1
        elif self._chosen is rejected_from and chosen == rejected:
            dropped[IDENTICAL] += 1
        elif key in self._seen:
            dropped[DUPLICATE] += 1
        else:
            self._seen.add(key)
            return True
        return False


def _text_numbers(columns: Columns, trajectory: int, step: int, horizon: int) -> bytes:
    """The numbers of outputs and of the observations between them (the first one is the prompt)."""
    span = columns.span(trajectory)
    stop = min(span.stop, span.start + step + horizon) if horizon else span.stop
    start = span.start + step
    outputs = columns.outputs[start:stop].astype(np.int64).tobytes()
    return outputs + columns.observations[start + 1 : stop].astype(np.int64).tobytes()


def invalid_reason(columns: Columns, trajectory: int, step: int) -> str:
    """Why a turn is no side of a pair: nothing could be parsed, or it had no effect; else empty."""
    span = columns.span(trajectory)
    place = span.start + step
    if place >= span.stop or columns.valid[place]:
        return ""
    return UNPARSABLE_SIDE if columns.actions[place] == NO_ACTION else NO_EFFECT


def without_invalid_sides(
    found: PairSet, columns: Columns, demos: Columns | None = None
) -> PairSet:
    """The pairs whose first turns both had an effect; the others are counted by reason."""
    chosen_from = demos if found.demonstrated and demos is not None else columns
    dropped: Counter[str] = Counter(found.dropped)
    pairs = []
    for pair in found.pairs:
        reason = invalid_reason(columns, pair.rejected, pair.step) or invalid_reason(
            chosen_from, pair.chosen, pair.step
        )
        if reason and pair.rejected_step < 0:
            dropped[reason] += 1
        else:
            pairs.append(pair)
    return replace(found, pairs=pairs, dropped=counted(dropped))


def widest(
    pairs: Sequence[Pair], limit: int, seed: int, dropped: Counter[str], reason: str
) -> list[Pair]:
    """The ``limit`` pairs with the widest gaps, in their old order."""
    if not limit or len(pairs) <= limit:
        return list(pairs)
    # The draw depends on the place of the pairs alone, so one task never changes another's.
    lot = np.random.default_rng((seed, pairs[0].task, pairs[0].node + 1)).permutation(len(pairs))
    ranked = sorted(range(len(pairs)), key=lambda index: (-pairs[index].gap, lot[index]))
    dropped[reason] += len(pairs) - limit
    return [pairs[index] for index in sorted(ranked[:limit])]


def limited(
    pairs: Sequence[Pair], per_kind: int, per_task: int, seed: int, dropped: Counter[str]
) -> list[Pair]:
    """At most ``per_kind`` pairs of each kind in a task, and ``per_task`` of them in all."""
    if per_kind:
        place = {id(pair): at for at, pair in enumerate(pairs)}
        kept = [
            pair
            for group in _grouped(pairs, lambda pair: (pair.task, pair.kind))
            for pair in widest(group, per_kind, seed, dropped, PER_KIND)
        ]
        pairs = sorted(kept, key=lambda pair: place[id(pair)])
    groups = _grouped(pairs, lambda pair: pair.task)
    groups.sort(key=lambda group: group[0].task)
    return [pair for group in groups for pair in widest(group, per_task, seed, dropped, PER_TASK)]


def at_horizons(
    pairs: Sequence[Pair],
    horizons: Sequence[int],
    columns: Columns,
    demos: Columns | None,
    dropped: Counter[str],
) -> list[Pair]:
    """Every pair once for each of ``horizons``, the last of which is the pairs' own.

    A shorter one with the same words as a longer one is a duplicate.
    """
    if len(horizons) == 1:
        return list(pairs)
    own = PairFilter(columns, demos)
    for pair in pairs:
        own.accepts(pair, Counter())
    found = []
    for pair in pairs:
        cut = [replace(pair, horizon=horizon) for horizon in horizons[:-1]]
        found += [*(shorter for shorter in cut if own.accepts(shorter, dropped)), pair]
    return found


def counted(dropped: Counter[str]) -> dict[str, int]:
    """The reasons for which something was dropped, by name."""
    return {reason: count for reason, count in sorted(dropped.items()) if count}


def _grouped(pairs: Sequence[Pair], key: Callable[[Pair], Hashable]) -> list[list[Pair]]:
    groups: dict[Hashable, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(key(pair), []).append(pair)
    return list(groups.values())
