"""How long SFT was trained where its length was chosen on the dev split: what each length gave."""

from __future__ import annotations

from tratree_cli.display.blocks import BEST, COUNT, NUMBER, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting import lineage
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title
from tratree_cli.training.convergence import LengthSearch, length_search

_COLUMNS = (
    Column("Model", TEXT),
    Column("Epochs", TEXT),
    Column("Updates", COUNT),
    Column("Loss", TEXT),
    Column("Dev reward", NUMBER),
    Column("Dev success", PERCENT),
)


def table(data: ReportData) -> Table | None:
    """One row a model and length that was tried; None where no model chose its length."""
    searches = _searches(data)
    if not searches:
        return None
    tasks = sorted({search.tasks for search in searches.values()})
    counted = " or ".join(map(str, tasks))
    rising = [name for name, search in searches.items() if search.rising]
    notes = [
        f"Each length is a training of its own; after it {counted} dev tasks were played greedily. "
        "Marked: the length that was taken. Loss in nats per token, the last that was logged."
    ]
    if rising:
        notes.append(f"Still rising at the longest length tried: {', '.join(rising)}.")
    rows = (row for name, search in searches.items() for row in _rows(name, search))
    return Table("sft-length", "SFT: length chosen on dev", _COLUMNS, tuple(rows), tuple(notes))


def _searches(data: ReportData) -> dict[str, LengthSearch]:
    """By the name of the model, every search behind the recipe's own rows."""
    if data.store is None:
        return {}
    several = len(data.main_rows) > 1
    searches: dict[str, LengthSearch] = {}
    for environment, rows in data.main_rows.items():
        lineages = [row.lineage for row in rows if row.lineage is not None]
        policies = [made_from.policy for made_from in lineages if made_from.policy is not None]
        for model in lineage.ancestors(data.store, policies):
            role, search = lineage.sft_role(model), length_search(model.summary)
            if role is None or search is None:
                continue
            seed = model.document.get("params", {}).get("seed")
            parts = [f"SFT {role}", *([environment_title(environment)] if several else [])]
            searches.setdefault(", ".join([*parts, f"seed {seed}"]), search)
    return dict(sorted(searches.items()))


def _rows(name: str, search: LengthSearch) -> list[Row]:
    return [
        Row(
            (
                Cell(name),
                Cell(f"{length.epochs:g}"),
                Cell(length.updates),
                Cell(f"{length.loss:.2g}"),
                Cell(length.reward, mark=BEST if length == search.best else ""),
                Cell(length.success),
            )
        )
        for length in search.tried
    ]
