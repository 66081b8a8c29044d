"""How episodes went: a reward can rise because more of them finish or because they end better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TypeAlias

from tratree_cli.display.blocks import (
    COUNT,
    NUMBER,
    PERCENT,
    RATIO,
    TEXT,
    Block,
    Cell,
    Column,
    Row,
    Table,
)
from tratree_cli.envs.protocol import RewardPart
from tratree_cli.envs.registry import reward_parts
from tratree_cli.evaluation.behaviour import (
    Figure,
    by_task,
    malformed,
    mean,
    repeating,
    share_of,
)
from tratree_cli.reporting.cohort_figures import seed_means
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.selection import cohort_label

_NOTE = (
    "Strict: episodes with a reward of 1. {parts} Reward if: mean reward of these episodes "
    "times 100. Repeats: episodes that take an action again where it can lead nowhere new (in the "
    "same observation, or at once without any effect). Malformed: turns without an action an "
    "episode. Steps and invalid actions are means an episode."
)


def tables(data: ReportData) -> tuple[Block, ...]:
    """A table for every environment, because each names the parts of its reward."""
    environments = dict.fromkeys(group.descriptor.environment for group in data.main)
    return in_each_environment(
        {
            environment: [
                behaviour_table(
                    [g for g in data.main if g.descriptor.environment == environment],
                    reward_parts(environment),
                    data.main,
                )
            ]
            for environment in environments
        },
        data,
    )


def behaviour_table(
    groups: Sequence[Cohort], parts: Sequence[RewardPart], shown: Sequence[Cohort]
) -> Table:
    """Strict success, the parts of the reward, repetitions, malformed turns, steps, scores.

    ``shown`` are all cohorts of the report, which decide how much a policy's label must say.
    """
    columns = [Column("Policy", TEXT), Column("Strict", PERCENT)]
    for part in parts:
        columns.append(Column(part.name.capitalize(), PERCENT))
        if part.with_reward:
            columns.append(Column(f"Reward if {part.name}", NUMBER))
    columns += [
        Column("Repeats", PERCENT),
        Column("Malformed", RATIO),
        Column("Steps"),
        Column("Invalid"),
        Column("Scored", COUNT),
        Column("Unscored", COUNT),
    ]
    rows = [
        Row((Cell(cohort_label(group, shown)), *(Cell(value) for value in _figures(group, parts))))
        for group in groups
    ]
    meanings = " ".join(f"{part.name.capitalize()}: {part.meaning}." for part in parts)
    return Table(
        key="behaviour",
        title="How episodes went",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(_NOTE.format(parts=meanings),),
    )


def _figures(group: Cohort, parts: Sequence[RewardPart]) -> list[float | None]:
    figures: list[float | None] = [group.mean("perfect")]
    for part in parts:
        figures.append(_percent(_mean(group, _share(part))))
        if part.with_reward:
            figures.append(_percent(_mean(group, _reward_if(part))))
    metrics = [run.evaluation.metrics for run in group.runs]
    return [
        *figures,
        _percent(_mean(group, _task_mean(repeating))),
        _mean(group, _task_mean(malformed)),
        group.mean("steps"),
        group.mean("invalid"),
        sum(one.episodes for one in metrics),
        sum(one.unscored for one in metrics),
    ]


OfRun: TypeAlias = Callable[[EvaluationRow], "float | None"]


def _mean(group: Cohort, figure: OfRun) -> float | None:
    """Over training seeds; None where no run knows the figure."""
    values = seed_means(group, figure)
    return fmean(values) if values else None


def _share(part: RewardPart) -> OfRun:
    def share(run: EvaluationRow) -> float | None:
        found = share_of(run.evaluation.results, part, run.descriptor.best_of)
        return None if found is None else found.share

    return share


def _reward_if(part: RewardPart) -> OfRun:
    def reward(run: EvaluationRow) -> float | None:
        found = share_of(run.evaluation.results, part, run.descriptor.best_of)
        return None if found is None else found.reward

    return reward


def _task_mean(figure: Figure) -> OfRun:
    return lambda run: mean(by_task(run.evaluation.results, figure, run.descriptor.best_of))


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
