"""State graphs, stitching, strata and misleading explorers through the command line, no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Folder
from tratree_cli.config import load_recipe
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import order
from tratree_cli.stages import explore, mcts, method_graph


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


@pytest.fixture
def played(tratree: Folder) -> str:
    """Six tasks played at random, and by a shopper that forgets an option half of the time."""
    flags = ("--policy", "random", "--policy", "misaligned:ignore-option:0.5")
    found = tratree("explore", *flags, "--limit", "6", "-m", "6")
    assert found.code == 0, found.err
    return found.out.strip()


def summary(tratree: Folder, *words: str) -> dict[str, Any]:
    made = tratree(*words, "--json")
    assert made.code == 0, made.err
    found: dict[str, Any] = made.json["summary"]
    return found


def test_a_graph_is_built_shown_and_mined(tratree: Folder, played: str) -> None:
    built = summary(tratree, "build-tree", played, "--merge", "graph")
    graph = built["graph"]
    assert 0 < graph["several_histories"] < graph["states"] < built["nodes"]
    assert graph["returns"] > 0
    shown = tratree("show", "tree@latest")
    assert "reached by several" in shown.out
    assert "to go" in shown.out
    assert "of failed trajectories make it" in shown.out
    task = shown.out.partition("\ntask ")[2].split()[0]
    assert f"task {task}" in tratree("show", "tree@latest", "--task", task).out
    answers = tratree("show", "tree@latest", "--json").lines
    assert {"state", "action", "value", "distance", "led_to"} <= answers[0].keys()
    assert len(answers) == graph["answers"]
    drawn = tratree("show", "tree@latest", "--format", "mermaid").out
    assert drawn.count("n0") >= 2 and "n0 --> n0" not in drawn
    by_graph = summary(tratree, "mine-pairs", "tree@latest", "--rule", "graph", "--per-task", "0")
    assert by_graph["pairs"] > 0
    by_distance = summary(
        tratree, "mine-pairs", "tree@latest", "--rule", "graph", "--per-task", "0",
        "--set", "pairs.parameters.graph.by=distance",
    )  # fmt: skip
    assert 0 < by_distance["pairs"] != by_graph["pairs"]
    pair = tratree("show", "pairs@latest", "--json").lines[0]
    assert pair["rule"] == "graph"


def test_the_two_shares_of_progress_are_told_of_trees_too(tratree: Folder, played: str) -> None:
    made = tratree("build-tree", played)
    assert "of the steps of failed trajectories" in " ".join(made.err.split())
    assert "graph" not in json.loads(tratree("build-tree", played, "--json").out)["summary"]


def test_the_rule_graph_refuses_trees_without_a_graph(tratree: Folder, played: str) -> None:
    tree = tratree("build-tree", played).out.strip()
    asked = tratree("mine-pairs", tree, "--rule", "graph")
    asked.refused("takes trees with a state graph", "build-tree --merge graph")
    weighed = ("--set", "pairs.parameters.graph.by=length")
    tratree("mine-pairs", tree, "--rule", "graph", *weighed).refused("outcome, distance")


def test_pairs_without_a_stratum_have_none_of_it(tratree: Folder, played: str) -> None:
    tree = tratree("build-tree", played, "--merge", "graph").out.strip()
    for rule in ("tree", "graph"):
        words = ("mine-pairs", tree, "--rule", rule, "--per-task", "0")
        every = summary(tratree, *words)["pairs"]
        left = summary(tratree, *words, "--set", "pairs.leave_out=near-misses")["pairs"]
        assert left < every
        for pair in tratree("show", "pairs@latest", "--json").lines:
            assert not 0.5 <= pair["chosen_score"] < 1.0
            assert not 0.5 <= pair["rejected_score"] < 1.0
    misspelt = tratree("mine-pairs", tree, "--set", "pairs.leave_out=near")
    misspelt.refused("near-misses", "low-scores")


def test_stitched_paths_were_played_and_are_better_than_what_was_recorded(
    tratree: Folder, played: str
) -> None:
    tree = tratree("build-tree", played).out.strip()
    plain = summary(tratree, "mcts", tree, "--set", "mcts.min_score=0")
    best = {
        path["task"]: path["best_score"] for path in tratree("show", "paths@latest", "--json").lines
    }
    found = summary(tratree, "mcts", tree, "--stitch", "--set", "mcts.min_score=0")
    assert found["average_reward"] >= plain["average_reward"]
    stitched = json.loads(tratree("store", "ls", "rollouts", "--json").out.splitlines()[0])
    assert stitched["stage"] == "stitch"
    assert stitched["summary"]["played"] >= stitched["summary"]["trajectories"]
    for path in tratree("show", "paths@latest", "--json").lines:
        assert path["score"] >= best[path["task"]]


def test_stitching_is_refused_where_chance_rules_or_nothing_is_searched(tratree: Folder) -> None:
    chance = tratree("mcts", "--stitch", "--set", "env.parameters.out_of_stock=0.2")
    chance.refused("mcts.stitch plays paths that nobody walked", "not deterministic")
    tratree("mcts", "--stitch", "--set", "env.parameters.score_noise=0.1").refused("deterministic")
    both = tratree("mcts", "--stitch", "--select", "best-observed")
    both.refused("mcts.select = best-observed", "drop one of them")


def test_a_policy_that_needs_an_argument_says_how_it_is_written(tratree: Folder) -> None:
    asked = tratree("explore", "--policy", "misaligned")
    asked.refused("the policy 'misaligned' is written misaligned:[BIAS:]RATE")
    tratree("explore", "--policy", "misaligned:2", "--limit", "1").refused("rate from 0 to 1")
    unknown = tratree("explore", "--policy", "misaligned:dear:1", "--limit", "1")
    unknown.refused("webshop has no bias 'dear'")


def test_a_scripted_policy_may_explore_in_the_weak_models_place() -> None:
    config = load_recipe("quick").with_values({"explore": {"policy": "misaligned:0.5"}}, "the test")
    assert explore.node(config).params.policies == ("misaligned:0.5",)
    assert explore.node(config, explorer="strong").params.policies == ("model",)
    both = config.with_values({"explore": {"explorer": "both"}}, "the test")
    assert explore.node(both).params.policies == ("misaligned:0.5", "model")
    made = {node.label for node in order([method_graph.policy(config, "mcts")])}  # type: ignore[list-item]
    assert "SFT weak model" not in made
    with pytest.raises(InputError, match=r"explore\.policy = 'tratree-s' is no scripted policy"):
        explore.node(config.with_values({"explore": {"policy": "tratree-s"}}, "the test"))


def test_what_is_not_asked_for_is_not_keyed() -> None:
    config = load_recipe("quick")
    assert "stitch" not in mcts.node(config).key_params
    stitched = mcts.node(config, select=mcts.STITCHED)
    assert stitched.key_params["stitch"] is True
    assert mcts.node(config.with_values({"mcts": {"stitch": True}}, "x")).key == stitched.key
    nodes = {node.stage.name for node in order([stitched])}
    assert "stitch" in nodes


def test_the_control_at_more_episodes_explores_one_more_of_each_task() -> None:
    config = load_recipe("quick")
    control = method_graph.policy(config, "mcts-stitched/more-episodes")
    explored = [node for node in order([control]) if node.stage.name == "explore"]  # type: ignore[list-item]
    assert [node.params.m for node in explored] == [config.explore.m + 1]
