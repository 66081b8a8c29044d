"""What the rules of ``reporting.warnings`` looked at, whether bad or not: a table of details."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import SIGNIFICANT, TEXT, Cell, Column, Row, Table
from tratree_cli.envs.registry import reward_parts
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title, eval_sets, main_cohorts
from tratree_cli.reporting.warnings import episodes, pairs
from tratree_cli.reporting.warnings.found import Signs, found_signs

_NOTE = (
    "Changes are against {start} on the same tasks, with paired bootstrap intervals: malformed "
    "turns an episode, the others in percentage points of the episodes. * where a rule warns: "
    f"malformed turns up by {episodes.MALFORMED_RISE:g}, unfinished episodes by "
    f"{episodes.UNFINISHED_RISE:g}, repeating ones by {episodes.REPEATS_RISE:g}, a part of the "
    f"reward worse by {episodes.PART_CHANGE:g}, and the interval leaves out 0."
)
_PAIRS = (
    "Preferred before: pairs whose better side was already preferred before training, in "
    f"percent (* above {pairs.PREFERRED_BEFORE:.0%}). Later variance: the share of the margin's "
    f"variance after the first turn (* above {pairs.VARIANCE_AFTER_FIRST_TURN:.0%}); above 100 "
    "where first turns and the rest pull against each other."
).replace("%)", " %)")
_EARLY = (
    "Loss fall: by how much the mean loss of SFT fell from the third quarter of the updates to the "
    "last, in percent (* where lengths were compared on the dev split and the longest was best)."
)


def tables(data: ReportData) -> Iterator[Table]:
    """A table for every environment and split of which the rules could see anything."""
    main = main_cohorts(data.cohorts)
    for eval_set in eval_sets(main):
        here = [group for group in main if eval_set.holds(group)]
        found = found_signs(here, reward_parts(eval_set.environment))
        if found:
            where = eval_set.title if eval_set.environment else environment_title("")
            yield signs_table(found, where, f"signs-{eval_set.environment}-{eval_set.split}")


def signs_table(found: Sequence[Signs], where: str, key: str) -> Table:
    """One row a policy, one column a rule that saw any of them."""
    kinds = {sign.title: sign.kind for signs in found for sign in signs.signs}
    rows = []
    for signs in found:
        by_title = {sign.title: sign for sign in signs.signs}
        cells = [Cell(signs.own.name)]
        for title in kinds:
            sign = by_title.get(title)
            mark = SIGNIFICANT if sign is not None and sign.bad else ""
            cells.append(Cell(sign.value, sign.low, sign.high, mark=mark) if sign else Cell())
        rows.append(Row(tuple(cells)))
    starts = {signs.start.name for signs in found if signs.start is not None}
    notes = [_NOTE.format(start=name) for name in sorted(starts)]
    notes += [_PAIRS] if {"Preferred before", "Later variance"} & kinds.keys() else []
    notes += [_EARLY] if "Loss fall" in kinds else []
    return Table(
        key=key,
        title=f"Warning signs on {where}",
        columns=(Column("Policy", TEXT), *(Column(title, kind) for title, kind in kinds.items())),
        rows=tuple(rows),
        notes=tuple(notes),
    )
