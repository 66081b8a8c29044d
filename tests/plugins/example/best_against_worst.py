"""One pair a task: the best of its trajectories against the worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet


@dataclass(frozen=True)
class Settings:
    successes_only: bool = False


RULE = PairRule(
    name="best-against-worst",
    summary="a task's best trajectory against its worst",
    sources=("rollouts",),
    body="best_against_worst:mine",
    settings=Settings,
)


def mine(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of trajectories by index; ``settings.successes_only`` wants a successful best one."""
    from tratree_cli.trees.pairs import GAP, Pair, PairSet

    settings: Settings = parameters.own
    members: dict[str, list[int]] = {}
    for index, trajectory in enumerate(sources.rollouts.trajectories):
        if trajectory.counted:
            members.setdefault(trajectory.task, []).append(index)
    pairs, too_close = [], 0
    for task, name in enumerate(sorted(members)):
        indices = members[name]
        scores = {index: sources.rollouts.trajectories[index].score or 0.0 for index in indices}
        best, worst = max(indices, key=scores.__getitem__), min(indices, key=scores.__getitem__)
        success = sources.rollouts.trajectories[best].success
        if scores[best] - scores[worst] <= parameters.min_gap:
            too_close += 1
        elif success or not settings.successes_only:
            pairs.append(Pair(task, 0, best, worst, scores[best], scores[worst]))
    return PairSet(pairs, {GAP: too_close}, divergences=len(members))
