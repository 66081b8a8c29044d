"""The evidence of section 3.3: whose figures are averaged, and whose are kept apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.evaluation.conftest import evaluated
from tratree_cli.reporting.rows import MadeFrom, settle
from tratree_cli.reporting.theory import blocks


class Store:
    """Nothing was made from anything."""

    def maker(self, *_: Any) -> None:
        return None


def row(recipe: str, method: str = "mcts", environment: str = "webshop", **parameters: Any) -> Any:
    config = {"recipe": "micro", "env": {"name": environment}}
    made: Any = SimpleNamespace(
        recipe=recipe, document={}, summary={}, provenance={"config": config}, created=0.0
    )
    told = evaluated(method, [0.0, 1.0], environment=environment, parameters=parameters)
    return told, MadeFrom(method, made, made)


def measured(accuracy: float) -> Any:
    return SimpleNamespace(summary={"pairs": 10, "accuracy": accuracy, "margin": 0.0})


def preferred(rows: list[Any], agreements: dict[str, Any]) -> dict[str, float]:
    store: Any = Store()
    told = settle([one for one, _ in rows], [made for _, made in rows])
    (table,) = blocks(store, told, agreements, ())
    return {str(one.cells[0].value): float(one.cells[3].value or 0) for one in table.rows}


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
