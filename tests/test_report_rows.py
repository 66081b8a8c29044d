"""Rows of a report over evaluations that were handed in: what was varied, and what is outdated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from tests.evaluation.conftest import evaluated
from tratree_cli.evaluation.report import Evaluated
from tratree_cli.stages.report_rows import MadeFrom, newest, settle


@dataclass(frozen=True)
class Made:
    """What a row reads of a store's entry."""

    recipe: str
    created: float = 0.0
    provenance: dict[str, Any] = field(
        default_factory=lambda: {"config": {"recipe": "micro", "env": {"name": "webshop"}}}
    )


def row(name: str, created: float = 0.0, method: str = "mcts", **parameters: Any) -> Any:
    made = MadeFrom(method, cast(Any, Made(name, created)), None)
    return evaluated(method, [0.0, 1.0], parameters=parameters), made


def settled(*rows: Any) -> list[tuple[Evaluated, MadeFrom]]:
    return settle([one for one, _ in rows], [made for _, made in rows])


def test_a_setting_is_varied_where_it_is_not_the_recipes_own() -> None:
    # The recipe micro explores three times, so four is the variation although it is as frequent.
    found = settled(row("a", **{"explore.m": 4}), row("b", **{"explore.m": 3}))
    assert [one.evaluation.descriptor.varied for one, _ in found] == [("explore.m",), ()]


def test_where_no_row_has_the_recipes_own_value_the_most_usual_one_is_home() -> None:
    found = settled(*(row(name, **{"explore.m": m}) for name, m in (("a", 8), ("b", 9), ("c", 9))))
    assert [one.evaluation.descriptor.varied for one, _ in found] == [("explore.m",), (), ()]


def test_settings_that_never_differ_are_no_columns() -> None:
    (found, _), *_ = settled(row("a", **{"sft.epochs": 3.0, "explore.m": 3}), row("b"))
    assert dict(found.evaluation.descriptor.parameters) == {"explore.m": 3}


def test_of_equal_descriptions_the_newest_counts_and_the_report_says_so() -> None:
    rows, remarks = newest(settled(row("old", 1.0), row("new", 2.0), row("other", method="eto")))
    assert len(rows) == 2
    assert "1 older evaluation is left out" in remarks[0]
    same, silent = newest(settled(row("one", 1.0), row("one", 1.0)))
    assert (len(same), silent) == (1, ())
