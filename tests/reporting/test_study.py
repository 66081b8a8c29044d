"""A study as a graph: which cells there are, what they share, and what is refused."""

from __future__ import annotations

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError, StageError
from tratree_cli.methods.registry import methods
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.pipeline.runtime import Losses
from tratree_cli.reporting import report_stage, study
from tratree_cli.stages import method_graph
from tratree_cli.stages import sft as sft_stage


@pytest.fixture(scope="module")
def config() -> Config:
    return load_recipe("micro")


def cells(
    config: Config, *names: str, seeds: int = 1, orders: int | None = None, sweep: str = ""
) -> list[study.StudyCell]:
    sweeps = study.parse_sweeps(sweep.split() if sweep else [], config)
    return study.cells(config, names, seeds=seeds, orders=orders, sweeps=sweeps)


def test_seeds_share_the_demonstrations_and_nothing_that_is_trained(config: Config) -> None:
    nodes = order([report_stage.of_cells(config, cells(config, "tree-dpo", "mcts", seeds=3))])
    labels = [node.label for node in nodes]
    assert labels.count("demonstrations") == 1
    assert labels.count("SFT weak model") == 3
    assert labels.count("exploration") == 3
    assert labels.count("strong model, mcts") == 3


def test_swept_settings_share_everything_above_them(config: Config) -> None:
    found = cells(config, "tree-dpo", "mcts", "sft-strong", sweep="dpo.beta=0.1,0.5")
    labels = [node.label for node in order([report_stage.of_cells(config, found)])]
    assert labels.count("tree pairs") == 1
    assert labels.count("strong model, tree-dpo") == 2
    # Neither imitation of e* nor the baseline knows a beta, so they have no second cell.
    assert [(cell.method, dict(cell.settings), cell.varied) for cell in found] == [
        ("tree-dpo", {"dpo.beta": 0.1}, ()),
        ("tree-dpo", {"dpo.beta": 0.5}, ("dpo.beta",)),
        ("mcts", {}, ()),
        ("sft-strong", {}, ()),
    ]


def test_orders_of_rows_are_trained_from_the_same_models_and_data(config: Config) -> None:
    found = cells(config, "sft-strong", "mcts", "tree-dpo", "expert", seeds=2, orders=3)
    assert [(cell.method, cell.seed, cell.data_seed) for cell in found] == [
        ("sft-strong", 0, None),
        *(("mcts", 0, order) for order in range(3)),
        *(("tree-dpo", 0, order) for order in range(3)),
        ("expert", 0, None),
        ("sft-strong", 1, None),
        *(("mcts", 1, order) for order in range(3)),
        *(("tree-dpo", 1, order) for order in range(3)),
    ]
    nodes = order([report_stage.of_cells(config, found)])
    labels = [node.label for node in nodes]
    assert labels.count("strong model, mcts") == 6
    for shared in ("SFT weak model", "SFT strong model", "exploration", "MCTS paths", "tree pairs"):
        assert labels.count(shared) == 2
    keyed = [node.key_params.get("data_seed") for node in nodes if node.stage.name != "report"]
    assert sorted(seed for seed in keyed if seed is not None) == [0] * 4 + [1] * 4 + [2] * 4
    named = study.labels(found)
    assert named[found[2].evaluation.key].endswith(", seed 0, order 1")


def test_orders_are_counted_from_the_configured_data_seed(config: Config) -> None:
    later = config.with_values({"train": {"data_seed": 5}}, "the test")
    assert [cell.data_seed for cell in cells(later, "mcts", orders=2)] == [5, 6]


def test_a_data_seed_is_keyed_only_where_it_is_given(config: Config) -> None:
    plain = method_graph.evaluation(config, "mcts")
    assert all("data_seed" not in node.key_params for node in order([plain]))
    for given in (0, 1):
        changed = config.with_values({"train": {"data_seed": given}}, "test")
        assert method_graph.evaluation(changed, "mcts").key != plain.key
        strong = method_graph.evaluation(config, "sft-strong")
        assert method_graph.evaluation(changed, "sft-strong").key == strong.key


def test_sft_of_one_model_alone_changes_nothing_of_the_other(config: Config) -> None:
    def keys(**sft: object) -> dict[str, str]:
        changed = config.with_values({"sft": sft}, "test")
        nodes = order([method_graph.evaluation(changed, "tree-dpo")])
        return {node.label: node.key for node in nodes}

    plain, strong = keys(), keys(strong={"epochs": 9})
    assert strong["SFT weak model"] == plain["SFT weak model"]
    assert strong["tree pairs"] == plain["tree pairs"]
    assert strong["SFT strong model"] != plain["SFT strong model"]
    # An override that says what [sft] says changes no key.
    assert keys(strong={"epochs": config.sft.epochs}) == plain
    # The strong model goes on with the settings that it was made with.
    lora = config.with_values({"sft": {"strong": {"lora_r": 8}}}, "test")
    for name in ("tree-dpo", "mcts"):
        (trained,) = method_graph.evaluation(lora, name).upstream()
        assert trained.key_params["training"]["lora_r"] == 8
        assert trained.key_params["merge_version"] == 2


def test_a_length_that_is_chosen_is_asked_for_by_what_decides_it(config: Config) -> None:
    def node(**sft: object) -> Node:
        changed = config.with_values({"sft": {"epochs": "auto", **sft}}, "test")
        return sft_stage.node(changed, "strong")

    auto = node()
    assert auto.key_params["candidates"] == [8.0, 16.0, 24.0, 40.0, 64.0]
    evaluation = auto.key_params["evaluation"]
    assert (evaluation["split"], evaluation["tasks"], evaluation["temperature"]) == ("dev", 200, 0)
    assert auto.environment and auto.templates
    for other in ({"auto_tasks": 9}, {"auto_patience": 1}, {"auto_epochs": [1, 2]}):
        assert node(**other).key != auto.key
    # Neither these settings nor the environment are in the key of a training of a given length.
    given = [node(epochs=8, **other) for other in ({}, {"auto_tasks": 9})]
    assert len({one.key for one in given}) == 1
    assert given[0].environment is None


def test_scripted_policies_know_no_training_seed(config: Config) -> None:
    assert len(cells(config, "random", "expert", seeds=5)) == 2


def test_sweeps_change_one_parameter_at_a_time_unless_a_grid_is_asked_for(config: Config) -> None:
    sweeps = study.parse_sweeps(["explore.m=2,3", "dpo.beta=0.1,0.5"], config)
    settings = lambda grid: [  # noqa: E731
        (cell.settings["explore.m"], cell.settings["dpo.beta"])
        for cell in study.cells(config, ["tree-dpo"], sweeps=sweeps, grid=grid)
    ]
    assert settings(grid=False) == [(3, 0.1), (2, 0.1), (3, 0.5)]
    assert sorted(settings(grid=True)) == [(2, 0.1), (2, 0.5), (3, 0.1), (3, 0.5)]


def test_other_models_are_columns_of_their_own_and_not_variations(config: Config) -> None:
    found = cells(config, "mcts", sweep="models.weak=tratree-s,tratree-m")
    assert [cell.varied for cell in found] == [(), ()]
    assert len({cell.evaluation.key for cell in found}) == 2


def test_nodes_are_called_by_the_seed_and_setting_they_belong_to(config: Config) -> None:
    spoken = set(
        study.labels(cells(config, "tree-dpo", seeds=2, sweep="dpo.beta=0.1,0.5")).values()
    )
    assert "demonstrations" in spoken
    assert "SFT weak model, seed 1" in spoken
    assert "strong model, tree-dpo, seed 0, dpo.beta=0.5" in spoken


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("explore.mm=3", "unknown parameter 'explore.mm' (did you mean 'explore.m'?)"),
        ("explore.m=3,3", "the value 3 is there twice"),
        ("explore.m=x", "must be a whole number"),
        ("explore.m", "expected section.key=value,value"),
        ("explore.m=", "expected section.key=value,value"),
        ("seed=1,2", "use --seeds N"),
        ("train.data_seed=1,2", "use --orders N"),
        ("env.name=webshop,alfworld", "--existing"),
    ],
)
def test_a_bad_sweep_is_refused_in_one_sentence(config: Config, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        study.parse_sweep(text, config)
    assert sentence in str(refused.value)


def test_a_sweep_of_both_models_is_refused_where_the_recipe_tells_them_apart() -> None:
    quick = load_recipe("quick")
    with pytest.raises(InputError, match=r"sweep sft\.weak\.epochs or sft\.strong\.epochs"):
        study.parse_sweep("sft.epochs=8,16", quick)
    # The recipe's own value of the one model is known, so its cell is no second one.
    found = cells(quick, "sft-strong", sweep="sft.strong.epochs=8,40")
    assert [(dict(cell.settings), cell.varied) for cell in found] == [
        ({"sft.strong.epochs": 40.0}, ()),
        ({"sft.strong.epochs": 8.0}, ("sft.strong.epochs",)),
    ]


def test_a_sweep_that_changes_no_method_is_refused(config: Config) -> None:
    with pytest.raises(InputError, match="none of the methods"):
        cells(config, "sft-weak", sweep="dpo.beta=0.5")


def test_a_parameter_is_swept_once(config: Config) -> None:
    with pytest.raises(InputError, match="swept twice"):
        study.parse_sweeps(["explore.m=3", "explore.m=4"], config)


def test_methods_are_named_once_and_must_be_known(config: Config) -> None:
    assert study.chosen_methods("all", config) == tuple(record.name for record in methods())
    assert study.chosen_methods(None, config) == tuple(config.report.methods)
    with pytest.raises(InputError, match=r"there is no method 'mtcs'.*mcts"):
        study.chosen_methods("mtcs", config)
    with pytest.raises(InputError, match="there twice"):
        study.chosen_methods("mcts,mcts", config)


def test_what_stands_on_a_failing_node_is_lost_and_nothing_else(config: Config) -> None:
    config = config.with_values({"report": {"held_out": 10}}, "test")
    found = cells(config, "sft-strong", "tree-dpo", "mcts")
    nodes = order([report_stage.of_cells(config, found)])
    mcts = next(node for node in nodes if node.label == "strong model, mcts")
    losses = Losses()
    losses.add(mcts, StageError("the loss became nan"), nodes[nodes.index(mcts) :])
    assert {node.label for node in nodes if node.key in losses.keys} == {
        "strong model, mcts",
        "evaluation of W2SG MCTS",
        "preference accuracy of W2SG MCTS",
        "report",
    }
    rest = report_stage.of_cells(config, found, losses.keys)
    assert [row.method for row in rest.params.rows] == ["sft-strong", "tree-dpo"]
    assert rest.params.missing == ("evaluation of W2SG MCTS",)
    assert not {node.key for node in order([rest])} & losses.keys
