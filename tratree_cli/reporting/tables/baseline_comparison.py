"""The comparison with the SFT strong baseline as a table.

With one seed there is no test, and the table says so instead of leaving a hole.
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
from tratree_cli.evaluation.compare import PairedDifference
from tratree_cli.evaluation.significance import ONE_SEED
from tratree_cli.reporting.baseline_comparison import (
    ALPHA,
    AgainstBaseline,
    BaselineComparison,
    against_baseline,
    extra_data,
)
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.comparison_cells import (
    difference_cell,
    each_eval_set,
    key_and_title,
    p_cell,
)
from tratree_cli.reporting.report_data import ReportData


def tables(data: ReportData) -> Iterator[Table]:
    """A table for every environment and split that has a baseline and a rival."""
    return each_eval_set(data, comparison_table)


def comparison_table(groups: Sequence[Cohort], where: str = "") -> Table | None:
    """The comparison within one environment and split; None without a baseline or a rival.

    ``where`` names them in the title (default: the environment).
    """
    comparison = against_baseline(groups)
    if comparison is None:
        return None
    compared, baseline = comparison.rivals, comparison.baseline
    tested = any(rival.tested for rival in compared)
    has_gap = any(rival.gap.recovered is not None for rival in compared)
    given = [extra_data(rival.cohort, baseline) for rival in compared]
    columns = [
        Column("Policy", TEXT),
        Column("Difference", NUMBER),
        Column("Better/worse", TEXT),
    ]
    if tested:
        columns += [
            Column("Welch p", P_VALUE),
            Column("Paired p", P_VALUE),
            Column("Hedges g", RATIO),
        ]
    if has_gap:
        columns.append(Column("Gap", RATIO))
    if any(given):
        columns.append(Column("Extra data", TEXT))
    rows = []
    for rival, more in zip(compared, given, strict=True):
        cells = [
            Cell(rival.cohort.name),
            difference_cell(rival.difference),
            Cell(_counts(rival.difference)),
        ]
        if tested:
            cells += [
                p_cell(rival.welch_p, rival.unpaired),
                p_cell(rival.paired_p, rival.matched),
                Cell(rival.effect),
            ]
        if has_gap:
            cells.append(Cell(rival.gap.recovered))
        if any(given):
            cells.append(Cell(more or None))
        rows.append(Row(tuple(cells)))
    key, title = key_and_title("versus", f"Against {baseline.name}", baseline, where)
    return Table(
        key=key,
        title=title,
        columns=tuple(columns),
        rows=tuple(rows),
        notes=_notes(comparison, tested, any(given)),
    )


def _counts(difference: PairedDifference) -> str:
    return f"{difference.better}/{difference.worse} of {difference.tasks}"


def _notes(comparison: BaselineComparison, tested: bool, given: bool) -> tuple[str, ...]:
    compared, baseline = comparison.rivals, comparison.baseline
    notes = [
        f"Difference: average reward minus {baseline.name}'s on the same tasks, paired bootstrap "
        "interval over tasks; * where it leaves out 0. Better/worse counts tasks."
    ]
    if tested:
        notes.append(
            "p: two-tailed t-tests over training seeds (Welch, and paired by seed), "
            f"Holm-corrected for {_corrected_for(compared)}; * below {ALPHA}. "
            "g: standardised difference over seeds."
        )
    reasons = {
        test.note for rival in compared for test in (rival.unpaired, rival.matched) if test.note
    }
    if not tested and reasons == {ONE_SEED}:
        notes.append(f"{ONE_SEED.capitalize()}: other training seeds may tell otherwise.")
    else:
        notes.extend(f"Some comparisons: {reason}." for reason in sorted(reasons))
    notes += [
        f"{rival.cohort.name}: {rival.difference.note}"
        for rival in compared
        if rival.difference.note
    ]
    ends_at = f"{baseline.name} (no ceiling model evaluated)"
    top = "the ceiling model" if comparison.has_ceiling else ends_at
    if any(rival.gap.recovered is not None for rival in compared):
        notes.append(
            f"Gap: share of the way from SFT weak (0) to {top} (1). It may exceed 1: the upper end "
            "is a trained model, not a bound."
        )
    else:
        reason = compared[0].gap.note
        notes.append(f"No gap recovered, measured up to {top}: {reason[0].lower()}{reason[1:]}")
    if given:
        notes.append(
            f"Extra data: what a policy was given beyond {baseline.name} (demonstrations, "
            "episodes whose reward was read, updates of its weights; the best of several samples, "
            "their reward on the tested tasks). Unless it is the same, the comparison is one of "
            "method and data together."
        )
    return tuple(dict.fromkeys(notes))


def _corrected_for(compared: Sequence[AgainstBaseline]) -> str:
    """How many tests of a kind were made: the others do not count in Holm's correction."""
    counts = {
        sum(rival.welch_p is not None for rival in compared),
        sum(rival.paired_p is not None for rival in compared),
    }
    numbers = " and ".join(map(str, sorted(counts, reverse=True)))
    return f"{numbers} comparison{'' if counts == {1} else 's'}"
