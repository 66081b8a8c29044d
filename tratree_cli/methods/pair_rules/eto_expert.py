"""ETO's pairs as published: the expert's trajectory and the model's own, the better preferred.

Song et al., 2024 (arXiv 2403.02502; ``construct_preference.py`` of their repository): the SFT model
plays the tasks of the demonstrations, and of the demonstration and its own trajectory the one with
the higher reward is preferred; equal ones make no pair. DMPO takes the same pairs (Shi et al.,
2024, arXiv 2406.14868; ``construct_preference_nocut.py``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.columns import Columns
    from tratree_cli.trees.pairs import Pair, PairSet

RULE = PairRule(
    name="eto-expert",
    summary="a task's demonstration and each trajectory of the strong model, the better preferred",
    sources=("rollouts", "demos"),
    with_demonstrations=True,
    explorer="strong",
    reads=FOR_EVERY_RULE,
    body="tratree_cli.methods.pair_rules.eto_expert:mine_both_ways",
    rank=32,
)


def mine_both_ways(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of the demonstrations and the rollouts' own trajectories, in either direction.

    Limits per task hold for each direction by itself.
    """
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.trees.pairs import GAP, PairSet

    pool, own = sources.rollouts, sources.own
    columns = columns_from_rollouts(pool)
    played = columns_from_rollouts(replace(pool, trajectories=pool.trajectories[:own]))
    experts = columns_from_rollouts(replace(pool, trajectories=pool.trajectories[own:]))

    def preferred(better: Columns, worse: Columns) -> PairSet:
        return parameters.whole(worse, sources.kinds(), better)

    task = {name: place for place, name in enumerate(columns.tasks)}

    def moved(pair: Pair, tasks: Any, chosen: int, rejected: int) -> Pair:
        name = tasks[pair.task]
        return replace(
            pair, task=task[name], chosen=pair.chosen + chosen, rejected=pair.rejected + rejected
        )

    by_expert, by_own = preferred(experts, played), preferred(played, experts)
    pairs = [moved(pair, played.tasks, own, 0) for pair in by_expert.pairs]
    pairs += [moved(pair, experts.tasks, 0, own) for pair in by_own.pairs]
    dropped = Counter(by_expert.dropped) + Counter(by_own.dropped)
    # Each comparison is made twice, and falls under the gap in one direction at least.
    dropped[GAP] -= _comparisons(played, experts)
    found = PairSet(
        sorted(pairs, key=lambda pair: (pair.task, pair.chosen, pair.rejected, -pair.horizon)),
        {reason: count for reason, count in dropped.items() if count},
        by_expert.divergences,
    )
    return parameters.finished(found, sources, columns)


def _comparisons(played: Columns, experts: Columns) -> int:
    """How many pairs of a demonstration and an own trajectory of its task there are."""
    counts = [
        Counter(
            columns.tasks[int(task)]
            for task, counted in zip(columns.task, columns.counted, strict=True)
            if counted
        )
        for columns in (played, experts)
    ]
    return sum(counts[0][name] * counts[1][name] for name in counts[0])
