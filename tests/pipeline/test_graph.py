"""The pulled graph: which stages stand behind a method, under which keys."""

from __future__ import annotations

from dataclasses import replace

from tratree_cli.config import Config, load_recipe
from tratree_cli.methods.registry import methods
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.reporting import report_stage, study
from tratree_cli.stages import method_graph, train_strong


def config() -> Config:
    return load_recipe("quick")


def labels(node: Node) -> list[str]:
    return [found.label for found in order([node])]


def test_shared_parts_are_one_node() -> None:
    names = labels(report_stage.of_cells(config(), study.cells(config(), config().report.methods)))
    assert "reference scores of tree pairs" in names
    assert len(names) == len(set(names))
    assert names.count("exploration") == 1


def test_tree_dpo_stands_on_the_weak_models_tree_and_reference() -> None:
    node = train_strong.node(config(), "tree-dpo")
    assert {"SFT weak model", "exploration", "trajectory trees", "tree pairs"} <= set(labels(node))
    (reference,) = node.inputs["reference"]
    assert isinstance(reference, Node)
    assert [m.label for m in reference.inputs["model"]] == ["SFT weak model"]


def test_eto_and_the_ceiling_stand_on_the_strong_models_exploration() -> None:
    for method in ("eto", "ceiling"):
        node = train_strong.node(config(), method)
        assert "exploration by the strong model" in labels(node)
        (reference,) = node.inputs["reference"]
        assert isinstance(reference, Node)
        assert [m.label for m in reference.inputs["model"]] == ["SFT strong model"]


def test_without_a_kl_reference_no_log_probabilities_are_computed() -> None:
    plain = replace(config(), dpo=replace(config().dpo, ref="none"))
    assert not [
        label
        for label in labels(train_strong.node(plain, "tree-dpo"))
        if label.startswith("reference")
    ]


def test_seeds_are_keyed_and_labels_are_not() -> None:
    one, other = config(), replace(config(), seed=1)
    assert train_strong.node(one, "mcts").key != train_strong.node(other, "mcts").key
    first = method_graph.evaluation(one, "sft-weak")
    assert replace(first, label="another name").key == first.key


def test_parameters_of_unused_merging_do_not_enter_the_key() -> None:
    exact = replace(config(), tree=replace(config().tree, merge="exact"))
    moved = replace(exact, tree=replace(exact.tree, threshold=0.5))
    assert method_graph.tree(exact).key == method_graph.tree(moved).key


def test_every_method_has_a_graph() -> None:
    for record in methods():
        assert method_graph.evaluation(config(), record.name).stage.kind == "evaluation"
