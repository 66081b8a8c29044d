"""Rows of a report over evaluations that were handed in: what was varied, and what is outdated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from tests.evaluation.conftest import evaluated
from tratree_cli.config import load_recipe
from tratree_cli.reporting.build_report import Evaluated
from tratree_cli.reporting.lineage import budget
from tratree_cli.reporting.row_settings import differing_settings, keyed_settings
from tratree_cli.reporting.rows import (
    MadeFrom,
    _command,
    main_rows,
    method_of,
    newest,
    policies_of,
    settle,
)


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


def described(given: Any, **fields: Any) -> Any:
    """The row with other fields of its evaluation's description."""
    found, made = given
    descriptor = replace(found.evaluation.descriptor, **fields)
    return replace(found, evaluation=replace(found.evaluation, descriptor=descriptor)), made


def settled(*rows: Any) -> list[tuple[Evaluated, MadeFrom]]:
    return settle([one for one, _ in rows], [made for _, made in rows])


def test_a_setting_is_varied_where_it_is_not_the_recipes_own() -> None:
    # The recipe micro explores three times, so four is the variation although it is as frequent.
    found = settled(row("a", **{"explore.m": 4}), row("b", **{"explore.m": 3}))
    assert [one.evaluation.descriptor.varied for one, _ in found] == [("explore.m",), ()]


def test_where_no_row_has_the_recipes_own_value_the_most_usual_one_is_home() -> None:
    found = settled(*(row(name, **{"explore.m": m}) for name, m in (("a", 8), ("b", 9), ("c", 9))))
    assert [one.evaluation.descriptor.varied for one, _ in found] == [("explore.m",), (), ()]


def test_only_rows_of_one_environment_and_split_are_compared() -> None:
    shop, house = row("a", **{"eval.tasks": 16}), row("b", **{"eval.tasks": 9})
    for place in ({"environment": "alfworld"}, {"split": "dev"}):
        found = settled(shop, described(house, **place))
        assert [one.evaluation.descriptor.varied for one, _ in found] == [(), ()]
    varied = settled(shop, house)
    assert [one.evaluation.descriptor.varied for one, _ in varied] == [(), ("eval.tasks",)]


def test_settings_that_never_differ_are_no_columns() -> None:
    (found, _), *_ = settled(row("a", **{"sft.epochs": 3.0, "explore.m": 3}), row("b"))
    assert dict(found.evaluation.descriptor.parameters) == {"explore.m": 3}


def test_main_rows_are_the_recipes_own_of_each_environments_main_models() -> None:
    rows = [
        described(row("own", **{"explore.m": 3}), weak="small"),
        described(row("swept", **{"explore.m": 4}), weak="small"),
        described(row("other model", **{"explore.m": 3}), weak="medium"),
        described(row("rooms", **{"explore.m": 3}), weak="medium", environment="alfworld"),
    ]
    main = main_rows(settled(*rows))
    assert {name: [one.evaluation.recipe for one in rows] for name, rows in main.items()} == {
        "webshop": ["own"],
        "alfworld": ["rooms"],
    }


def test_of_equal_descriptions_the_newest_counts_and_the_report_says_so() -> None:
    rows, remarks = newest(settled(row("old", 1.0), row("new", 2.0), row("other", method="eto")))
    assert len(rows) == 2
    assert "1 older evaluation is left out" in remarks[0]
    same, silent = newest(settled(row("one", 1.0), row("one", 1.0)))
    assert (len(same), silent) == (1, ())


@dataclass(frozen=True)
class Entry:
    """An artifact as far as settings read it."""

    stage: str
    document: dict[str, Any]
    recipe: str = ""
    object: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    kind: str = ""


def trained(**params: Any) -> Entry:
    return Entry("train-strong", {"params": params, "inputs": {}})


def test_settings_that_no_list_knows_tell_two_lineages_apart() -> None:
    first = [trained(seed=0, dpo={"beta": 0.1, "nll_weight": 0.5}), Entry("eval", {"params": {}})]
    second = [trained(seed=1, dpo={"beta": 0.1, "nll_weight": 0.0})]
    # Seeds tell runs of one row apart, and what is equal is no setting.
    assert differing_settings([cast(Any, first), cast(Any, second)]) == [
        {"dpo.nll_weight": 0.5},
        {"dpo.nll_weight": 0.0},
    ]


def test_whose_exploration_it_was_is_a_setting_except_where_the_method_says_it() -> None:
    explored = Entry("explore", {"params": {"m": 3, "policies": ["model"]}})
    by_expert = Entry("explore", {"params": {"m": 3, "policies": ["expert"]}})

    def settings(method: str, explorer: str, rollouts: Entry = explored) -> dict[str, Any]:
        config = {"explore": {"explorer": explorer}}
        return keyed_settings(method, cast(Any, [rollouts]), config)

    assert settings("mcts", "weak") == {"explore.m": 3, "explore.explorer": "weak"}
    assert settings("mcts", "strong")["explore.explorer"] == "strong"
    assert settings("mcts", "weak", by_expert)["explore.explorer"] == "expert"
    assert settings("eto", "strong") == {"explore.m": 3}


def test_policies_with_equal_bytes_each_have_their_row() -> None:
    """The failure-safe case: tree-DPO's result is the SFT strong model itself."""
    strong = Entry("sft", {}, "r1", "same", {"label": "SFT strong model"})
    adopted = Entry("train-strong", {"params": {"method": "tree-dpo"}}, "r2", "same")
    other = Entry("train-strong", {"params": {"method": "mcts"}}, "r3", "else")
    evaluation = Entry("eval", {"inputs": {"policy": ["same"]}, "params": {}})

    class Store:
        def maker(self, digest: str, user: Entry) -> Entry:
            return strong

    store: Any = Store()
    policies = policies_of(store, cast(Any, evaluation), cast(Any, [other, adopted, strong]))
    assert [one.recipe for one in policies] == ["r1", "r2"]
    named = [method_of(store, cast(Any, evaluation), one) for one in policies]
    assert named == ["sft-strong", "tree-dpo"]


def test_the_line_that_makes_a_row_again_names_a_seed_that_is_not_the_recipes_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def typed(seed: int) -> str:
        config = {"recipe": "micro", "env": {"name": "webshop"}, "eval": {}}
        policy = Entry("sft", {"params": {"seed": seed}}, provenance={"config": config})
        evaluation = Entry("eval", {"params": {}}, provenance={"config": config})
        return _command(MadeFrom("sft-weak", cast(Any, evaluation), cast(Any, policy)))

    assert "--seed" not in typed(0)
    assert "--seed 2" in typed(2)
    own = replace(load_recipe("micro", "webshop"), seed=2)
    monkeypatch.setattr("tratree_cli.reporting.rows._shipped", lambda *_: own)
    assert "--seed 0" in typed(0)
    assert "--seed" not in typed(2)


def test_what_only_decided_how_long_a_control_trained_is_no_data_of_its() -> None:
    made = {
        "d": Entry("demos", {"inputs": {}}, "d", kind="demos", summary={"demonstrations": 60}),
        "r": Entry("explore", {"inputs": {}}, "r", kind="rollouts", summary={"trajectories": 1440}),
        "p": Entry("mcts", {"inputs": {"rollouts": ["r"]}}, "p"),
    }

    class Kept:
        def maker(self, digest: str, _: Entry) -> Entry:
            return made[digest]

    def episodes(**inputs: list[str]) -> tuple[int, int]:
        policy = Entry("train-strong", {"inputs": inputs}, "m", summary={"optimizer_steps": 60})
        found = budget(cast(Any, Kept()), cast(Any, policy))
        return found.demonstrations, found.episodes

    assert episodes(demos=["d"], paths=["p"]) == (60, 1440)
    assert episodes(demos=["d"], budget=["p"]) == (60, 0)
    assert episodes(demos=["d"], budget=["d"]) == (60, 0)


def test_the_command_of_a_policy_of_ones_own_evaluates_it_again() -> None:
    config = load_recipe("micro", "webshop").with_values({"eval": {"tasks": 3}}, "--limit")
    made = Entry("eval", {"params": {}}, provenance={"config": config.to_dict()})
    given = [MadeFrom(name, cast(Any, made), None) for name in ("expert", "python:mine:agent")]
    options = "--recipe micro --env webshop"
    assert [_command(row) for row in given] == [
        f"tratree report {options} --methods expert --set eval.tasks=3",
        f"tratree eval {options} --policy python:mine:agent --set eval.tasks=3",
    ]
