"""The comparison with the SFT strong baseline as a table.

With one seed there is no test, and the table says so instead of leaving a hole.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from tratree_cli.reporting.baseline_comparison import (
    ALPHA,
    Comparison,
    Versus,
    against_baseline,
    extra_data,
)
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.selection import place_name


def versus_table(groups: Sequence[Cohort], where: str = "") -> Table | None:
    """The comparison within one environment and split; None without a baseline or a rival.

    ``where`` names them in the title (default: the environment).
    """
    comparison = against_baseline(groups)
    if comparison is None:
        return None
    compared, baseline = comparison.rivals, comparison.baseline
    tested = any(one.tested for one in compared)
    has_gap = any(one.gap.recovered is not None for one in compared)
    given = [extra_data(one.cohort, baseline) for one in compared]
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
    for one, more in zip(compared, given, strict=True):
        cells = [Cell(one.cohort.name), _difference(one), Cell(_tally(one.difference))]
        if tested:
            cells += [
                _p_cell(one.welch_p, one.unpaired),
                _p_cell(one.paired_p, one.matched),
                Cell(one.effect),
            ]
        if has_gap:
            cells.append(Cell(one.gap.recovered))
        if any(given):
            cells.append(Cell(more or None))
        rows.append(Row(tuple(cells)))
    place = baseline.descriptor
    where = where or (place_name(place.environment) if place.environment else "")
    return Table(
        key=f"versus-{place.environment or 'all'}-{place.split or 'all'}",
        title=f"Against {baseline.name}" + (f" on {where}" if where else ""),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=_notes(comparison, tested, any(given)),
    )


def _difference(one: Versus) -> Cell:
    interval = one.difference.difference
    if interval is None:
        return Cell()
    return Cell(interval.value, interval.low, interval.high, mark=SIGNIFICANT if one.apart else "")


def _tally(difference: PairedDifference) -> str:
    return f"{difference.better}/{difference.worse} of {difference.tasks}"


def _p_cell(p: float | None, test: SeedTest) -> Cell:
    if p is None:
        return Cell("one seed" if test.note == ONE_SEED else None)
    return Cell(p, mark=SIGNIFICANT if p < ALPHA else "")


def _notes(comparison: Comparison, tested: bool, given: bool) -> tuple[str, ...]:
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
    reasons = {test.note for one in compared for test in (one.unpaired, one.matched) if test.note}
    if not tested and reasons == {ONE_SEED}:
        notes.append(f"{ONE_SEED.capitalize()}: other training seeds may tell otherwise.")
    else:
        notes.extend(f"Some comparisons: {reason}." for reason in sorted(reasons))
    notes += [
        f"{one.cohort.name}: {one.difference.note}" for one in compared if one.difference.note
    ]
    ends_at = f"{baseline.name} (no ceiling model evaluated)"
    top = "the ceiling model" if comparison.has_ceiling else ends_at
    if any(one.gap.recovered is not None for one in compared):
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


def _corrected_for(compared: Sequence[Versus]) -> str:
    """How many tests of a kind were made: the others do not count in Holm's correction."""
    counts = {
        sum(one.welch_p is not None for one in compared),
        sum(one.paired_p is not None for one in compared),
    }
    numbers = " and ".join(map(str, sorted(counts, reverse=True)))
    return f"{numbers} comparison{'' if counts == {1} else 's'}"
