"""What the tables of rewards have in common: their cells, the paper's rows, ranks and notes.

The paper's rows are marked as such and take no part in the ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tratree_cli.display.blocks import BEST, SECOND, Cell, Row
from tratree_cli.reporting.cohorts import Cohort, seeds_in_words
from tratree_cli.reporting.published import Published, published
from tratree_cli.reporting.selection import EvalSet

RANKING_NOTE = "Marked: the best (¹, bold) and the second (², underlined) own figure of a column."


def cohort_of(groups: Sequence[Cohort], method: str, eval_set: EvalSet) -> Cohort | None:
    """The first cohort of this method that was evaluated there."""
    return first(groups, lambda group: group.method == method and eval_set.holds(group))


def first(groups: Sequence[Cohort], wanted: Callable[[Cohort], bool]) -> Cohort | None:
    """The first cohort that is wanted."""
    return next((group for group in groups if wanted(group)), None)


def reward_cell(group: Cohort | None) -> Cell:
    """Average reward with its interval over tasks and spread over seeds; a dash without one."""
    if group is None or group.reward is None:
        return Cell()
    return Cell(group.reward.value, group.reward.low, group.reward.high, sd=group.spread)


def success_cell(group: Cohort | None) -> Cell:
    """The success rate in percent; a dash where it was not evaluated."""
    return Cell(None if group is None else group.mean("success"))


def paper_row(
    table: int, method: str, where: Sequence[EvalSet], *, success: bool = False
) -> list[Row]:
    """The paper's row of this method; none where the paper prints no figure of these sets."""
    printed = [figure for figure in published(table) if figure.method == method]
    figures = [next((f for f in printed if printed_for(f, eval_set)), None) for eval_set in where]
    if not any(figures):
        return []
    cells = []
    for figure in figures:
        cells.append(Cell(figure.reward if figure else None))
        if success:
            cells.append(Cell(figure.success if figure else None))
    return [Row((Cell(printed[0].label), *cells), paper=True)]


def printed_for(figure: Published, eval_set: EvalSet) -> bool:
    """Whether the paper's figure belongs here: to its test set, evaluated under its protocol."""
    where = (eval_set.environment, eval_set.split)
    return where == (figure.environment, f"test ({figure.protocol})")


def ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Mark the best and the second figure of each column among one's own rows."""
    marked = list(rows)
    for column in range(1, len(rows[0].cells) if rows else 0):
        values = sorted(
            {
                value
                for row in rows
                if not row.paper and isinstance(value := row.cells[column].value, int | float)
            },
            reverse=True,
        )
        for best, mark in zip(values if len(values) > 1 else [], (BEST, SECOND), strict=False):
            for index, row in enumerate(marked):
                if not row.paper and row.cells[column].value == best:
                    cells = list(row.cells)
                    cells[column] = replace(cells[column], mark=mark)
                    marked[index] = replace(row, cells=tuple(cells))
    return tuple(marked)


def spread_note(groups: Sequence[Cohort]) -> tuple[str, ...]:
    """How many training seeds stand behind the figures."""
    seeds, _, orders = seeds_in_words(groups).partition(" × ")
    if seeds == "1":
        one = "One training seed" + (f" × {orders}" if orders else "")
        return (f"{one}; intervals are over tasks.",)
    span = f"{seeds} training seeds" + (f" × {orders}, averaged within a seed" if orders else "")
    return (f"Mean ± standard deviation over {span}; intervals are over tasks.",)
