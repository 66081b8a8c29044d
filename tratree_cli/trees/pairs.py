"""Preference pairs from a forest's divergences (paper, section 3.2, Eq. 6).

Two branches are compared only where the same (merged) state was answered with different actions.
A branch is worth the mean G of the trajectories through it; a pair is the best continuation of the
better branch against the worst continuation of the worse one. Pairs refer to trajectories by
index; ``formats.pairs`` adds their texts. Whatever could have been a pair and is not is counted
under the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import Columns
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.pair_index import PairIndex

BranchSelect: TypeAlias = Literal["best-worst", "all", "adjacent"]
BRANCH_SELECTIONS: tuple[BranchSelect, ...] = ("best-worst", "all", "adjacent")

GAP = "gap too small"
STOP = "one side only stops"
SAME_ACTION = "same action"
OTHER_STATE = "different states"
DUPLICATE = "duplicate"
IDENTICAL = "same words on both sides"
SILENT = "no words"
PER_NODE = "over the limit per node"
PER_TASK = "over the limit per task"


@dataclass(frozen=True)
class Pair:
    """One preference: from step ``step`` on, ``chosen`` went better than ``rejected``.

    ``chosen`` and ``rejected`` are trajectory indices (``chosen`` of the demonstrations in a
    ``PairSet`` that is ``demonstrated``). ``node`` is the divergence point, -1 where whole
    trajectories are compared. The values are the branches' mean G, or the trajectories' own G;
    ``chosen_visits`` and ``rejected_visits`` are the numbers of trajectories of these means.
    ``horizon`` is the number of steps of each continuation, 0 to the end.
    """

    task: int
    step: int
    chosen: int
    rejected: int
    chosen_value: float
    rejected_value: float
    chosen_visits: int = 1
    rejected_visits: int = 1
    node: int = -1
    horizon: int = 0

    @property
    def gap(self) -> float:
        """How much better the chosen branch did, in (0, 1]."""
        return self.chosen_value - self.rejected_value


@dataclass(frozen=True)
class PairSet:
    """Pairs in order of tasks and nodes, and what was dropped, by reason.

    ``divergences`` counts the points at which different actions were taken in one state (or, for
    rules on whole trajectories, the tasks with at least two trajectories). ``demonstrated``:
    the chosen trajectories are demonstrations.
    """

    pairs: Sequence[Pair]
    dropped: Mapping[str, int] = field(default_factory=dict)
    divergences: int = 0
    demonstrated: bool = False

    def __len__(self) -> int:
        return len(self.pairs)


def mine(
    forest: Forest,
    *,
    select: BranchSelect = "best-worst",
    min_gap: float = 0.1,
    per_node: int = 0,
    per_task: int = 0,
    horizon: int = 0,
    seed: int = 0,
) -> PairSet:
    """Pairs at the divergence points of a forest (Eq. 6).

    Branches are paired best against worst (the widest gap among different actions), all against
    all, or each with the next in value, when their means differ by more than ``min_gap``. Limits
    of 0 are no limits; the widest gaps stay, equal gaps are drawn by ``seed``. Raises ValueError
    for parameters out of range.
    """
    if select not in BRANCH_SELECTIONS:
        known = ", ".join(BRANCH_SELECTIONS)
        raise ValueError(f"there is no branch selection '{select}'; there are {known}")
    dropped: Counter[str] = Counter()
    pair_filter = PairFilter(forest.columns)
    extremes = _Extremes(forest)
    pairs: list[Pair] = []
    divergences = 0
    for node in np.flatnonzero(forest.child_count + forest.has_stop > 1).tolist():
        dropped[STOP] += _stops(forest, node, min_gap)
        candidates: list[Pair] = []
        for branches in _same_state(forest, node, dropped):
            divergences += 1
            for better, worse in _branch_pairs(forest, branches, select, min_gap, dropped):
                candidates.append(
                    Pair(
                        task=int(forest.tree[node]),
                        step=int(forest.depth[node]),
                        chosen=int(extremes.best[better]),
                        rejected=int(extremes.worst[worse]),
                        chosen_value=float(forest.mean[better]),
                        rejected_value=float(forest.mean[worse]),
                        chosen_visits=int(forest.visits[better]),
                        rejected_visits=int(forest.visits[worse]),
                        node=node,
                        horizon=horizon,
                    )
                )
        # A limit counts pairs that differ: duplicates are removed first.
        different = [pair for pair in candidates if pair_filter.accepts(pair, dropped)]
        pairs += _widest(different, per_node, seed, dropped, PER_NODE)
    return _limited(pairs, per_task, seed, dropped, divergences)


def mine_whole(
    columns: Columns,
    *,
    demos: Columns | None = None,
    min_gap: float = 0.1,
    per_task: int = 0,
    horizon: int = 0,
    seed: int = 0,
) -> PairSet:
    """Pairs of two complete trajectories of one task by reward alone (the baselines' rules).

    Without ``demos`` the trajectories of ``columns`` are compared with each other; with
    ``per_task`` the pairs of a task are drawn by ``seed``. Otherwise each task's demonstration
    (matched by name) is preferred to every trajectory with lower G. Uncounted trajectories are
    left out.
    """
    dropped: Counter[str] = Counter()
    experts = _by_task(demos) if demos is not None else {}
    pair_filter = PairFilter(columns, demos)
    pairs: list[Pair] = []
    compared = 0
    generator = np.random.default_rng(seed)
    position = {name: place for place, name in enumerate(columns.tasks)}
    for task, members in _by_task(columns).items():
        if demos is not None:
            better, source = experts.get(task, []), demos
            number, possible = position[task], len(better) * len(members)
        else:
            better, source = members, columns
            number, possible = position[task], len(members) * (len(members) - 1) // 2
        compared += possible > 0
        index = PairIndex(better, source.score, members, columns.score, min_gap)
        dropped[GAP] += possible - index.pairs
        task_pairs: list[Pair] = []
        for place in index.order(generator, drawn=bool(per_task)):
            if per_task and len(task_pairs) == per_task:
                dropped[PER_TASK] += index.pairs - index.looked_at
                break
            chosen, rejected = index.pair(place)
            pair = Pair(
                number,
                0,
                chosen,
                rejected,
                float(source.score[chosen]),
                float(columns.score[rejected]),
                horizon=horizon,
            )
            index.looked_at += 1
            if pair_filter.accepts(pair, dropped):
                task_pairs.append(pair)
        pairs += sorted(task_pairs, key=lambda pair: (pair.chosen, pair.rejected))
    return PairSet(pairs, _nonzero(dropped), compared, demonstrated=demos is not None)


class _Extremes:
    """The best and the worst trajectory through every node: by G, then the first inserted."""

    def __init__(self, forest: Forest) -> None:
        columns = forest.columns
        steps = np.flatnonzero(forest.step_node >= 0)
        trajectory = np.repeat(np.arange(len(columns)), columns.lengths)[steps]
        node = forest.step_node[steps]
        self.best = np.full(len(forest), -1, dtype=np.int64)
        self.worst = np.full(len(forest), -1, dtype=np.int64)
        # The last assignment wins, so the best (or worst) one comes last.
        rising = np.lexsort((-trajectory, columns.score[trajectory]))
        self.best[node[rising]] = trajectory[rising]
        falling = np.lexsort((-trajectory, -columns.score[trajectory]))
        self.worst[node[falling]] = trajectory[falling]


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


def _branch_pairs(
    forest: Forest, branches: list[int], select: BranchSelect, min_gap: float, dropped: Counter[str]
) -> Iterator[tuple[int, int]]:
    """``(better, worse)`` first nodes of branches, by descending value, ties in insertion order."""
    ranked = sorted(branches, key=lambda child: (-forest.mean[child], child))
    if select == "all":
        candidates = list(combinations(ranked, 2))
    elif select == "adjacent":
        candidates = list(pairwise(ranked))
    else:
        candidates = [_widest_gap(forest, ranked)]
    for better, worse in candidates:
        if forest.mean[better] - forest.mean[worse] <= min_gap:
            dropped[GAP] += 1
        elif forest.action[better] == forest.action[worse]:
            dropped[SAME_ACTION] += 1
        else:
            yield better, worse


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


class PairFilter:
    """Drops pairs without texts and duplicates, compared by the numbers of their texts."""

    def __init__(self, columns: Columns, demos: Columns | None = None) -> None:
        self._rejected = columns
        self._chosen = demos if demos is not None else columns
        self._seen: set[tuple[bytes, ...]] = set()

    def accepts(self, pair: Pair, dropped: Counter[str]) -> bool:
        """Whether the pair has texts on both sides, which differ, and was not seen before."""
        prompt = _text_numbers(self._chosen, pair.chosen, 0, pair.step)
        chosen = _text_numbers(self._chosen, pair.chosen, pair.step, pair.horizon)
        rejected = _text_numbers(self._rejected, pair.rejected, pair.step, pair.horizon)
        key = (np.int64(pair.task).tobytes(), prompt, chosen, rejected)
        if not chosen or not rejected:
            dropped[SILENT] += 1
        elif self._chosen is self._rejected and chosen == rejected:
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


def _by_task(columns: Columns) -> dict[str, list[int]]:
    """Counted trajectories by task name, tasks in the order of their numbers."""
    members: dict[str, list[int]] = {name: [] for name in columns.tasks}
    for trajectory in np.flatnonzero(columns.counted).tolist():
        members[columns.tasks[int(columns.task[trajectory])]].append(trajectory)
    return members


def _widest(
    pairs: list[Pair], limit: int, seed: int, dropped: Counter[str], reason: str
) -> list[Pair]:
    """The ``limit`` pairs with the widest gaps, in their old order."""
    if not limit or len(pairs) <= limit:
        return pairs
    # The draw depends on the place of the pairs alone, so one task never changes another's.
    lot = np.random.default_rng((seed, pairs[0].task, pairs[0].node + 1)).permutation(len(pairs))
    ranked = sorted(range(len(pairs)), key=lambda index: (-pairs[index].gap, lot[index]))
    dropped[reason] += len(pairs) - limit
    return [pairs[index] for index in sorted(ranked[:limit])]


def _limited(
    pairs: list[Pair], per_task: int, seed: int, dropped: Counter[str], divergences: int
) -> PairSet:
    by_task: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_task.setdefault(pair.task, []).append(pair)
    limited = [
        pair
        for task in sorted(by_task)
        for pair in _widest(by_task[task], per_task, seed, dropped, PER_TASK)
    ]
    return PairSet(limited, _nonzero(dropped), divergences)


def _nonzero(dropped: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(dropped.items()) if count}
