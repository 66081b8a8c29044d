"""Rows of a report over evaluations that were handed in: what was varied, and what is outdated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.reporting.conftest import evaluated
from tratree_cli.config import load_recipe
from tratree_cli.reporting.lineage import budget, inputs
from tratree_cli.reporting.read_rows import method_of, policies_of
from tratree_cli.reporting.row_commands import command
from tratree_cli.reporting.row_settings import differing_settings, keyed_settings
from tratree_cli.reporting.rows import EvaluationRow, RowLineage
from tratree_cli.reporting.selection import main_rows
from tratree_cli.reporting.varied_settings import infer_varied_settings, latest_per_cell


@dataclass(frozen=True)
class Made:
    """What a row reads of a store's entry."""

    recipe: str
    created: float = 0.0
    provenance: dict[str, Any] = field(
        default_factory=lambda: {"config": {"recipe": "micro", "env": {"name": "webshop"}}}
    )


def row(name: str, created: float = 0.0, method: str = "mcts", **parameters: Any) -> EvaluationRow:
    made = RowLineage(method, cast(Any, Made(name, created)), None)
    return replace(evaluated(method, [0.0, 1.0], parameters=parameters), lineage=made)


def varied(*rows: EvaluationRow) -> list[tuple[str, ...]]:
    return [row.descriptor.varied for row in infer_varied_settings(rows)]


def test_a_setting_is_varied_where_it_is_not_the_recipes_own() -> None:
    # The recipe micro explores three times, so four is the variation although it is as frequent.
    rows = (row("a", **{"explore.m": 4}), row("b", **{"explore.m": 3}))
    assert varied(*rows) == [("explore.m",), ()]


def test_where_no_row_has_the_recipes_own_value_the_most_usual_one_is_home() -> None:
    rows = [row(name, **{"explore.m": m}) for name, m in (("a", 8), ("b", 9), ("c", 9))]
    assert varied(*rows) == [("explore.m",), (), ()]


def test_the_weak_and_the_strong_models_sft_have_lengths_of_their_own() -> None:
    epochs = (("a", "sft-weak", 24), ("b", "sft-strong", 40), ("c", "sft-strong", 40))
    rows = [row(name, method=of, **{"sft.epochs": length}) for name, of, length in epochs]
    longer = row("d", method="sft-strong", **{"sft.epochs": 64})
    assert varied(*rows, longer) == [(), (), (), ("sft.epochs",)]


def test_what_a_recipe_says_of_one_method_is_no_variation() -> None:
    """Bench trains the joint method by its own schedule, and pairs of one rule by their own."""

    def of_bench(method: str, changed: dict[str, Any], **parameters: Any) -> EvaluationRow:
        config = load_recipe("bench").with_values(changed, "test").to_dict()
        made = Made(f"{method} {changed}", provenance={"config": config})
        lineage = RowLineage(method, cast(Any, made), None)
        return replace(row("", method=method, **parameters), lineage=lineage)

    played = {"eval": {"limit": 20}, "train": {"data_seed": 2}}
    own = [
        of_bench("tree-dpo", {}, **{"dpo.epochs": 1.0}),
        of_bench("mcts", {}, **{"dpo.epochs": 1.0}),
        of_bench("tree-joint", played, **{"dpo.epochs": 4.0, "eval.limit": 20}),
    ]
    longer = of_bench("tree-dpo", {"dpo": {"epochs": 4.0}}, **{"dpo.epochs": 4.0})
    assert varied(*own, longer) == [(), (), (), ("dpo.epochs",)]


def test_only_rows_of_one_environment_and_split_are_compared() -> None:
    shop, house = row("a", **{"eval.limit": 16}), row("b", **{"eval.limit": 9})
    for place in ({"environment": "alfworld"}, {"split": "dev"}):
        assert varied(shop, house.described(**place)) == [(), ()]
    assert varied(shop, house) == [(), ("eval.limit",)]


def test_settings_that_never_differ_are_no_columns() -> None:
    rows = (row("a", **{"sft.epochs": 3.0, "explore.m": 3}), row("b"))
    assert dict(infer_varied_settings(rows)[0].descriptor.parameters) == {"explore.m": 3}


def test_main_rows_are_the_recipes_own_of_each_environments_main_models() -> None:
    rows = [
        row("own", **{"explore.m": 3}).described(weak="small"),
        row("swept", **{"explore.m": 4}).described(weak="small"),
        row("other model", **{"explore.m": 3}).described(weak="medium"),
        row("rooms", **{"explore.m": 3}).described(weak="medium", environment="alfworld"),
    ]
    main = main_rows(infer_varied_settings(rows))
    recipes = {
        name: [row.lineage.evaluation.recipe for row in rows if row.lineage]
        for name, rows in main.items()
    }
    assert recipes == {"webshop": ["own"], "alfworld": ["rooms"]}


def test_of_equal_descriptions_the_newest_counts_and_the_report_says_so() -> None:
    rows, remarks = latest_per_cell([row("old", 1.0), row("new", 2.0), row("other", method="eto")])
    assert len(rows) == 2
    assert "1 older evaluation is left out" in remarks[0]
    same, silent = latest_per_cell([row("one", 1.0), row("one", 1.0)])
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

    @property
    def inputs(self) -> dict[str, list[str]]:
        return dict(self.document.get("inputs", {}))


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
    by_both = Entry("explore", {"params": {"m": 3, "policies": ["model", "model"]}})
    assert settings("mcts", "both", by_both)["explore.explorer"] == "both"
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
        return command(RowLineage("sft-weak", cast(Any, evaluation), cast(Any, policy)))

    assert "--seed" not in typed(0)
    assert "--seed 2" in typed(2)
    own = replace(load_recipe("micro", "webshop"), seed=2)
    monkeypatch.setattr("tratree_cli.reporting.row_commands._shipped", lambda *_: own)
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
    given = [RowLineage(name, cast(Any, made), None) for name in ("expert", "python:mine:agent")]
    options = "--recipe micro --env webshop"
    assert [command(row) for row in given] == [
        f"tratree report {options} --methods expert --set eval.limit=3",
        f"tratree eval {options} --policy python:mine:agent --set eval.limit=3",
    ]


class Records:
    """A store of entries by recipe digest, which resolves an object to ``newest``."""

    def __init__(self, *entries: Entry, newest: Entry) -> None:
        self.entries, self.newest = entries, newest

    def records_of(self, recipe: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.recipe == recipe]

    def maker(self, digest: str, user: Entry) -> Entry:
        return self.newest


def test_an_input_is_the_recipe_that_was_recorded_whatever_gave_the_same_object_later() -> None:
    trained = Entry("train-strong", {"params": {"method": "mcts"}}, "r1", "same")
    adopted = Entry("train-strong", {"params": {"method": "tree-dpo"}}, "r2", "same")
    store: Any = Records(trained, adopted, newest=adopted)
    document = {"inputs": {"policy": ["same"]}, "params": {}}
    exact: Any = Entry("eval", document, provenance={"inputs": {"policy": ["r1"]}})
    assert [entry.recipe for entry in inputs(store, exact)] == ["r1"]
    assert method_of(store, exact) == "mcts"
    # An artifact of an earlier version recorded none: the newest maker is taken, as it was then.
    old: Any = Entry("eval", document)
    assert [entry.recipe for entry in inputs(store, old)] == ["r2"]
    collected: Any = Entry("eval", document, provenance={"inputs": {"policy": ["gone"]}})
    assert inputs(store, collected) == []


def test_an_sft_model_is_weak_or_strong_by_its_recorded_role_and_an_old_one_by_its_label() -> None:
    def method(provenance: dict[str, Any], samples: int = 1) -> str:
        model = Entry("sft", {}, "r", "o", provenance)
        evaluation = Entry("eval", {"inputs": {}, "params": {"best_of": samples}})
        return method_of(cast(Any, None), cast(Any, evaluation), cast(Any, model))

    assert method({"label": "renamed", "role": "weak"}) == "sft-weak"
    assert method({"label": "SFT weak model", "role": "strong"}) == "sft-strong"
    assert method({"label": "renamed", "role": "strong"}, samples=8) == "best-of-n"
    assert method({"label": "SFT weak model"}) == "sft-weak"
    assert method({"label": "SFT strong model"}) == "sft-strong"
    assert method({"label": "explorer of mine"}) == "explorer of mine"


def test_the_line_that_makes_a_row_again_says_what_was_taken_back_of_a_role(
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "roles.toml"
    recipe.write_text("[sft]\nepochs = 8\n[sft.strong]\nepochs = 40\nbatch_size = 4\n")
    config = load_recipe(str(recipe), "webshop")

    def typed(values: dict[str, Any]) -> str:
        made = config.with_values({"sft": values}, "test").to_dict()
        evaluation = Entry("eval", {"params": {}}, provenance={"config": made})
        return command(RowLineage("sft-strong", cast(Any, evaluation), None))

    assert "--set" not in typed({})
    # [sft] says 8 already, so it is the strong model's own length that has to be typed.
    assert "--set sft.strong='{ epochs = 8.0, batch_size = 4 }'" in typed({"epochs": 8})
    assert "--set sft.strong='{ epochs = 3.0, batch_size = 4 }'" in typed({"epochs": 3})
