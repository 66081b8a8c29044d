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
from tratree_cli.formats.merging import merge_rollouts
from tratree_cli.formats.pairs import PairMessages, render_pairs
from tratree_cli.formats.paths import render_paths
from tratree_cli.formats.rollouts import (
    DONE,
    Rollouts,
    TextTable,
    trajectory_from,
    trajectory_record,
    write_rollouts,
)
from tratree_cli.formats.trees import META, NODES, WALKS, read_tree, write_tree
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.search.api import search


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


def test_a_trajectory_was_sampled_as_no_tokens_unless_it_says_so() -> None:
    record = trajectory_record(one(1.0, DONE).trajectories[0])
    assert "sampled_tokens" not in record
    assert trajectory_from(record).sampled_tokens == 0


def test_a_turn_without_an_action_is_never_valid_whatever_the_file_says() -> None:
    shop = made_rollouts([("t", [("home", "!hm"), ("home", "go"), ("shop", "buy")], 1.0)])
    one = replace(shop.trajectories[0], valid=(True, False, True))
    columns = columns_from_rollouts(replace(shop, trajectories=[one]))
    assert columns.valid.tolist() == [False, False, True]


def test_the_observation_after_the_last_turn_may_be_missing_and_no_other() -> None:
    shop = made_rollouts([("t", [("home", "go"), ("shop", "buy")], 1.0)])
    whole = shop.trajectories[0]
    assert len(whole.observations) == 3
    for kept in (3, 2):
        shorter = replace(whole, observations=whole.observations[:kept])
        columns = columns_from_rollouts(replace(shop, trajectories=[shorter]))
        assert columns.observations.tolist() == list(whole.observations[:2])
    for odd in (
        {"observations": whole.observations[:1]},
        {"thoughts": whole.thoughts[:1]},
        {"actions": whole.actions[:1]},
        {"valid": whole.valid[:1]},
    ):
        broken = replace(shop, trajectories=[replace(whole, **odd)])  # type: ignore[arg-type]
        with pytest.raises(InputError, match="more or fewer observations"):
            columns_from_rollouts(broken)


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


def test_rollouts_of_one_split_keep_it_and_of_several_are_mixed() -> None:
    steps = [("t", [("home", "go")], 1.0)]
    train, other = made_rollouts(steps), made_rollouts(steps, split="dev")
    assert merge_rollouts([train, train]).split == "train"
    assert merge_rollouts([train, other]).split == "mixed"


def test_texts_are_numbered_anew_when_artifacts_are_merged() -> None:
    # Made by hand, so that the instruction is text 0 of both and another text after merging.
    first = made_rollouts([("a", [("home", "go")], 1.0)])
    texts = TextTable(["Instruction of b", "home", "Action: stay", "stay", "the end"])
    (one,) = first.trajectories
    moved = replace(one, task="b", instruction=0, observations=(1, 4), outputs=(2,), actions=(3,))
    merged = merge_rollouts([first, replace(first, texts=texts, trajectories=[moved])])
    last = merged.trajectories[-1]
    assert merged.texts[last.instruction] == "Instruction of b"
    assert merged.texts[last.outputs[0]] == "Action: stay"


def test_every_field_of_a_merged_trajectory_refers_to_the_same_text_as_before() -> None:
    """The first text of an artifact may be any: an instruction, a thought, an action."""
    first = made_rollouts([("a", [("home", "go")], 1.0)])
    texts = TextTable(["one for all", "second"])
    (one,) = first.trajectories
    for chosen in (0, 1):
        moved = replace(
            one, instruction=chosen, observations=(chosen,) * 2, outputs=(chosen,),
            thoughts=(chosen,), actions=(chosen,),
        )  # fmt: skip
        other = replace(first, texts=texts, trajectories=[moved, replace(moved, actions=(-1,))])
        merged = merge_rollouts([first, other])
        for last in merged.trajectories[1:]:
            said = [last.instruction, *last.observations, *last.outputs, *last.thoughts]
            assert {merged.texts[number] for number in said} == {texts[chosen]}
        assert merged.texts[merged.trajectories[1].actions[0]] == texts[chosen]
        assert merged.trajectories[2].actions == (-1,)


def test_a_merged_trajectory_keeps_its_own_setting_and_source() -> None:
    steps = [("a", [("home", "go")], 1.0)]
    artifacts = [
        replace(
            made, settings=[{"temperature": n + 0.1 * k} for k in range(3)],
            sources=[f"model:{n}{k}" for k in range(2)],
            trajectories=[replace(made.trajectories[0], setting=2, source=1)],
        )
        for n, made in ((n, made_rollouts(steps)) for n in range(3))
    ]  # fmt: skip
    merged = merge_rollouts(artifacts)
    told = [(merged.settings[t.setting], merged.sources[t.source]) for t in merged.trajectories]
    assert told == [({"temperature": n + 0.2}, f"model:{n}1") for n in range(3)]


def test_a_pair_names_the_source_of_each_side_and_none_that_is_unknown() -> None:
    forest = build_forest(columns_from_rollouts(SHOP))
    records = list(render_pairs(mine(forest, min_gap=0.1), SHOP, rule="tree"))
    assert {(r.chosen_source, r.rejected_source) for r in records} == {("model:weak",) * 2}
    assert [r.gap for r in records] == [0.3125, 0.25, 1.0]
    unnamed = replace(SHOP, sources=[])
    (record, *_) = render_pairs(mine(forest, min_gap=0.1), unnamed, rule="tree")
    assert (record.chosen_source, record.rejected_source) == ("", "")


def test_the_best_observed_trajectory_was_visited_by_no_search() -> None:
    forest = build_forest(columns_from_rollouts(SHOP))
    control, _ = render_paths(forest, SHOP)
    found, _ = render_paths(search(forest), SHOP, min_score=0.5)
    assert [record.visits for record in control] == [0, 0]
    assert found[0].visits > 0


def test_the_identity_of_a_preference_is_32_digits_of_its_words() -> None:
    ask, go, stay = ([{"role": "user", "content": text}] for text in ("ask", "go", "stay"))
    one, other = PairMessages(ask, go, stay), PairMessages(ask, stay, go)
    assert len(one.identity) == 32
    assert one.identity == PairMessages(ask, go, stay, prefix=1).identity != other.identity
