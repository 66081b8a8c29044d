"""Controls as graphs: they differ from their method in what is in question and in nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.registry import METHODS, derived_controls, method, with_controls
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.pipeline.parameters import key_document
from tratree_cli.reporting import study
from tratree_cli.stages import schedules, train_strong


def config(**sections: Any) -> Config:
    return load_recipe("micro", "webshop").with_values(sections, "the test")


def labelled(node: Node, label: str) -> Node:
    (found,) = (one for one in order([node]) if one.label == label)
    return found


def test_unstructured_pairs_are_of_the_episodes_that_the_trees_are_made_of() -> None:
    for given in (config(), config(explore={"explorer": "strong"})):
        names = ("tree-dpo", "mcts", "unstructured-dpo", "tree-joint", "tree-joint/unstructured")
        explored = {
            node.key
            for name in names
            for node in order([train_strong.node(given, name)])
            if node.stage.name == "explore"
        }
        assert len(explored) == 1


@pytest.mark.parametrize(
    "name", ["tree-dpo", "unstructured-dpo", "eto", "eto-expert", "ipr", "ceiling"]
)
def test_nll_alone_trains_on_the_same_rows_for_the_same_updates(name: str) -> None:
    own, alone = (train_strong.node(config(), one) for one in (name, f"{name}/nll-only"))
    assert own.inputs["pairs"][0].key == alone.inputs["pairs"][0].key  # type: ignore[union-attr]
    before, after = key_document(own.params)["dpo"], key_document(alone.params)["dpo"]
    assert {key for key in after if after[key] != before.get(key)} == {"preference_weight"}
    assert after["preference_weight"] == 0.0
    unweighted = config(dpo={"nll_weight": 0.0, "beta": 0.5, "loss_type": "ipo"})
    alone = train_strong.node(unweighted, f"{name}/nll-only")
    assert (alone.params.dpo.nll_weight, alone.params.dpo.beta) == (1.0, 0.1)
    assert alone.params.dpo.loss_type == "sigmoid"


def test_nll_alone_in_joint_training_keeps_the_paths_and_has_the_preferences_weight() -> None:
    own, alone = (train_strong.node(config(), n) for n in ("tree-joint", "tree-joint/nll-only"))
    assert own.params.joint == alone.params.joint
    assert (own.params.dpo.preference_weight, own.params.dpo.nll_weight) == (1.0, 0.0)
    assert (alone.params.dpo.preference_weight, alone.params.dpo.nll_weight) == (0.0, 1.0)


def test_joint_training_has_the_schedule_of_imitation_unless_it_has_its_own() -> None:
    params = train_strong.node(config(), "tree-joint").params
    alone = train_strong.node(config(), "mcts").params.training
    schedule = (params.dpo.epochs, params.dpo.learning_rate, params.dpo.batch_size)
    assert schedule == (alone.epochs, alone.learning_rate, alone.batch_size)
    own = config(joint={"epochs": 3, "learning_rate": 5e-4, "batch_size": 4, "updates": 80})
    params = train_strong.node(own, "tree-joint").params
    schedule = (params.dpo.epochs, params.dpo.learning_rate, params.dpo.batch_size)
    assert schedule == (3, 5e-4, 4)
    assert params.joint.updates == 80


def test_a_control_that_would_train_just_as_another_method_is_that_method() -> None:
    def key(given: Config, name: str) -> str:
        return train_strong.node(given, name).key

    plain, own = config(), config(joint={"epochs": 2})
    for control, name in (("tree-joint/mcts", "mcts"), ("tree-joint/sft-more", "sft-more")):
        assert key(plain, control) == key(plain, name)
        assert key(own, control) != key(own, name)
        made = study.cells(plain, ["tree-joint", control, name])
        assert [cell.method for cell in made] == ["tree-joint", name]
    without = config(dpo={"preference_weight": 0.0})
    assert key(plain, "tree-dpo/nll-only") != key(plain, "tree-dpo")
    assert key(without, "tree-dpo/nll-only") == key(without, "tree-dpo")


def test_equal_steps_are_counted_by_what_the_method_trains_on() -> None:
    counted = {
        name: [one.label for one in train_strong.node(config(), name).inputs[ONLY_COUNTED]]  # type: ignore[union-attr]
        for name in ("sft-more", "tree-dpo/sft-more", "eto/sft-more", "tree-joint/mcts-twice")
    }
    assert counted == {
        "sft-more": ["MCTS paths"],
        "tree-dpo/sft-more": ["reference scores of tree pairs"],
        "eto/sft-more": ["reference scores of eto pairs"],
        "tree-joint/mcts-twice": ["MCTS paths"],
    }
    steps = train_strong.node(config(dpo={"epochs": 2}), "tree-dpo/sft-more").params.steps
    assert steps == schedules.EqualSteps(2, 8)
    assert (steps.steps(17), steps.steps(0)) == (6, 0)
    twice = train_strong.node(config(joint={"updates": 80}), "tree-joint/mcts-twice")
    assert twice.params.steps.steps(0) == 160 and ONLY_COUNTED not in twice.inputs
    near = train_strong.node(config(dpo={"ref": "none"}), "tree-dpo/sft-more")
    assert [one.label for one in near.inputs[ONLY_COUNTED]] == ["tree pairs"]  # type: ignore[union-attr]


def test_swapping_is_drawn_pair_by_pair_and_nothing_else_differs() -> None:
    from tratree_cli.training.data import PairRow
    from tratree_cli.training.swapped_sides import with_swapped_sides

    own, swapped = (train_strong.node(config(), n) for n in ("tree-joint", "tree-joint/swapped"))
    assert own.inputs == swapped.inputs or [
        node.key
        for nodes in own.inputs.values()
        for node in nodes  # type: ignore[union-attr]
    ] == [node.key for nodes in swapped.inputs.values() for node in nodes]  # type: ignore[union-attr]
    rows = [
        PairRow([1], [2], [3, 4], [1], [1, 1], f"{number}", "", 0, -1.0, -2.0)
        for number in range(200)
    ]
    drawn = with_swapped_sides(rows, seed=0)
    assert 70 < sum(row.swapped for row in drawn) < 130
    assert drawn == with_swapped_sides(rows[::-1], seed=0)[::-1]
    assert drawn != with_swapped_sides(rows, seed=1)
    for before, after in zip(rows, drawn, strict=True):
        sides = (after.chosen_ids, after.chosen_mask, after.ref_chosen_logps)
        expected = ([3, 4], [1, 1], -2.0) if after.swapped else ([2], [1], -1.0)
        assert sides == expected and after.identity == before.identity


def test_mirror_pairs_alone_are_those_of_the_methods_own_pairs() -> None:
    with_mirrors = config(pairs={"mirror": True})
    own, alone = (
        train_strong.node(with_mirrors, n) for n in ("tree-joint", "tree-joint/mirror-only")
    )
    assert own.inputs["reference"][0].key == alone.inputs["reference"][0].key  # type: ignore[union-attr]
    assert (own.params.basis, alone.params.basis) == (None, "mirror")
    assert train_strong.node(config(), "tree-joint/mirror-only").key == alone.key
    of_the_rule = config(pairs={"rules": {"tree": {"mirror": False}}})
    assert train_strong.node(of_the_rule, "tree-joint/mirror-only").key == alone.key


def test_controls_stand_beside_their_methods_unless_they_are_left_out() -> None:
    bench = load_recipe("bench", "webshop")
    chosen = study.chosen_methods("tree-dpo,mcts", bench)
    assert chosen[:2] == ("tree-dpo", "mcts")
    assert set(chosen[2:]) == {
        "unstructured-dpo", "tree-dpo/nll-only", "tree-dpo/sft-more", "best-observed", "sft-more",
        "unstructured-dpo/nll-only", "unstructured-dpo/sft-more",
    }  # fmt: skip
    assert study.chosen_methods("tree-dpo", bench, controls=False) == ("tree-dpo",)
    some = config(report={"controls": ["tree-dpo/nll-only"]})
    assert study.chosen_methods("tree-dpo,mcts", some) == ("tree-dpo", "mcts", "tree-dpo/nll-only")
    assert study.chosen_methods("mcts", config()) == ("mcts",)
    assert len(study.chosen_methods("mcts", config(), controls=True)) == 3
    with pytest.raises(InputError, match="no method 'sft-mor'"):
        study.chosen_methods("mcts", config(report={"controls": ["sft-mor"]}))


def test_a_control_is_a_record_that_names_what_it_is_derived_from() -> None:
    for record in METHODS.records():
        for name in derived_controls(record):
            control = method(name)
            assert (control.control_of, control.group) == (record.name, "control")
            assert name == f"{record.name}/{control.variant}"
            assert (
                not control.controls
                and control.paper == Method.__dataclass_fields__["paper"].default_factory()
            )  # type: ignore[misc]
    assert with_controls(["sft-strong"]) == ("sft-strong",)
    assert method("tree-dpo/sft-more").titled(steps=[80, 84, 80]) == "SFT strong, +80 to 84 updates"
    assert method("sft-more").titled(steps=[80]) == "SFT strong, +80 updates"
    assert method("best-of-n").titled(best_of=8, steps=[80]) == "SFT strong, best of 8"


def test_the_steps_of_a_method_without_paths_or_pairs_are_not_known() -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="which learns from demonstrations; only the steps"):
        schedules.equal_steps(config(), replace(method("sft-more"), steps_of="sft-strong"))
