"""What the tables of comparisons have in common: their cells, titles and where there is one.

One table sets the policies against the baseline, the other against their controls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tratree_cli.display.blocks import SIGNIFICANT, Cell, Table
from tratree_cli.evaluation.compare import PairedDifference
from tratree_cli.evaluation.significance import ONE_SEED, SeedTest
from tratree_cli.reporting.baseline_comparison import ALPHA
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title, eval_sets, main_cohorts


def each_eval_set(
    data: ReportData, table_of: Callable[[Sequence[Cohort], str], Table | None]
) -> Iterator[Table]:
    """The table of every environment and split that has one, from its cohorts and its title."""
    main = main_cohorts(data.cohorts)
    for eval_set in eval_sets(main):
        here = [group for group in main if eval_set.holds(group)]
        title = eval_set.title if eval_set.environment else ""
        if (table := table_of(here, title)) is not None:
            yield table


def key_and_title(kind: str, words: str, cohort: Cohort, where: str) -> tuple[str, str]:
    """A table's key and title where ``cohort`` was evaluated; ``where`` names it, if given."""
    environment, split = cohort.descriptor.environment, cohort.descriptor.task_set
    where = where or (environment_title(environment) if environment else "")
    return f"{kind}-{environment or 'all'}-{split or 'all'}", words + (
        f" on {where}" if where else ""
    )


def difference_cell(paired: PairedDifference) -> Cell:
    """The difference with its interval over tasks, marked where that leaves out 0."""
    interval = paired.difference
    if interval is None:
        return Cell()
    mark = SIGNIFICANT if interval.leaves_out_zero else ""
    return Cell(interval.value, interval.low, interval.high, mark=mark)


def p_cell(p: float | None, test: SeedTest) -> Cell:
    """A test over seeds; with one seed there is none, and the cell says so."""
    if p is None:
        return Cell("one seed" if test.note == ONE_SEED else None)
    return Cell(p, mark=SIGNIFICANT if p < ALPHA else "")
