"""The methods in question against their controls as a table: what they add beyond what comes along.

Strict success stands beside the reward, because a policy may gain in one of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import (
    NUMBER,
    P_VALUE,
    RATIO,
    SIGNIFICANT,
    TEXT,
    Cell,
    Column,
    Row,
    Table,
)
from tratree_cli.evaluation.compare import PairedDifference
from tratree_cli.evaluation.significance import ONE_SEED, SeedTest
from tratree_cli.reporting.baseline_comparison import ALPHA, extra_data
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.control_comparison import AgainstControl, against_controls, apart
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title, eval_sets, main_cohorts


def tables(data: ReportData) -> Iterator[Table]:
    """A table for every environment and split in which some control was evaluated."""
    main = main_cohorts(data.cohorts)
    for eval_set in eval_sets(main):
        here = [group for group in main if eval_set.holds(group)]
        title = eval_set.title if eval_set.environment else ""
        if (table := controls_table(here, title)) is not None:
            yield table


def controls_table(groups: Sequence[Cohort], where: str = "") -> Table | None:
    """The comparison within one environment and split; None without a control.

    ``where`` names them in the title (default: the environment).
    """
    comparisons = against_controls(groups)
    if not comparisons:
        return None
    tested = any(one.reward_p is not None for one in comparisons)
    given = [extra_data(one.own, one.control) for one in comparisons]
    p = [Column("Welch p", P_VALUE), Column("Hedges g", RATIO)] if tested else []
    columns = [
        Column("Policy", TEXT),
        Column("Control", TEXT),
        Column("Difference", NUMBER),
        *p,
        Column("Strict", NUMBER),
        *([Column("Strict p", P_VALUE)] if tested else []),
        Column("Data beside it", TEXT),
    ]
    rows = [Row(_cells(one, tested, data)) for one, data in zip(comparisons, given, strict=True)]
    descriptor = comparisons[0].own.descriptor
    environment, split = descriptor.environment, descriptor.task_set
    where = where or (environment_title(environment) if environment else "")
    return Table(
        key=f"controls-{environment or 'all'}-{split or 'all'}",
        title="Against the controls" + (f" on {where}" if where else ""),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=_notes(comparisons, tested),
    )


def _cells(one: AgainstControl, tested: bool, given: str) -> tuple[Cell, ...]:
    return (
        Cell(one.own.name),
        Cell(one.control.name),
        _difference(one.reward),
        *((_p_cell(one.reward_p, one.reward_test), Cell(one.effect)) if tested else ()),
        _difference(one.strict),
        *((_p_cell(one.strict_p, one.strict_test),) if tested else ()),
        Cell(given or None),
    )


def _difference(paired: PairedDifference) -> Cell:
    interval = paired.difference
    if interval is None:
        return Cell()
    mark = SIGNIFICANT if apart(interval) else ""
    return Cell(interval.value, interval.low, interval.high, mark=mark)


def _p_cell(p: float | None, test: SeedTest) -> Cell:
    if p is None:
        return Cell("one seed" if test.note == ONE_SEED else None)
    return Cell(p, mark=SIGNIFICANT if p < ALPHA else "")


def _notes(comparisons: Sequence[AgainstControl], tested: bool) -> tuple[str, ...]:
    notes = [
        "Difference: average reward minus the control's on the same tasks; strict: the same of the "
        "percentage of episodes with a reward of 1. Paired bootstrap intervals over tasks; * where "
        "one leaves out 0. Data beside it: what the policy was given beyond the control."
    ]
    if tested:
        number = sum(one.reward_p is not None for one in comparisons)
        notes.append(
            "p: Welch's two-tailed t-test over training seeds, Holm-corrected for "
            f"{number} comparison{'' if number == 1 else 's'}, reward and strict success each for "
            f"itself; * below {ALPHA}."
        )
    else:
        reasons = {one.reward_test.note for one in comparisons if one.reward_test.note}
        notes += [f"{reason.capitalize()}." for reason in sorted(reasons)]
    return tuple(notes)
