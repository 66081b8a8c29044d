"""Pairs at the divergence points of a forest (paper, section 3.2, Eq. 6).

Two branches are compared only where the same (merged) state was answered with different actions.
A branch is worth the mean G of the trajectories through it; a pair is the best continuation of the
better branch against the worst continuation of the worse one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from tratree_cli.trees.columns import NO_ACTION
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.pair_limits import PairFilter, at_horizons, counted, limited, widest
from tratree_cli.trees.pairs import (
    BRANCH_SELECTIONS,
    GAP,
    LOW_CHOSEN,
    NO_EFFECT,
    OTHER_STATE,
    PER_NODE,
    ROUNDING,
    SAME_ACTION,
    STOP,
    UNPARSABLE_SIDE,
    Basis,
    BranchSelect,
    KindOf,
    Pair,
    PairSet,
    TieBreak,
    no_kind,
)


def mine(
    forest: Forest,
    *,
    select: BranchSelect = "best-worst",
    min_gap: float = 0.1,
    min_chosen: float = 0.0,
    keep_invalid: bool = False,
    tie_break: TieBreak = "",
    per_node: int = 0,
    per_kind: int = 0,
    per_task: int = 0,
    horizons: Sequence[int] = (0,),
    seed: int = 0,
    kind_of: KindOf = no_kind,
) -> PairSet:
    """Pairs at the divergence points of a forest (Eq. 6).

    Branches are paired best against worst (the widest gap among different actions), all against
    all, or each with the next in value, when their means differ by more than ``min_gap``; with the
    tie-break ``shorter`` also when they do not, but both lead to the same G above 0 in different
    numbers of turns. Branches whose first turns had no effect are left out unless ``keep_invalid``,
    and so are pairs whose chosen trajectory has a G below ``min_chosen``. Limits of 0 are no
    limits; the widest gaps stay, equal gaps are drawn by ``seed``. Every pair that stays is made
    once for each of ``horizons``. Raises ValueError for parameters out of range.
    """
    if select not in BRANCH_SELECTIONS:
        known = ", ".join(BRANCH_SELECTIONS)
        raise ValueError(f"there is no branch selection '{select}'; there are {known}")
    dropped: Counter[str] = Counter()
    columns = forest.columns
    pair_filter = PairFilter(columns)
    ends = _BranchEnds(forest, keep_invalid)
    pairs: list[Pair] = []
    divergences = 0
    for node in np.flatnonzero(forest.child_count + forest.has_stop > 1).tolist():
        dropped[STOP] += _stops(forest, node, min_gap)
        candidates: list[Pair] = []
        for group in _same_state(forest, node, dropped):
            divergences += 1
            branches = _usable(forest, ends, group, min_gap, dropped)
            for branch in _branch_pairs(forest, ends, branches, select, min_gap, tie_break):
                if branch.reason:
                    dropped[branch.reason] += 1
                else:
                    candidates.append(_pair(forest, ends, node, branch, horizons[-1], kind_of))
        good = [pair for pair in candidates if columns.score[pair.chosen] >= min_chosen - ROUNDING]
        dropped[LOW_CHOSEN] += len(candidates) - len(good)
        # A limit counts pairs that differ: duplicates are removed first.
        different = [pair for pair in good if pair_filter.accepts(pair, dropped)]
        pairs += widest(different, per_node, seed, dropped, PER_NODE)
    pairs = limited(pairs, per_kind, per_task, seed, dropped)
    pairs = at_horizons(pairs, horizons, columns, None, dropped)
    return PairSet(pairs, counted(dropped), divergences)


@dataclass(frozen=True)
class _BranchPair:
    """The first nodes of two branches, and why they make no pair (empty where they make one)."""

    better: int
    worse: int
    basis: Basis = "score"
    reason: str = ""


class _BranchEnds:
    """The trajectories that stand for a branch, by its first node; -1 where none does.

    ``best`` and ``worst`` are those with the highest and the lowest G, ``shortest`` is the shortest
    of those with the highest G; of equal ones the first inserted. Trajectories whose turn at the
    node had no effect stand for no branch unless ``keep_invalid``.
    """

    def __init__(self, forest: Forest, keep_invalid: bool) -> None:
        columns = forest.columns
        usable = forest.step_node >= 0
        if not keep_invalid:
            usable &= columns.valid
        steps = np.flatnonzero(usable)
        trajectory = np.repeat(np.arange(len(columns)), columns.lengths)[steps]
        node, score = forest.step_node[steps], columns.score[trajectory]
        self.best, self.worst, self.shortest = np.full((3, len(forest)), -1, dtype=np.int64)
        # The last assignment wins, so the one that stands for the branch comes last.
        for stands, order in (
            (self.best, np.lexsort((-trajectory, score))),
            (self.worst, np.lexsort((-trajectory, -score))),
            (self.shortest, np.lexsort((-trajectory, -columns.lengths[trajectory], score))),
        ):
            stands[node[order]] = trajectory[order]
        self._columns = columns

    def by_length(self, one: int, other: int) -> tuple[int, int, int] | None:
        """``(difference, shorter, longer)`` of branches that lead to one G above 0, else None."""
        first, second = self.shortest[one], self.shortest[other]
        lengths, score = self._columns.lengths, self._columns.score
        difference = int(lengths[second] - lengths[first])
        if abs(score[first] - score[second]) > ROUNDING or score[first] <= 0 or not difference:
            return None
        return (difference, one, other) if difference > 0 else (-difference, other, one)


def _pair(
    forest: Forest,
    ends: _BranchEnds,
    node: int,
    branch: _BranchPair,
    horizon: int,
    kind_of: KindOf,
) -> Pair:
    better, worse = branch.better, branch.worse
    by_length = branch.basis == "length"
    chosen, rejected = (ends.shortest, ends.shortest) if by_length else (ends.best, ends.worst)
    return Pair(
        task=int(forest.tree[node]),
        step=int(forest.depth[node]),
        chosen=int(chosen[better]),
        rejected=int(rejected[worse]),
        chosen_value=float(forest.mean[better]),
        rejected_value=float(forest.mean[worse]),
        chosen_visits=int(forest.visits[better]),
        rejected_visits=int(forest.visits[worse]),
        node=node,
        horizon=horizon,
        kind=kind_of(int(forest.action[better]), int(forest.action[worse])),
        basis=branch.basis,
    )


def _same_state(forest: Forest, node: int, dropped: Counter[str]) -> Iterator[list[int]]:
    """Groups of at least two children that answer one state with different actions."""
    groups: dict[int, list[int]] = {}
    children = forest.children(node)
    for child in children:
        groups.setdefault(int(forest.state[child]), []).append(child)
    if len(children) > 1:
        inside = sum(len(g) * (len(g) - 1) // 2 for g in groups.values())
        dropped[OTHER_STATE] += len(children) * (len(children) - 1) // 2 - inside
    for group in groups.values():
        if len({int(forest.action[child]) for child in group}) > 1:
            yield group
        else:
            dropped[SAME_ACTION] += len(group) * (len(group) - 1) // 2


def _usable(
    forest: Forest, ends: _BranchEnds, group: list[int], min_gap: float, dropped: Counter[str]
) -> list[int]:
    """The branches that a trajectory stands for.

    The others are counted where they would have made a pair: where another action's branch
    differs by more than the gap.
    """
    for branch in group:
        if ends.best[branch] >= 0:
            continue
        others = [other for other in group if forest.action[other] != forest.action[branch]]
        if (np.abs(forest.mean[others] - forest.mean[branch]) > min_gap).any():
            unparsable = forest.action[branch] == NO_ACTION
            dropped[UNPARSABLE_SIDE if unparsable else NO_EFFECT] += 1
    return [branch for branch in group if ends.best[branch] >= 0]


def _branch_pairs(
    forest: Forest,
    ends: _BranchEnds,
    branches: list[int],
    select: BranchSelect,
    min_gap: float,
    tie_break: TieBreak,
) -> Iterator[_BranchPair]:
    """Pairs of branches by descending value, ties in insertion order."""
    ranked = sorted(branches, key=lambda child: (-forest.mean[child], child))
    if len({int(forest.action[child]) for child in ranked}) < 2:
        return
    if select == "all":
        candidates = list(combinations(ranked, 2))
    elif select == "adjacent":
        candidates = list(pairwise(ranked))
    else:
        candidates = [_widest_gap(forest, ranked)]
    for better, worse in candidates:
        if forest.mean[better] - forest.mean[worse] <= min_gap:
            # The widest gap is none: then any two branches may be told apart by their length.
            compared = combinations(ranked, 2) if select == "best-worst" else [(better, worse)]
            tied = _tied(forest, ends, compared) if tie_break else None
            yield tied or _BranchPair(better, worse, reason=GAP)
        elif forest.action[better] == forest.action[worse]:
            yield _BranchPair(better, worse, reason=SAME_ACTION)
        else:
            yield _BranchPair(better, worse)


def _tied(
    forest: Forest, ends: _BranchEnds, compared: Iterable[tuple[int, int]]
) -> _BranchPair | None:
    """Of branches of different actions with one best G the two that differ most in length."""
    found = [
        ends.by_length(one, other)
        for one, other in compared
        if forest.action[one] != forest.action[other]
    ]
    tied = max(filter(None, found), key=lambda each: each[0], default=None)
    return _BranchPair(tied[1], tied[2], "length") if tied else None


def _widest_gap(forest: Forest, ranked: list[int]) -> tuple[int, int]:
    """The better and the worse branch with the widest gap among different actions.

    ``ranked`` stand by descending value and hold at least two actions. Merging by similarity can
    leave the best and the worst with one action: then one of the two is paired with the branch of
    another action that is farthest from it, the best one where both are equally far.
    """
    # Equal values at the bottom: the first inserted is the worst.
    rising = sorted(ranked, key=lambda child: (forest.mean[child], child))
    best, worst = ranked[0], rising[0]
    below = next(child for child in rising if forest.action[child] != forest.action[best])
    above = next(child for child in ranked if forest.action[child] != forest.action[worst])
    gaps = forest.mean[best] - forest.mean[below], forest.mean[above] - forest.mean[worst]
    return (best, below) if gaps[0] >= gaps[1] else (above, worst)


def _stops(forest: Forest, node: int, min_gap: float) -> int:
    """Branches that differ from "stop here" by more than the gap: no text, so no pair."""
    if not forest.has_stop[node]:
        return 0
    stop = forest.total_reward[node] / forest.endings[node]
    children = forest.children(node)
    gaps = np.abs(forest.mean[children.start : children.stop] - stop)
    return int((gaps > min_gap).sum())
