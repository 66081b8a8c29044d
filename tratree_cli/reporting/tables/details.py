"""Behind the headline: how episodes went, by type of task, and what each policy cost.

A reward can rise because more episodes finish or because purchases get better; these tables tell
the two apart, and keep the price of every figure next to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from statistics import fmean

from tratree_cli.display.blocks import COUNT, PERCENT, SECONDS, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.artifact import UNKNOWN_BUDGET
from tratree_cli.reporting.cohorts import Cohort, Run
from tratree_cli.reporting.selection import Place, place_of, places, several_within

_TREE_STAGES = ("build-tree", "mcts", "mine-pairs")
PIPELINE = (
    "demos",
    "sft",
    "explore",
    "build-tree",
    "mine-pairs",
    "mcts",
    "ref-logps",
    "train-strong",
    "eval",
)
"""Stages in the order in which they feed each other; others stand before them."""
_EFFORT = {
    "cpu_seconds": Column("CPU", SECONDS),
    "gpu_seconds": Column("GPU", SECONDS),
    "episodes": Column("Episodes", COUNT),
    "tokens": Column("Tokens", COUNT),
}


def behaviour_table(groups: Sequence[Cohort]) -> Table:
    """Perfect and finished episodes, steps, invalid actions, and episodes without a score."""
    return Table(
        key="behaviour",
        title="How episodes went",
        columns=(
            Column("Policy", TEXT),
            Column("Perfect", PERCENT),
            Column("Finished", PERCENT),
            Column("Steps"),
            Column("Invalid"),
            Column("Scored", COUNT),
            Column("Unscored", COUNT),
        ),
        rows=tuple(
            Row(
                (
                    Cell(_name(group, groups)),
                    Cell(group.mean("perfect")),
                    Cell(group.mean("finished")),
                    Cell(group.mean("steps")),
                    Cell(group.mean("invalid")),
                    Cell(sum(run.evaluation.metrics.episodes for run in group.runs)),
                    Cell(sum(run.evaluation.metrics.unscored for run in group.runs)),
                )
            )
            for group in groups
        ),
        notes=(
            "Perfect: reward 1. Finished: ended by the agent's own doing, not by the step limit. "
            "Steps and invalid actions are means per episode.",
        ),
    )


def endings_table(groups: Sequence[Cohort]) -> Table:
    """How many episodes ended in which way, over all seeds."""
    names = sorted({end for group in groups for run in group.runs for end in _endings(run)})
    return Table(
        key="endings",
        title="How episodes ended",
        columns=(Column("Policy", TEXT), *(Column(name, COUNT) for name in names)),
        rows=tuple(
            Row(
                (
                    Cell(_name(group, groups)),
                    *(
                        Cell(sum(_endings(run).get(name, 0) for run in group.runs))
                        for name in names
                    ),
                )
            )
            for group in groups
        ),
    )


def type_table(groups: Sequence[Cohort], place: Place) -> Table | None:
    """Average reward by type of task at ``place``; None when all tasks are of one type.

    Policies or types, whichever take more room as heads, go down the page, which is long.
    """
    groups = [group for group in groups if place.holds(group)]
    types: dict[str, int] = {}
    for group in groups:
        for kind in group.runs[0].evaluation.metrics.types:
            types[kind.name] = max(types.get(kind.name, 0), kind.tasks)
    if len(types) < 2:
        return None
    names = sorted(types)
    if _room(_name(group, groups) for group in groups) > _room(names):
        heads = [Column("Policy", TEXT), *(Column(f"{name} ({types[name]})") for name in names)]
        lines = [
            (Cell(_name(group, groups)), *(_type_cell(group, name) for name in names))
            for group in groups
        ]
        counted = ["In brackets: tasks of the type."]
    else:
        heads = [Column("Type", TEXT), Column("Tasks", COUNT)]
        heads += [Column(_name(group, groups)) for group in groups]
        lines = [
            (Cell(name), Cell(types[name]), *(_type_cell(group, name) for group in groups))
            for name in names
        ]
        counted = []
    rough = "Few tasks of a type make a rough figure; intervals are over tasks of the type."
    return Table(
        key=f"types-{place.environment or 'all'}-{place.split or 'all'}",
        title=f"Average reward by type of task, {place.title}",
        columns=tuple(heads),
        rows=tuple(map(Row, lines)),
        notes=(*counted, rough),
    )


def _room(heads: Iterable[str]) -> int:
    """Characters that columns with these heads take; a figure takes some by itself."""
    return sum(max(len(head), 6) for head in heads)


def sampling_table(groups: Sequence[Cohort]) -> Table | None:
    """Greedy against sampled, and the best of N, for policies with several samples a task."""
    rows = []
    for group in groups:
        metrics = group.runs[0].evaluation.metrics
        if len(metrics.settings) < 2 and not metrics.best_of:
            continue
        ways = [(setting.name, setting.reward) for setting in metrics.settings]
        ways += [(f"best of {n}", one) for n, one in (metrics.best_of or {}).items() if n > 1]
        rows += [
            Row((Cell(group.name), Cell(name), Cell(one.value, one.low, one.high)))
            for name, one in ways
        ]
    if not rows:
        return None
    return Table(
        key="sampling",
        title="Average reward by sampling",
        columns=(Column("Policy", TEXT), Column("Samples", TEXT), Column("Avg reward")),
        rows=tuple(rows),
        notes=(
            "Best of N picks by the environment's own score, which a deployed agent does not see. "
            "First seed only.",
        ),
    )


def budget_table(groups: Sequence[Cohort]) -> Table | None:
    """What each method was given to learn from; unequal rows are unequal comparisons.

    None where nothing is known of any of them.
    """
    if all(group.budget == UNKNOWN_BUDGET for group in groups):
        return None
    return Table(
        key="budget",
        title="Data and training behind each policy",
        columns=(
            Column("Policy", TEXT),
            Column("Demos", COUNT),
            Column("Episodes", COUNT),
            Column("Updates", COUNT),
            Column("Tokens", COUNT),
        ),
        rows=tuple(
            Row(
                (
                    Cell(_name(group, groups)),
                    Cell(group.budget.demonstrations),
                    Cell(group.budget.episodes),
                    Cell(group.budget.optimizer_steps),
                    Cell(group.budget.tokens),
                )
            )
            for group in groups
        ),
        notes=(
            "Demos: expert demonstrations. Episodes: those whose reward was read for training. "
            "Updates: optimizer steps of the evaluated model's weights. A dash: not known.",
        ),
    )


def cost_table(groups: Sequence[Cohort]) -> Table | None:
    """What a policy cost altogether, tree plus search apart (section 4.2); None if unrecorded."""
    recorded = _recorded(groups)
    if not recorded:
        return None
    efforts = [name for name in _EFFORT if any(g.effort(name) is not None for g in recorded)]
    rows = []
    for group in recorded:
        by_stage = _by_stage(group)
        search = [by_stage[stage] for stage in _TREE_STAGES if by_stage.get(stage)]
        rows.append(
            Row(
                (
                    Cell(_name(group, groups)),
                    Cell(group.seconds),
                    Cell(sum(search) if search else None),
                    *(Cell(group.effort(name)) for name in efforts),
                )
            )
        )
    return Table(
        key="cost",
        title="Cost of a policy from its demonstrations to its evaluation",
        columns=(
            Column("Policy", TEXT),
            Column("Seconds", SECONDS),
            Column("Tree + search", SECONDS),
            *(_EFFORT[name] for name in efforts),
        ),
        rows=tuple(rows),
        notes=(
            "Seconds: wall-clock when the artifacts were made; what several rows share counts in "
            "each. Tree + search: build-tree, mine-pairs and mcts over all tasks (section 4.2). "
            "CPU: of all processes. GPU: wall-clock of the stages that computed on one. Episodes "
            "and sampled tokens: demonstrations, exploration and evaluation. Means over seeds.",
        ),
    )


def stage_table(groups: Sequence[Cohort]) -> Table | None:
    """Seconds by stage, in the order of the pipeline; None if unrecorded."""
    recorded = _recorded(groups)
    if not recorded:
        return None
    found = dict.fromkeys(s for group in recorded for run in group.runs for s in run.seconds)
    stages = sorted(found, key=lambda one: PIPELINE.index(one) if one in PIPELINE else -1)
    rows = []
    for group in recorded:
        by_stage = _by_stage(group)
        seconds = (Cell(by_stage.get(stage) or None) for stage in stages)
        rows.append(Row((Cell(_name(group, groups)), *seconds)))
    return Table(
        key="stages",
        title="Seconds by stage",
        columns=(Column("Policy", TEXT), *(Column(stage, SECONDS) for stage in stages)),
        rows=tuple(rows),
        notes=("Wall-clock as recorded, also where the machine was shared. Means over seeds.",),
    )


def _recorded(groups: Sequence[Cohort]) -> list[Cohort]:
    return [group for group in groups if any(run.seconds for run in group.runs)]


def _by_stage(group: Cohort) -> dict[str, float]:
    stages = dict.fromkeys(stage for run in group.runs for stage in run.seconds)
    return {stage: fmean(run.seconds.get(stage, 0.0) for run in group.runs) for stage in stages}


def _name(group: Cohort, groups: Sequence[Cohort]) -> str:
    """The policy's name with what tells it from its namesakes: environment, sweep, family."""
    descriptor = group.descriptor
    marks = [place_of(group, groups).title] if len(places(groups)) > 1 else []
    marks += [f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied]
    for role in ("family", "weak"):
        model = attrgetter(f"descriptor.{role}")
        marks += [model(group)] if model(group) and several_within(groups, model) else []
    return f"{group.name} ({', '.join(marks)})" if marks else group.name


def _endings(run: Run) -> Mapping[str, int]:
    return run.evaluation.metrics.endings or {}


def _type_cell(group: Cohort, name: str) -> Cell:
    found = group.by_type.get(name)
    return Cell() if found is None else Cell(found.value, found.low, found.high)
