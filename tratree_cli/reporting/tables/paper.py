"""One's own figures in the shape of the paper's tables, with the paper's beside them on request.

Each table appears only when there is something of one's own to put in it. The paper's rows are
marked as such and take no part in the ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tratree_cli.display.blocks import BEST, PERCENT, SECOND, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation import methods
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.published import Published, published
from tratree_cli.reporting.selection import (
    Place,
    main_cohorts,
    of_main_models,
    places,
    several_within,
)

TABLE_1 = (
    methods.SFT_WEAK,
    methods.TREE_DPO,
    methods.MCTS,
    methods.SFT_STRONG,
    methods.ETO,
    methods.BEST_OF_N,
    methods.CEILING,
)
TABLE_5 = (methods.SFT_STRONG, methods.UNSTRUCTURED_DPO, methods.TREE_DPO, methods.MCTS)
_RANKING_NOTE = "Marked: the best (¹, bold) and the second (², underlined) own figure of a column."
FAMILIES = (methods.SFT_WEAK, methods.SFT_STRONG, methods.TREE_DPO, methods.MCTS)


def table_1(groups: Sequence[Cohort], *, with_paper: bool = False) -> Table | None:
    """Methods × environments, average reward and success rate; best and second are marked."""
    chosen = [group for group in main_cohorts(groups) if group.method in TABLE_1]
    if not chosen:
        return None
    where = places(chosen)
    columns = [Column("Method", TEXT)]
    for place in where:
        columns += [Column(f"{place.title} reward"), Column(f"{place.title} success", PERCENT)]
    rows = []
    for method in TABLE_1:
        mine = {place: _find(chosen, method, place) for place in where}
        if any(mine.values()):
            cells = [cell for place in where for cell in _both(mine[place])]
            name = next(group.name for group in mine.values() if group)
            rows.append(Row((Cell(name), *cells)))
        if with_paper:
            rows += _paper_row(1, method, where, success=True)
    return Table(
        "table-1",
        "Table 1: methods and environments",
        tuple(columns),
        _ranked(rows),
        (*_spread_note(chosen), _RANKING_NOTE),
    )


def family_table(groups: Sequence[Cohort], *, with_paper: bool = False) -> Table | None:
    """Tables 2, 4 and 8: the same methods on other strong base models."""
    own = [group for group in groups if not group.descriptor.varied and group.method in FAMILIES]
    families = list(dict.fromkeys(g.descriptor.family for g in own if g.descriptor.family))
    several = several_within(own, lambda group: group.descriptor.family)
    if not families or not (several or with_paper):
        return None
    where = places([group for group in own if group.descriptor.family])
    rows = []
    weak_models = [g for g in own if g.method == methods.SFT_WEAK and not g.descriptor.family]
    for weak in dict.fromkeys(group.descriptor.weak for group in weak_models):
        members = [group for group in weak_models if group.descriptor.weak == weak]
        cells = (_reward(_find(members, methods.SFT_WEAK, place)) for place in where)
        rows.append(Row((Cell(weak or "weak"), Cell(methods.title(methods.SFT_WEAK)), *cells)))
    for family in families:
        for method in FAMILIES:
            members = [group for group in own if group.descriptor.family == family]
            found = [_find(members, method, place) for place in where]
            if any(found):
                cells = (_reward(group) for group in found)
                rows.append(Row((Cell(family), Cell(methods.title(method)), *cells)))
    if with_paper:
        printed = published(2, 4, 8)
        for family in dict.fromkeys(figure.family for figure in printed):
            for method in FAMILIES:
                rewards = [_printed(printed, family, method, place) for place in where]
                if any(reward is not None for reward in rewards):
                    words = (Cell(family), Cell(methods.title(method)))
                    rows.append(Row((*words, *map(Cell, rewards)), paper=True))
    columns = (Column("Base LLM", TEXT), Column("Method", TEXT))
    return Table(
        "tables-2-4-8",
        "Tables 2, 4 and 8: other base models, average reward",
        (*columns, *(Column(place.title) for place in where)),
        tuple(rows),
        _spread_note(own),
    )


def table_3(groups: Sequence[Cohort], *, with_paper: bool = False) -> Table | None:
    """Table 3: the effects of tree breadth (trajectories per task) and of β."""
    own = [
        group
        for group in of_main_models(groups)
        if group.method in (methods.TREE_DPO, methods.MCTS)
        and {"dpo.beta", "explore.m"} & set(group.descriptor.parameters)
    ]
    # Only what the paper's table has: cells that differ from the recipe in breadth or β alone.
    own = [group for group in own if set(group.descriptor.varied) <= {"dpo.beta", "explore.m"}]
    if not any(group.descriptor.varied for group in own):
        return None
    where = places(own)
    order = sorted(own, key=lambda g: (methods.rank(g.method), _order(g)))
    identities = dict.fromkeys((g.method, _breadth(g), _beta(g)) for g in order)
    rows = []
    for method, breadth, beta in identities:
        cells = (_reward(_first(own, _same_cell(method, breadth, beta, place))) for place in where)
        rows.append(Row((Cell(methods.title(method)), Cell(breadth), Cell(beta), *cells)))
    if with_paper:
        for figure in published(3):
            cells = (Cell(figure.reward if _is_of(figure, place) else None) for place in where)
            words = (Cell(figure.label), _plain(figure.breadth), _plain(figure.beta))
            if any(_is_of(figure, place) for place in where):
                rows.append(Row((*words, *cells), paper=True))
    columns = (Column("Method", TEXT), Column("Tree", TEXT), Column("β", TEXT))
    return Table(
        "table-3",
        "Table 3: tree breadth and β, average reward",
        (*columns, *(Column(place.title) for place in where)),
        tuple(rows),
        _spread_note(own),
    )


def table_5(groups: Sequence[Cohort], *, with_paper: bool = False) -> Table | None:
    """Table 5: pairs from the tree against complete trajectories paired by reward alone."""
    chosen = [group for group in main_cohorts(groups) if group.method in TABLE_5]
    if not any(group.method == methods.UNSTRUCTURED_DPO for group in chosen):
        return None
    where = places(chosen)
    rows = []
    for method in TABLE_5:
        found = [_find(chosen, method, place) for place in where]
        if any(found):
            cells = (_reward(group) for group in found)
            rows.append(Row((Cell(methods.title(method)), *cells)))
        if with_paper:
            rows += _paper_row(5, method, where)
    return Table(
        "table-5",
        "Table 5: tree pairs against unstructured pairs, average reward",
        (Column("Method", TEXT), *(Column(place.title) for place in where)),
        _ranked(rows),
        _spread_note(chosen),
    )


def weak_quality_table(groups: Sequence[Cohort]) -> Table | None:
    """Tables 6-7: weak models by themselves, and what the strong model learns from each."""
    own = [
        group
        for group in groups
        if group.descriptor.weak and set(group.descriptor.varied) <= {"demos.tasks"}
    ]
    several = several_within(own, lambda group: str(group.descriptor.parameters.get("demos.tasks")))
    if not several_within(own, lambda group: _weak_name(group, several)):
        return None
    weak_models = list(dict.fromkeys(_weak_name(group, several) for group in own))
    shown = (methods.SFT_WEAK, methods.TREE_DPO, methods.MCTS)
    where = places(own)
    rows = []
    for weak in weak_models:
        members = [group for group in own if _weak_name(group, several) == weak]
        for method in shown:
            found = [_find(members, method, place) for place in where]
            if any(found):
                cells = (_reward(group) for group in found)
                rows.append(Row((Cell(weak), Cell(methods.title(method)), *cells)))
    return Table(
        "tables-6-7",
        "Tables 6 and 7: quality of the weak model, average reward",
        (Column("Weak model", TEXT), Column("Method", TEXT), *(Column(p.title) for p in where)),
        tuple(rows),
        _spread_note(own),
    )


def _weak_name(group: Cohort, several: bool) -> str:
    """The weak model, with its number of demonstrations where that was varied."""
    name = group.descriptor.weak
    if not several:
        return name
    return f"{name}, {group.descriptor.parameters.get('demos.tasks', '?')} demos"


def _find(groups: Sequence[Cohort], method: str, place: Place) -> Cohort | None:
    return _first(groups, lambda group: group.method == method and place.holds(group))


def _first(groups: Sequence[Cohort], wanted: Callable[[Cohort], bool]) -> Cohort | None:
    return next((group for group in groups if wanted(group)), None)


def _reward(group: Cohort | None) -> Cell:
    if group is None or group.reward is None:
        return Cell()
    return Cell(group.reward.value, group.reward.low, group.reward.high, sd=group.spread)


def _both(group: Cohort | None) -> tuple[Cell, Cell]:
    return _reward(group), Cell(None if group is None else group.mean("success"))


def _same_cell(method: str, breadth: str, beta: str, place: Place) -> Callable[[Cohort], bool]:
    return lambda group: (
        group.method == method
        and _breadth(group) == breadth
        and _beta(group) == beta
        and place.holds(group)
    )


def _breadth(group: Cohort) -> str:
    return str(group.descriptor.parameters.get("explore.m", "–"))


def _beta(group: Cohort) -> str:
    """β where the method has one: imitation of a searched path does not."""
    if group.method == methods.MCTS:
        return "–"
    return str(group.descriptor.parameters.get("dpo.beta", "–"))


def _order(group: Cohort) -> tuple[float, float]:
    parameters = group.descriptor.parameters
    return float(parameters.get("explore.m", 0)), float(parameters.get("dpo.beta", 0))


def _plain(value: float | None) -> Cell:
    return Cell(None if value is None else f"{value:g}")


def _printed(figures: Sequence[Published], family: str, method: str, place: Place) -> float | None:
    return next(
        (
            figure.reward
            for figure in figures
            if (figure.family, figure.method) == (family, method) and _is_of(figure, place)
        ),
        None,
    )


def _paper_row(
    table: int, method: str, where: Sequence[Place], *, success: bool = False
) -> list[Row]:
    printed = [figure for figure in published(table) if figure.method == method]
    mine = [next((one for one in printed if _is_of(one, place)), None) for place in where]
    if not any(mine):
        return []
    cells = []
    for figure in mine:
        cells.append(Cell(figure.reward if figure else None))
        if success:
            cells.append(Cell(figure.success if figure else None))
    return [Row((Cell(printed[0].label), *cells), paper=True)]


def _is_of(figure: Published, place: Place) -> bool:
    """Whether the paper's figure stands under this place: it prints figures of test sets only."""
    return place.environment == figure.environment and place.split in ("", "test")


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
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


def _spread_note(groups: Sequence[Cohort]) -> tuple[str, ...]:
    seeds = sorted({len(group.runs) for group in groups})
    if seeds == [1]:
        return ("One training seed; intervals are over tasks.",)
    span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (f"Mean ± standard deviation over {span} training seeds; intervals are over tasks.",)
