"""Pairs where two actions from one state part, whichever histories led there.

In a tree two branches are compared below one node; here all trajectories that were in a state are,
so that a failure that came another way may teach against a success. Each side is a recorded
continuation and the context of both is the history of the chosen one, up to its last visit of the
state: what the rejected side did was recorded after another history where the two differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import NO_ACTION, FloatArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.pair_limits import PairFilter, at_horizons, counted, limited, widest
from tratree_cli.trees.pairs import (
    GAP,
    LOW_CHOSEN,
    NO_EFFECT,
    PER_NODE,
    ROUNDING,
    UNPARSABLE_SIDE,
    BranchSelect,
    KindOf,
    Pair,
    PairSet,
    no_kind,
)
from tratree_cli.trees.state_graph import NEVER, StateGraph

By: TypeAlias = Literal["outcome", "distance"]

SAME_TRAJECTORY = "one trajectory on both sides"
OTHER_OUTCOME = "recorded ends say otherwise"


@dataclass(frozen=True)
class _Turn:
    """A step of a trajectory as one side of a pair: its place in it, and how many follow."""

    trajectory: int
    place: int
    left: int
    score: float


def mine_graph(
    graph: StateGraph,
    forest: Forest,
    *,
    by: By = "outcome",
    discount: float = 0.8,
    select: BranchSelect = "best-worst",
    min_gap: float = 0.1,
    min_chosen: float = 0.0,
    keep_invalid: bool = False,
    per_node: int = 0,
    per_kind: int = 0,
    per_task: int = 0,
    horizons: Sequence[int] = (0,),
    seed: int = 0,
    kind_of: KindOf = no_kind,
) -> PairSet:
    """Pairs at the states of ``graph`` that were answered with different actions.

    An answer is worth its expected G (``outcome``), or ``discount`` to the power of its distance to
    a success, 0 where none was reached (``distance``). Chosen is the recorded continuation of the
    better answer with the highest G, then the fewest steps left; rejected that of the worse one
    with the lowest G, then the most steps left. A pair whose own recorded ends say otherwise is
    dropped. The other parameters are those of ``divergence_pairs.mine``; ``forest`` gives the nodes
    that pairs name.
    """
    value = graph.answer_value
    if by == "distance":
        away = graph.answer_distance
        value = np.where(away == NEVER, 0.0, discount ** np.maximum(away, 0))
    dropped: Counter[str] = Counter()
    turns = _turns(graph, keep_invalid)
    pair_filter = PairFilter(graph.columns)
    pairs: list[Pair] = []
    divergences = 0
    for state in np.flatnonzero(np.bincount(graph.answer_state) > 1).tolist():
        divergences += 1
        answers = list(graph.answers(state))
        usable = [answer for answer in answers if turns[answer]]
        for answer in answers:
            if not turns[answer] and _apart(value, answer, answers, min_gap):
                unparsable = graph.answer_action[answer] == NO_ACTION
                dropped[UNPARSABLE_SIDE if unparsable else NO_EFFECT] += 1
        candidates: list[Pair] = []
        for better, worse in _compared(value, usable, select):
            if value[better] - value[worse] <= min_gap:
                dropped[GAP] += 1
                continue
            sides = _sides(turns[better], turns[worse], horizons[-1])
            if isinstance(sides, str):
                dropped[sides] += 1
                continue
            chosen, rejected = sides
            step = int(graph.columns.offsets[chosen.trajectory]) + chosen.place
            pair = Pair(
                task=int(graph.task[state]),
                step=chosen.place,
                chosen=chosen.trajectory,
                rejected=rejected.trajectory,
                chosen_value=float(value[better]),
                rejected_value=float(value[worse]),
                chosen_visits=int(graph.tried[better]),
                rejected_visits=int(graph.tried[worse]),
                node=int(forest.parent[forest.step_node[step]]),
                horizon=horizons[-1],
                kind=kind_of(int(graph.answer_action[better]), int(graph.answer_action[worse])),
            )
            if chosen.score < min_chosen - ROUNDING:
                dropped[LOW_CHOSEN] += 1
                continue
            elsewhere = rejected.place != chosen.place or rejected.trajectory == chosen.trajectory
            pair = replace(pair, rejected_step=rejected.place) if elsewhere else pair
            if pair_filter.accepts(pair, dropped):
                candidates.append(pair)
        pairs += widest(candidates, per_node, seed, dropped, PER_NODE)
    pairs = limited(pairs, per_kind, per_task, seed, dropped)
    pairs = at_horizons(pairs, horizons, graph.columns, None, dropped)
    return PairSet(pairs, counted(dropped), divergences)


def _turns(graph: StateGraph, keep_invalid: bool) -> list[list[_Turn]]:
    """Of every answer the turns that may stand for it: of each trajectory its last."""
    columns = graph.columns
    latest: list[dict[int, _Turn]] = [{} for _ in range(len(graph.answer_state))]
    owners = graph.owner[graph.steps].tolist()
    lengths = columns.lengths
    for step, owner, answer in zip(
        graph.steps.tolist(), owners, graph.step_answer.tolist(), strict=True
    ):
        if keep_invalid or columns.valid[step]:
            place = step - int(columns.offsets[owner])
            left = int(lengths[owner]) - place - 1
            latest[answer][owner] = _Turn(owner, place, left, float(columns.score[owner]))
    return [list(turns.values()) for turns in latest]


def _apart(value: FloatArray, answer: int, answers: Sequence[int], min_gap: float) -> bool:
    return any(abs(value[other] - value[answer]) > min_gap for other in answers)


def _compared(
    value: FloatArray, answers: Sequence[int], select: BranchSelect
) -> list[tuple[int, int]]:
    """Pairs of answers by descending value, ties in the order in which they were first given."""
    ranked = sorted(answers, key=lambda answer: (-value[answer], answer))
    if len(ranked) < 2:
        return []
    if select == "all":
        return list(combinations(ranked, 2))
    if select == "adjacent":
        return list(pairwise(ranked))
    worst = min(ranked, key=lambda answer: (value[answer], answer))
    return [(ranked[0], worst)] if worst != ranked[0] else [(ranked[0], ranked[-1])]


def _sides(
    better: Sequence[_Turn], worse: Sequence[_Turn], horizon: int
) -> tuple[_Turn, _Turn] | str:
    """The turns that stand for two answers, or why none do."""
    chosen = min(better, key=lambda turn: (-turn.score, turn.left, turn.trajectory))
    others = [turn for turn in worse if _separate(chosen, turn, horizon)]
    if not others:
        return SAME_TRAJECTORY
    rejected = min(others, key=lambda turn: (turn.score, -turn.left, turn.trajectory))
    ahead = chosen.score - rejected.score
    if ahead < -ROUNDING or (ahead <= ROUNDING and chosen.left >= rejected.left):
        return OTHER_OUTCOME
    return chosen, rejected


def _separate(chosen: _Turn, other: _Turn, horizon: int) -> bool:
    """Whether a rejected side is no part of the chosen one: another trajectory's, or cut before."""
    if chosen.trajectory != other.trajectory:
        return True
    return horizon > 0 and other.place + horizon <= chosen.place
