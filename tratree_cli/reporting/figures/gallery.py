"""Some twenty tasks with the transcripts of a few policies, to be folded and browsed.

The tasks are those on which the best policy in question gains and loses most against the baseline,
and others at equal distances between them: what went wrong stands beside what went well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import Comparison, Gallery
from tratree_cli.display.text import one_line
from tratree_cli.methods.registry import BASELINE, WEAK, is_method, method, title
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow

if TYPE_CHECKING:
    from tratree_cli.display.blocks import Block, Lane, Turn
    from tratree_cli.formats.rollouts import Rollouts

TASKS = 20
_EXTREMES = 7
"""Of so many tasks at either end of the difference; the others lie between."""
_SEEN = 300


def blocks(data: ReportData) -> tuple[Block, ...]:
    """A gallery for every environment, of the first seed."""
    if data.store is None:
        return ()
    drawn = {environment: gallery(rows) for environment, rows in data.main_rows.items()}
    return in_each_environment(drawn, data)


def gallery(rows: Sequence[EvaluationRow]) -> tuple[Gallery, ...]:
    """The gallery of one environment's policies; none without two of them on one split."""
    from tratree_cli.display.case_study import compare_on_task
    from tratree_cli.formats.rollouts import read_rollouts

    shown = _shown(rows)
    if len(shown) < 2:
        return ()
    scores = [_first_scores(row) for row in shown]
    tasks = chosen_tasks(scores[-1], scores[-2])
    policies = [
        (title(row.descriptor.method), read_rollouts(row.lineage.evaluation.path))
        for row in shown
        if row.lineage is not None
    ]
    rival, baseline = policies[-1][0], policies[-2][0]
    compared = tuple(_titled(compare_on_task(task, policies), policies, task) for task in tasks)
    note = f"The first episode of each policy on {len(tasks)} of {len(scores[-1])} tasks"
    if len(tasks) < len(scores[-1]):
        note += (
            f": those on which {rival} gains and loses most against {baseline}, and others at "
            "equal distances between"
        )
    return (Gallery("gallery", "Tasks and transcripts", compared, (f"{note}.",)),)


def chosen_tasks(rival: Mapping[str, float], baseline: Mapping[str, float]) -> list[str]:
    """At most ``TASKS`` tasks by the difference of two scores, from the largest gain down."""
    both = sorted(
        (task for task in rival if task in baseline),
        key=lambda task: (baseline[task] - rival[task], task),
    )
    if len(both) <= TASKS:
        return both
    between = both[_EXTREMES:-_EXTREMES]
    count = TASKS - 2 * _EXTREMES
    spread = [between[(2 * i + 1) * len(between) // (2 * count)] for i in range(count)]
    return [*both[:_EXTREMES], *spread, *both[-_EXTREMES:]]


def _shown(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    """The weak model, the baseline and the best policy in question, on one split."""
    split = rows[0].descriptor.task_set if rows else ""
    here = [r for r in rows if r.descriptor.task_set == split and r.lineage is not None]
    by_method: dict[str, EvaluationRow] = {}
    for row in here:
        by_method.setdefault(row.descriptor.method, row)
    trained = [
        row
        for name, row in by_method.items()
        if is_method(name) and method(name).group == "main" and row.evaluation.metrics.reward
    ]
    best = max(trained, key=_reward, default=None)
    wanted = [by_method.get(WEAK), by_method.get(BASELINE), best]
    return [row for row in wanted if row is not None]


def _reward(row: EvaluationRow) -> float:
    reward = row.evaluation.metrics.reward
    return reward.value if reward else 0.0


def _first_scores(row: EvaluationRow) -> dict[str, float]:
    scores: dict[str, float] = {}
    for result in row.evaluation.results:
        if result.score is not None:
            scores.setdefault(result.task, result.score)
    return scores


def _titled(
    comparison: Comparison, policies: Sequence[tuple[str, Rollouts]], task: str
) -> Comparison:
    """The comparison under a title that tells its outcomes, with its observations cut."""
    outcomes = ", ".join(f"{lane.label} {_score(lane)}" for lane in comparison.lanes)
    words = one_line(comparison.instruction, 90)
    return replace(
        comparison,
        key=f"gallery-{task}",
        title=f"Task {task} · {outcomes} · {words}",
        lanes=tuple(replace(ln, turns=tuple(map(_cut, ln.turns))) for ln in comparison.lanes),
    )


def _score(lane: Lane) -> str:
    return lane.outcome.partition(",")[0].removeprefix("reward ")


def _cut(turn: Turn) -> Turn:
    seen = turn.observation
    return replace(turn, observation=seen if len(seen) <= _SEEN else f"{seen[:_SEEN]}…")
