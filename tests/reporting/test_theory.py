"""The evidence of section 3.3: whose figures are averaged, and whose are kept apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from tests.reporting.conftest import evaluated
from tests.trees.making import SHOP
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.pairs import render_pairs, write_pairs
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow, RowLineage
from tratree_cli.reporting.tables.informativeness import informative_pairs
from tratree_cli.reporting.tables.theory import table
from tratree_cli.reporting.varied_settings import infer_varied_settings
from tratree_cli.stages.preference_accuracy import MEASURED, preferred_by_task
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine

FOREST = build_forest(columns_from_rollouts(SHOP))


class Store:
    """Nothing was made from anything."""

    def maker(self, *_: Any) -> None:
        return None


def row(
    recipe: str, method: str = "mcts", environment: str = "webshop", **parameters: Any
) -> EvaluationRow:
    config = {"recipe": "micro", "env": {"name": environment}}
    made: Any = SimpleNamespace(
        recipe=recipe,
        document={},
        inputs={},
        summary={},
        provenance={"config": config},
        created=0.0,
    )
    read = evaluated(method, [0.0, 1.0], environment=environment, parameters=parameters)
    return replace(read, lineage=RowLineage(method, made, made))


def measured(accuracy: float, folder: Path = Path("nowhere")) -> Any:
    summary = {"pairs": 10, "accuracy": accuracy, "margin": 0.0}
    return SimpleNamespace(summary=summary, path=folder)


def preferred(rows: list[EvaluationRow], agreements: dict[str, Any]) -> dict[str, float]:
    store: Any = Store()
    shown = table(
        ReportData(tuple(infer_varied_settings(rows)), store=store, accuracies=agreements)
    )
    assert shown is not None
    return {str(one.cells[0].value): float(one.cells[3].value or 0) for one in shown.rows}


def test_seeds_of_one_method_are_averaged() -> None:
    found = preferred([row("a"), row("b")], {"a": measured(0.5), "b": measured(0.75)})
    assert list(found.values()) == [62.5]


def test_environments_are_never_averaged() -> None:
    rows = [row("a"), row("b", environment="alfworld")]
    found = preferred(rows, {"a": measured(0.5), "b": measured(1.0)})
    assert sorted(found.values()) == [50.0, 100.0]
    assert {label.rpartition(", ")[2] for label in found} == {"WebShop", "ALFWorld"}


def test_varied_settings_of_evaluations_that_were_handed_in_stay_out() -> None:
    rows = [row("a", **{"explore.m": 3}), row("b", **{"explore.m": 4})]
    assert list(preferred(rows, {"a": measured(0.5), "b": measured(1.0)}).values()) == [50.0]


def test_a_policy_that_was_evaluated_on_two_splits_counts_once() -> None:
    rows = [row("a"), row("a"), row("b")]
    found = preferred(rows, {"a": measured(0.5), "b": measured(1.0)})
    assert list(found.values()) == [75.0]


def test_the_pairs_of_one_task_are_no_independent_observations(tmp_path: Path) -> None:
    """Forty pairs of two tasks say as much as two tasks do, in however many seeds."""
    by_task = {"t0": {"pairs": 20, "preferred": 20.0}, "t1": {"pairs": 20, "preferred": 0.0}}
    entries = {}
    for seed in ("a", "b"):
        (tmp_path / seed).mkdir()
        (tmp_path / seed / MEASURED).write_bytes(orjson.dumps({"by_task": by_task}))
        entries[seed] = measured(0.5, tmp_path / seed)
    rows = infer_varied_settings([row("a"), row("b")])
    shown = table(ReportData(tuple(rows), store=cast(Any, Store()), accuracies=entries))
    assert shown is not None
    cell = shown.rows[0].cells[3]
    assert (cell.value, cell.low, cell.high) == (50.0, 0.0, 100.0)
    # A measurement of an earlier version knows no tasks: a share, and no interval.
    old = table(ReportData(tuple(rows), store=cast(Any, Store()), accuracies={"a": measured(0.5)}))
    assert old is not None
    assert (old.rows[0].cells[3].value, old.rows[0].cells[3].low) == (50.0, None)


def test_score_gaps_of_all_pair_rules_are_of_the_trajectories_own_scores(tmp_path: Path) -> None:
    pairs = list(render_pairs(mine(FOREST, min_gap=0.0), SHOP))
    write_pairs(pairs, tmp_path)
    made = SimpleNamespace(
        recipe="p",
        path=tmp_path,
        summary={"pairs": len(pairs), "mean_gap": fmean(pair.gap for pair in pairs)},
    )
    policy: Any = SimpleNamespace(
        recipe="a", inputs={"pairs": ["x"]}, summary={}, provenance={"inputs": {"pairs": ["p"]}}
    )
    store: Any = SimpleNamespace(
        records_of=lambda recipe: [SimpleNamespace(**made.__dict__, object="x")]
    )
    trained = row("a", "tree-dpo")
    assert trained.lineage is not None
    trained = replace(trained, lineage=replace(trained.lineage, policy=policy))
    shown = table(ReportData((trained,), store=store))
    assert shown is not None
    own = fmean(pair.chosen_score - pair.rejected_score for pair in pairs)
    assert own != pytest.approx(made.summary["mean_gap"])
    assert shown.rows[0].cells[6].value == pytest.approx(own)


def test_pairs_of_the_tree_and_random_ones_are_counted_and_scored_alike() -> None:
    parting, differing, every = informative_pairs(FOREST)
    scored = FOREST.columns.counted & (FOREST.columns.score == FOREST.columns.score)
    sizes = Counter(FOREST.columns.task[scored].tolist())
    assert len(every.pairs) == sum(n * (n - 1) // 2 for n in sizes.values())
    assert len(differing.pairs) == sum(pair.gap > 0 for pair in every.pairs)
    # Every pair of the tree is one of those that differ in score, with the same difference.
    rest = Counter((pair.task, pair.gap) for pair in differing.pairs)
    rest.subtract((pair.task, pair.gap) for pair in parting.pairs)
    assert min(rest.values()) >= 0
    # More than the best and the worst branch of each divergence.
    assert len(parting.pairs) > len(mine(FOREST, min_gap=0.0).pairs)


def test_preferences_are_counted_by_task_and_ties_by_half() -> None:
    assert preferred_by_task([("t0", 1.0), ("t1", -1.0), ("t0", 0.0)]) == {
        "t0": {"pairs": 2, "preferred": 1.5},
        "t1": {"pairs": 1, "preferred": 0},
    }
