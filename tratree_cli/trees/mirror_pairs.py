"""Mirror pairs: beside a pair of any rule one with the opposite preference, at an episode's end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tratree_cli.trees.columns import DONE_END, NO_ACTION, Columns
from tratree_cli.trees.pair_limits import PairFilter
from tratree_cli.trees.pairs import ROUNDING, KindOf, Pair, PairSet, no_kind


def with_mirrors(
    found: PairSet, columns: Columns, demos: Columns | None = None, kind_of: KindOf = no_kind
) -> PairSet:
    """The pairs, each that has one followed by its mirror pair.

    "A rather than B" has one where B ended the episode and the chosen trajectory, which went on
    with A, is perfect (G = 1) and was ended by its own last action. At that end nothing can be
    gained by A any more, so there the last action is preferred to A: the same two actions (where B
    is that last action), opposite preference, in two states. A's words are those of the chosen
    trajectory where it took A. No trajectory was recorded that takes A there.
    """
    source = demos if found.demonstrated and demos is not None else columns
    seen = PairFilter(columns, demos if found.demonstrated else None)
    pairs = []
    for pair in found.pairs:
        pairs.append(pair)
        mirror = _mirror(pair, source, columns, kind_of)
        if mirror is not None and seen.accepts(mirror, Counter()):
            pairs.append(mirror)
    return replace(found, pairs=pairs)


def _mirror(pair: Pair, source: Columns, columns: Columns, kind_of: KindOf) -> Pair | None:
    span = source.span(pair.chosen)
    last = span.stop - span.start - 1
    here, final = int(source.actions[span.start + pair.step]), int(source.actions[span.stop - 1])
    score = float(source.score[pair.chosen])
    if (
        not _ends_with(columns, pair.rejected, pair.rejected_place)
        or not _ends_with(source, pair.chosen, last)
        or score < 1 - ROUNDING
        or NO_ACTION in (here, final)
        or here == final  # as where the two turns are one
    ):
        return None
    return Pair(
        task=pair.task,
        step=last,
        chosen=pair.chosen,
        rejected=pair.chosen,
        chosen_value=score,
        rejected_value=score,
        rejected_visits=0,
        horizon=1,
        kind=kind_of(final, here),
        basis="mirror",
        rejected_step=pair.step,
    )


def _ends_with(columns: Columns, trajectory: int, step: int) -> bool:
    """Whether the environment ended the trajectory with its turn ``step``."""
    span = columns.span(trajectory)
    return span.start + step == span.stop - 1 and bool(columns.end[trajectory] == DONE_END)
