"""Trajectories that broke, files that do not belong together, texts that no file can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.errors import InputError
from tratree_cli.formats.agent_text import parse, storable
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import DONE, Rollouts, write_rollouts
from tratree_cli.formats.trees import META, NODES, WALKS, read_tree, write_tree
from tratree_cli.trees.build import build_forest


def one(score: float | None, end: str) -> Rollouts:
    return made_rollouts([("t", [("home", "go")], score)], end=end)


@pytest.mark.parametrize(
    ("score", "end", "counted"),
    [
        (0.0, DONE, True),
        (0.5, "step-limit", True),
        (None, DONE, False),
        (None, "environment-error", False),
        (0.5, "environment-error", False),
        (0.5, "policy-error", False),
    ],
)
def test_a_trajectory_counts_if_it_has_a_score_and_nothing_broke(
    score: float | None, end: str, counted: bool
) -> None:
    rollouts = one(score, end)
    assert rollouts.trajectories[0].counted == counted
    columns = columns_from_rollouts(rollouts)
    assert columns.counted.tolist() == [counted]
    assert np.isnan(columns.score[0]) != counted


def test_an_output_is_split_at_its_first_action_and_one_without_has_neither() -> None:
    assert parse("Thought: hm\nAction: go\nAction: twice") == ("hm", "go\nAction: twice")
    assert parse("Action: go") == (None, "go")
    assert parse("I give up") == (None, None)


def test_broken_characters_are_replaced_and_all_others_stay() -> None:
    assert storable("plain") == "plain"
    assert storable("é → 日本") == "é → 日本"
    assert storable("a\ud800b") == "a?b"
    assert storable("é\ud800") == "é?"


@pytest.mark.parametrize("name", [WALKS, NODES])
def test_a_tree_whose_files_do_not_belong_together_is_refused(name: str, tmp_path: Path) -> None:
    write_rollouts(SHOP, tmp_path)
    write_tree(build_forest(columns_from_rollouts(SHOP)), tmp_path)
    assert len(read_tree(tmp_path).forest) > 1
    meta = orjson.loads((tmp_path / META).read_bytes())
    if name == NODES:  # one of the two counts is wrong, never both
        (tmp_path / META).write_bytes(orjson.dumps({**meta, "nodes": meta["nodes"] + 1}))
    else:
        shorter = replace(SHOP, trajectories=SHOP.trajectories[:-1])
        write_rollouts(shorter, tmp_path)
    with pytest.raises(InputError, match="do not belong"):
        read_tree(tmp_path)
