"""Trees, pairs and paths on disk: word for word, byte for byte."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.errors import InputError
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.merging import merge_heads, merge_rollouts
from tratree_cli.formats.pairs import read_pairs, render_pairs, write_pairs
from tratree_cli.formats.paths import read_paths, render_paths, write_paths
from tratree_cli.formats.rollouts import (
    TRAJECTORIES,
    json_lines,
    read_head,
    read_jsonl,
    read_rollouts,
    trajectory_record,
    write_jsonl,
    write_rollouts,
)
from tratree_cli.formats.streaming import blocks
from tratree_cli.formats.trees import WALKS, node_rows, read_tree, write_tree
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns, joined_columns
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.api import search
from tratree_cli.trees.trajectory_pairs import mine_whole


@pytest.fixture(scope="module")
def forest() -> Forest:
    return build_forest(columns_from_rollouts(SHOP))


def test_a_tree_reads_back_exactly_and_is_written_alike(forest: Forest, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    write_rollouts(SHOP, one)
    write_tree(forest, one, {"policy": {"kind": "exact"}})
    back = read_tree(one)
    for column in fields(Forest):
        if column.name not in ("columns", "merges"):
            assert np.array_equal(getattr(back.forest, column.name), getattr(forest, column.name))
    assert back.forest.merges == forest.merges
    assert back.meta["policy"] == {"kind": "exact"}
    write_rollouts(back.rollouts, two)
    write_tree(back.forest, two, {"policy": {"kind": "exact"}})
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {
        p.name: p.read_bytes() for p in two.iterdir()
    }


def test_a_pair_shares_its_history_and_differs_from_the_divergence_on(
    forest: Forest, tmp_path: Path
) -> None:
    write_pairs(render_pairs(mine(forest), SHOP), tmp_path, {"rule": "tree"})
    records = read_pairs(tmp_path).pairs
    deepest = records[-1]
    assert [m["content"] for m in deepest.prompt if m["role"] == "user"] == [
        "You are shopping.", "home", "results", "item",
    ]  # fmt: skip
    assert deepest.chosen == [{"role": "assistant", "content": "Thought: pay\nAction: buy"}]
    assert deepest.rejected[0]["content"].endswith("Action: back")
    assert (deepest.chosen_score, deepest.rejected_score) == (1.0, 0.0)
    for record in records:
        assert record.prompt[-1]["role"] == "user"
        assert [m["role"] for m in record.chosen] == ["assistant", "user"] * (
            len(record.chosen) // 2
        ) + ["assistant"]


def test_a_horizon_cuts_both_continuations(forest: Forest) -> None:
    records = list(render_pairs(mine(forest, horizons=[1]), SHOP))
    assert {len(r.chosen) for r in records} == {len(r.rejected) for r in records} == {1}


def test_the_words_are_those_that_were_sampled(forest: Forest) -> None:
    record = next(render_pairs(mine(forest), SHOP))
    assert record.rejected[-1]["content"] == "I give up"


def test_paths_are_recorded_trajectories_with_the_best_observed_beside_them(
    forest: Forest, tmp_path: Path
) -> None:
    records, dropped = render_paths(search(forest), SHOP, min_score=0.5)
    assert dropped == {"score too low": 1}
    write_paths(records, tmp_path, {"rule": "mcts"})
    (path,) = read_paths(tmp_path).paths
    assert path == records[0]
    assert path.score == path.best_score == 1.0 and path.prefix == 2
    assert [m["role"] for m in path.messages] == ["user", "assistant"] * 4
    control, _ = render_paths(forest, SHOP)
    assert [r.rule for r in control] == ["best-observed"] * 2


def test_nodes_are_the_same_rows_however_many_are_taken_at_a_time(forest: Forest) -> None:
    whole = [row for part in node_rows(forest, len(forest)) for row in part.records()]
    assert [row["node"] for row in whole] == list(range(len(forest)))
    assert sum(bool(row["thoughts"]) for row in whole) > 2
    for size in (1, 3, len(forest) - 1, len(forest) + 1):
        parts = list(node_rows(forest, size))
        assert [row for part in parts for row in part.records()] == whole
        for part in parts:
            offsets, thought, count = part.thoughts
            assert (offsets[0], offsets[-1]) == (0, len(thought))
            assert len(offsets) == len(part.columns[0]) + 1 and len(thought) == len(count)


def test_a_walk_is_a_line_with_a_node_for_each_turn(forest: Forest, tmp_path: Path) -> None:
    write_tree(forest, tmp_path)
    walks = list(read_jsonl(tmp_path / WALKS))
    assert [len(walk) for walk in walks] == [one.steps for one in SHOP.trajectories]
    assert walks == [forest.path(number).tolist() for number in range(len(walks))]


def test_the_number_of_records_is_told_and_kept(tmp_path: Path) -> None:
    assert write_jsonl(tmp_path / "a.zst", []) == 0
    assert write_jsonl(tmp_path / "a.zst", [1, 2, 3]) == 3
    write_rollouts(SHOP, tmp_path)
    assert read_head(tmp_path)[1] == len(SHOP.trajectories)


def test_only_a_demonstrated_pair_prefers_a_demonstration() -> None:
    demos = made_rollouts([("mug", [("home", "demonstrated")], 1.0)])
    own = made_rollouts([("mug", [("home", "good")], 0.75), ("mug", [("home", "bad")], 0.25)])
    found = mine_whole(columns_from_rollouts(own))
    assert not found.demonstrated
    for given in (demos, None):
        (record,) = render_pairs(found, own, given)
        assert record.chosen == [{"role": "assistant", "content": "Action: good"}]
        assert (record.chosen_score, record.rejected_score) == (0.75, 0.25)
    (record,) = render_pairs(replace(found, demonstrated=True), own, None)
    assert record.chosen == [{"role": "assistant", "content": "Action: good"}]


def test_a_path_to_a_leaf_that_the_search_never_met_is_worth_nothing() -> None:
    steps = [("t", [("home", "b")], 0.4), ("t", [("home", "a")], 0.9), ("t", [("home", "a")], 0.8)]
    rollouts = made_rollouts(steps)
    found = search(build_forest(columns_from_rollouts(rollouts)), rollouts=1, min_walks=2)
    ((path,), dropped) = render_paths(found, rollouts)
    assert (path.trajectory, path.visits, path.value, dropped) == (1, 0, 0.0, {})


def test_a_least_score_of_99_hundredths_keeps_perfect_paths_alone() -> None:
    steps = [("home", "search[mug]"), ("item", "buy")]
    scores = {"a": 1.0, "b": 0.99, "c": 0.9999, "d": 0.5, "e": 0.0, "f": None}
    rollouts = made_rollouts([(task, steps, score) for task, score in scores.items()])
    grown = build_forest(columns_from_rollouts(rollouts))
    for source in (search(grown), grown):
        records, dropped = render_paths(source, rollouts, min_score=0.99)
        # At or below is dropped: 0.99 itself goes, what is above it stays.
        assert [record.task for record in records] == ["a", "c"]
        assert dropped == {"nothing explored": 1, "score too low": 3}


def test_the_expert_is_preferred_to_lower_explorations() -> None:
    demos = made_rollouts([("mug", [("home", "search[red mug]"), ("item", "buy")], 1.0)])
    own = merge_rollouts([SHOP])
    pairs = mine_whole(columns_from_rollouts(own), demos=columns_from_rollouts(demos))
    records = list(render_pairs(pairs, own, demos, rule="ceiling"))
    assert len(records) == 4
    assert {r.chosen[0]["content"] for r in records} == {"Action: search[red mug]"}


def test_several_artifacts_become_one_numbering() -> None:
    other = made_rollouts(
        [("mug", [("home", "search[mug]"), ("results", "leave")], 0.0)],
        prompt=SHOP.prompt["messages"],
    )
    merged = merge_rollouts([SHOP, other])
    forest = build_forest(columns_from_rollouts(merged))
    assert forest.visits[0] == 6 and forest.visits[1] == 5
    assert merged.sources == ["model:weak", "model:weak"]
    assert merged.trajectories[-1].source == 1


def test_rollouts_of_different_environments_do_not_mix() -> None:
    other = made_rollouts([("mug", [("home", "x")], 0.0)])
    with pytest.raises(InputError, match="different prompts"):
        merge_rollouts([SHOP, other])


def test_a_damaged_pair_is_named_by_file_and_line(tmp_path: Path, forest: Forest) -> None:
    from tratree_cli.formats.rollouts import write_jsonl

    write_pairs([], tmp_path)
    write_jsonl(tmp_path / "pairs.jsonl.zst", [{"task": "x"}])
    with pytest.raises(InputError, match="line 1"):
        read_pairs(tmp_path)


def test_rollouts_of_earlier_versions_that_hold_every_sampled_token_still_open(
    tmp_path: Path,
) -> None:
    write_rollouts(SHOP, tmp_path)
    records = [{**trajectory_record(t), "tokens": [[5, 6, 7]] * t.steps} for t in SHOP.trajectories]
    write_jsonl(tmp_path / TRAJECTORIES, records)
    expected = [replace(t, sampled_tokens=3 * t.steps) for t in SHOP.trajectories]
    assert list(read_rollouts(tmp_path).trajectories) == expected
    head, (shift,) = merge_heads([read_head(tmp_path)[0]])
    (block,) = blocks(tmp_path, shift)
    assert block.move()[0] == json_lines(map(trajectory_record, expected))
    assert head.texts.texts == SHOP.texts.texts


def test_a_pair_knows_which_part_of_its_prompt_comes_before_the_episode(forest: Forest) -> None:
    mined = list(render_pairs(mine(forest), SHOP))
    prefix = len(SHOP.prompt["messages"])
    assert prefix and {pair.prefix for pair in mined} == {prefix}
    assert all(pair.messages().prefix == prefix for pair in mined)


@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_lines_moved_in_blocks_of_any_size_are_what_merging_in_memory_gives(
    tmp_path: Path, size: int
) -> None:
    other = made_rollouts(
        [("mug", [("results", "leave"), ("home", "!what")], 0.0), ("new", [], 1.0)],
        prompt=SHOP.prompt["messages"],
    )
    sampled = [replace(t, sampled_tokens=2 * t.steps, detail="because") for t in SHOP.trajectories]
    artifacts = [replace(SHOP, trajectories=sampled), other, SHOP]
    folders = [tmp_path / str(number) for number in range(len(artifacts))]
    for artifact, folder in zip(artifacts, folders, strict=True):
        folder.mkdir()
        write_rollouts(artifact, folder)
    expected = merge_rollouts(artifacts)
    head, shifts = merge_heads([read_head(folder)[0] for folder in folders])
    pieces = [b for pair in zip(folders, shifts, strict=True) for b in blocks(*pair, size)]
    moved = [piece.move() for piece in pieces]
    assert b"".join(lines for lines, _ in moved) == json_lines(
        map(trajectory_record, expected.trajectories)
    )
    assert replace(head, trajectories=expected.trajectories, texts=expected.texts) == expected
    assert head.texts.texts == expected.texts.texts
    columns, whole = joined_columns([part for _, part in moved]), columns_from_rollouts(expected)
    for column in fields(Columns):
        one, two = getattr(columns, column.name), getattr(whole, column.name)
        assert one == two if isinstance(one, tuple) else one.dtype == two.dtype, column.name
        assert np.array_equal(one, two, equal_nan=column.name == "score")


def test_a_trajectory_whose_parts_do_not_fit_is_refused() -> None:
    short = replace(SHOP.trajectories[0], actions=SHOP.trajectories[0].actions[:-1])
    with pytest.raises(InputError, match="task 'mug'"):
        columns_from_rollouts(replace(SHOP, trajectories=[short]))
