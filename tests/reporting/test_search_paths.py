"""The table of imitated paths: what was dropped, and how often the search chose another one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.reporting.conftest import evaluated
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow, RowLineage
from tratree_cli.reporting.tables.search_paths import table


def paths(recipe: str, **against: int) -> Any:
    summary: dict[str, Any] = {"paths": 3, "average_reward": 90.0, "dropped": {"score too low": 2}}
    if against:
        summary["against_best_observed"] = against
    return SimpleNamespace(stage="mcts", recipe=recipe, object=recipe, summary=summary)


def trained(method: str, seed: int, recipe: str) -> EvaluationRow:
    policy: Any = SimpleNamespace(
        recipe=f"{method}{seed}",
        inputs={"paths": [recipe]},
        provenance={"inputs": {"paths": [recipe]}},
        summary={},
    )
    row = evaluated(method, [0.0, 1.0], seed=seed)
    return replace(row, lineage=RowLineage(method, policy, policy))


def shown(*entries: Any, rows: list[EvaluationRow]) -> Any:
    made = {entry.recipe: entry for entry in entries}
    store: Any = SimpleNamespace(records_of=lambda recipe: [made[recipe]])
    return table(ReportData(tuple(rows), store=store))


def test_seeds_add_up_and_a_control_without_a_search_has_no_counts() -> None:
    found = shown(
        paths("p0", trees=5, below=1, other_words=2, uneven=0),
        paths("p1", trees=5, below=0, other_words=1, uneven=0),
        paths("b0"),
        rows=[
            trained("mcts", 0, "p0"),
            trained("mcts", 1, "p1"),
            trained("best-observed", 0, "b0"),
        ],
    )
    values = [[cell.value for cell in row.cells[1:]] for row in found.rows]
    assert values == [
        [6, 90.0, "4 score too low", 10, 1, 3, 0],
        [3, 90.0, "2 score too low", None, None, None, None],
    ]
    assert "by construction" in found.notes[1]


def test_leaves_of_several_scores_are_the_reason_why_the_two_differ() -> None:
    entry = paths("p0", trees=5, below=3, other_words=3, uneven=4)
    found = shown(entry, rows=[trained("mcts", 0, "p0")])
    assert "mcts.min_walks" in found.notes[1]


def test_there_is_no_table_without_paths() -> None:
    assert table(ReportData((evaluated("sft-strong", [1.0]),))) is None
    assert shown(rows=[evaluated("sft-strong", [1.0])]) is None
