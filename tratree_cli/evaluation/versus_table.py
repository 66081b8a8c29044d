"""Each method against the SFT strong baseline: over tasks, over seeds, and of the gap.

Three questions in one row. The paired difference resamples tasks; the tests resample training
seeds; the recovered gap places the method between the weak model and the ceiling. With one seed
there is no test, and the table says so instead of leaving a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tratree_cli.evaluation import methods
from tratree_cli.evaluation.cohorts import Cohort
from tratree_cli.evaluation.compare import (
    GapRecovered,
    PairedDifference,
    paired_difference,
    performance_gap_recovered,
)
from tratree_cli.evaluation.document import (
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
from tratree_cli.evaluation.selection import place_name
from tratree_cli.evaluation.significance import (
    ONE_SEED,
    SeedTest,
    hedges_g,
    holm,
    paired,
    welch,
)

ALPHA = 0.05
_NOT_COMPARED = (methods.EXPERT, methods.RANDOM, methods.SFT_STRONG)


@dataclass(frozen=True)
class Versus:
    """One method against the baseline."""

    cohort: Cohort
    difference: PairedDifference
    unpaired: SeedTest
    matched: SeedTest
    effect: float | None
    gap: GapRecovered


def versus_table(groups: Sequence[Cohort]) -> Table | None:
    """The comparison within one environment and split; None without a baseline or a rival."""
    baseline = next((group for group in groups if group.method == methods.BASELINE), None)
    rivals = [group for group in groups if group.method not in _NOT_COMPARED]
    if baseline is None or not rivals:
        return None
    ceiling = next((group for group in groups if group.method == methods.CEILING), None)
    weak = next((group for group in groups if group.method == methods.SFT_WEAK), None)
    compared = [_versus(rival, baseline, weak, ceiling or baseline) for rival in rivals]
    welch_p = holm([one.unpaired.p for one in compared])
    paired_p = holm([one.matched.p for one in compared])
    tested = any(p is not None for p in (*welch_p, *paired_p))
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
    has_gap = any(one.gap.recovered is not None for one in compared)
    if has_gap:
        columns.append(Column("Gap", RATIO))
    rows = []
    for one, p, q in zip(compared, welch_p, paired_p, strict=True):
        cells = [_name(one), _difference(one), Cell(_tally(one.difference))]
        if tested:
            cells += [_p_cell(p, one.unpaired), _p_cell(q, one.matched), Cell(one.effect)]
        if has_gap:
            cells.append(Cell(one.gap.recovered))
        rows.append(Row(tuple(cells)))
    place = baseline.descriptor
    return Table(
        key=f"versus-{place.environment or 'all'}-{place.split or 'all'}",
        title=f"Against {baseline.name}"
        + (f" on {place_name(place.environment)}" if place.environment else ""),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=_notes(compared, baseline, tested, ceiling is not None),
    )


def _versus(rival: Cohort, baseline: Cohort, weak: Cohort | None, ceiling: Cohort) -> Versus:
    metrics = baseline.runs[0].evaluation.metrics
    return Versus(
        cohort=rival,
        difference=paired_difference(
            rival.task_rewards,
            baseline.task_rewards,
            resamples=metrics.resamples,
            level=metrics.level,
            seed=metrics.seed,
        ),
        unpaired=welch(rival.rewards, baseline.rewards),
        matched=paired(rival.rewards_by_seed, baseline.rewards_by_seed),
        effect=hedges_g(rival.rewards, baseline.rewards),
        gap=performance_gap_recovered(_value(rival), _value(weak), _value(ceiling)),
    )


def _value(group: Cohort | None) -> float | None:
    return None if group is None or group.reward is None else group.reward.value


def _name(one: Versus) -> Cell:
    return Cell(one.cohort.name)


def _difference(one: Versus) -> Cell:
    interval = one.difference.difference
    if interval is None:
        return Cell()
    apart = (
        interval.low is not None
        and interval.high is not None
        and (interval.low > 0 or interval.high < 0)
    )
    return Cell(interval.value, interval.low, interval.high, mark=SIGNIFICANT if apart else "")


def _tally(difference: PairedDifference) -> str:
    return f"{difference.better}/{difference.worse} of {difference.tasks}"


def _p_cell(p: float | None, test: SeedTest) -> Cell:
    if p is None:
        return Cell("one seed" if test.note == ONE_SEED else None)
    return Cell(p, mark=SIGNIFICANT if p < ALPHA else "")


def _notes(
    compared: Sequence[Versus], baseline: Cohort, tested: bool, has_ceiling: bool
) -> tuple[str, ...]:
    notes = [
        f"Difference: average reward minus {baseline.name}'s on the same tasks, paired bootstrap "
        "interval over tasks; * where it leaves out 0. Better/worse counts tasks."
    ]
    if tested:
        notes.append(
            "p: two-tailed t-tests over training seeds (Welch, and paired by seed), "
            f"Holm-corrected for {len(compared)} comparisons; * below {ALPHA}. "
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
    top = "the ceiling model" if has_ceiling else f"{baseline.name} (no ceiling model evaluated)"
    if any(one.gap.recovered is not None for one in compared):
        notes.append(
            f"Gap: share of the way from SFT weak (0) to {top} (1). It may exceed 1: the upper end "
            "is a trained model, not a bound."
        )
    else:
        reason = compared[0].gap.note
        notes.append(f"No gap recovered, measured up to {top}: {reason[0].lower()}{reason[1:]}")
    return tuple(dict.fromkeys(notes))
