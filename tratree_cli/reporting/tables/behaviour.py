"""How episodes went: a reward can rise because more of them finish or because they end better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

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
    by_task,
    malformed,
    mean,
    repeating,
    share_of,
)
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
        shares = [share_of(r.evaluation.results, part, r.descriptor.best_of) for r in group.runs]
        known = [share for share in shares if share is not None]
        figures.append(_mean([100 * share.share for share in known]))
        if part.with_reward:
            rewards = [100 * share.reward for share in known if share.reward is not None]
            figures.append(_mean(rewards))

    def over_runs(figure: Callable[[EvaluationRow], float | None]) -> float | None:
        return _mean([value for run in group.runs if (value := figure(run)) is not None])

    repeats = over_runs(lambda run: _task_mean(run, repeating))
    metrics = [run.evaluation.metrics for run in group.runs]
    return [
        *figures,
        None if repeats is None else 100 * repeats,
        over_runs(lambda run: _task_mean(run, malformed)),
        group.mean("steps"),
        group.mean("invalid"),
        sum(one.episodes for one in metrics),
        sum(one.unscored for one in metrics),
    ]


def _task_mean(run: EvaluationRow, figure: Callable[..., float | None]) -> float | None:
    return mean(by_task(run.evaluation.results, figure, run.descriptor.best_of))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
