"""Demonstrations among the rows of imitated paths: how many, which, and what they are keyed by."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.formats.paths import read_paths
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.pipeline.reporter import SilentReporter
from tratree_cli.pipeline.runtime import Runtime
from tratree_cli.stages import build_tree, explore, mcts, train_strong
from tratree_cli.stages.demonstration_share import (
    DEMONSTRATIONS,
    demonstrations_beside,
    drawn,
    with_demonstrations,
)
from tratree_cli.training.trainer import Conversations


def said(words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": words}]


def configured(share: float) -> Config:
    values = {
        "models": {"strong": "tratree-s"},
        "demos": {"tasks": 4},
        "sft": {"epochs": 1.0},
        "explore": {"m": 1, "tasks": 6},
        "train": {"demo_share": share},
    }
    return load_recipe("micro", "webshop").with_values(values, "test")


@pytest.mark.parametrize(
    ("paths", "share", "beside"),
    [(100, 0.0, 0), (100, 0.5, 100), (120, 0.25, 40), (90, 0.1, 10), (0, 0.5, 0), (7, 0.3, 3)],
)
def test_the_share_is_of_all_rows_of_a_pass(paths: int, share: float, beside: int) -> None:
    assert demonstrations_beside(paths, share) == beside
    if paths and share:
        assert beside / (paths + beside) == pytest.approx(share, abs=0.5 / paths)


def test_each_demonstration_comes_once_before_any_comes_again_in_an_order_of_the_seed() -> None:
    few, many = drawn("abcde", 3, seed=0), drawn("abcde", 12, seed=0)
    assert many[:3] == few and len(set(many[:5])) == 5 and many[:5] == many[5:10]
    assert set(Counter(many).values()) == {2, 3}
    assert drawn("abcde", 5, seed=0) == many[:5]
    assert {tuple(drawn("abcde", 5, seed=seed)) for seed in range(9)} > {tuple(many[:5])}


def test_demonstrations_follow_the_paths_and_need_the_same_prompt() -> None:
    paths = Conversations([said(f"path {i}") for i in range(4)])
    demos = Conversations([said(f"demo {i}") for i in range(9)])
    mixed = with_demonstrations(paths, demos, 0.5, seed=1)
    assert len(mixed) == 8 and mixed.messages[:4] == paths.messages
    assert all(row[1]["content"].startswith("demo") for row in mixed.messages[4:])
    assert with_demonstrations(paths, demos, 0.0, seed=1) is paths
    with pytest.raises(InputError, match="there are none"):
        with_demonstrations(paths, Conversations([]), 0.5, seed=1)
    with pytest.raises(InputError, match="a prompt of 2 messages, the paths one of 0"):
        with_demonstrations(paths, Conversations(demos.messages, 2), 0.5, seed=1)


@pytest.mark.parametrize("method", ["mcts", "best-observed", "sft-more", "tree-dpo"])
def test_without_a_share_nothing_is_keyed(method: str) -> None:
    node = train_strong.node(configured(0.0), method)
    assert "demo_share" not in node.key_params
    assert DEMONSTRATIONS not in node.inputs


def test_a_share_is_keyed_where_paths_are_imitated_or_their_steps_are_counted() -> None:
    nodes = {
        name: train_strong.node(configured(0.25), name)
        for name in ("mcts", "best-observed", "sft-more", "tree-dpo", "eto")
    }
    mixed = {name for name, node in nodes.items() if node.key_params.get("demo_share") == 0.25}
    assert mixed == {"mcts", "best-observed"}
    assert nodes["sft-more"].key_params["steps"]["demo_share"] == 0.25
    assert {n for n, node in nodes.items() if DEMONSTRATIONS in node.inputs} == {
        "mcts", "best-observed",
    }  # fmt: skip
    assert ONLY_COUNTED in nodes["sft-more"].inputs


def test_a_share_near_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"demo_share.*at most 0.95"):
        configured(1.0)


@pytest.mark.slow
def test_a_control_at_equal_updates_counts_the_demonstrations_too(tmp_path: Path) -> None:
    config = configured(0.5)
    runtime = Runtime(tmp_path / "store", SilentReporter())
    played = explore.node(config, policies=("expert",))
    paths = runtime.realise(mcts.node(config, trees=(build_tree.node(config, rollouts=(played,)),)))
    count = len(read_paths(paths.path).paths)
    base = config.with_values({"train": {"init": "base"}}, "test")
    trained = runtime.realise(train_strong.node(base, "mcts", data=(paths,)))
    assert trained.summary["conversations"] == 2 * count
    assert trained.summary["demonstrations_mixed_in"] == count
    assert trained.summary["optimizer_steps"] == -(-2 * count // config.sft.batch_size)
    # The control, told to count the same paths.
    control = train_strong.node(base, "sft-more")
    counting = {**control.inputs, ONLY_COUNTED: (paths,)}
    more = runtime.realise(replace(control, inputs=counting))
    assert more.summary["optimizer_steps"] == trained.summary["optimizer_steps"]
    assert "demonstrations_mixed_in" not in more.summary

    # Rows that are too long are in neither count.
    lengths = {"max_length": 220, "too_long": "drop", "batch_size": 1}
    short = base.with_values({"sft": lengths}, "test")
    trained = runtime.realise(train_strong.node(short, "mcts", data=(paths,)))
    assert 0 < trained.summary["conversations"] < count
    control = train_strong.node(short, "sft-more")
    more = runtime.realise(replace(control, inputs={**control.inputs, ONLY_COUNTED: (paths,)}))
    assert more.summary["optimizer_steps"] == trained.summary["optimizer_steps"]
