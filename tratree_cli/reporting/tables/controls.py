"""The methods in question against their controls as a table: what they add beyond what comes along.

Strict success stands beside the reward, because a policy may gain in one of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import (
    NUMBER,
    P_VALUE,
    RATIO,
    TEXT,
    Cell,
    Column,
    Row,
    Table,
)
from tratree_cli.reporting.baseline_comparison import ALPHA, extra_data
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.comparison_cells import (
    difference_cell,
    each_eval_set,
    key_and_title,
    p_cell,
)
from tratree_cli.reporting.control_comparison import AgainstControl, against_controls
from tratree_cli.reporting.report_data import ReportData


def tables(data: ReportData) -> Iterator[Table]:
    """A table for every environment and split in which some control was evaluated."""
    return each_eval_set(data, controls_table)


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
    key, title = key_and_title("controls", "Against the controls", comparisons[0].own, where)
    return Table(
        key=key,
        title=title,
        columns=tuple(columns),
        rows=tuple(rows),
        notes=_notes(comparisons, tested),
    )


def _cells(one: AgainstControl, tested: bool, given: str) -> tuple[Cell, ...]:
    return (
        Cell(one.own.name),
        Cell(one.control.name),
        difference_cell(one.reward),
        *((p_cell(one.reward_p, one.reward_test), Cell(one.effect)) if tested else ()),
        difference_cell(one.strict),
        *((p_cell(one.strict_p, one.strict_test),) if tested else ()),
        Cell(given or None),
    )


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
