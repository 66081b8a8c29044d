"""From easy to hard: the order of rows is that of the gap or the length, and repeats itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import digests
from tratree_cli.models.load import load_tokenizer
from tratree_cli.training.curriculum import (
    RowsByDifficulty,
    difficulty,
    easy_first,
    same_everywhere,
)
from tratree_cli.training.data import PairRow, SFTRow, pair_rows, sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.joint_batches import joint_batches
from tratree_cli.training.params import DPOParams, JointParams, SFTParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.tree_packing.decision import decide


def pair(gap: float, tokens: int = 1) -> PairRow:
    return PairRow([1], [2] * tokens, [3], [1] * tokens, [1], gap=gap)


def test_the_widest_gap_and_the_fewest_tokens_of_the_agent_are_easy() -> None:
    rows = [pair(0.1, 3), pair(0.9, 5), pair(0.5, 1)]
    assert easy_first(difficulty(rows, "gap"), 0, 0) == [1, 2, 0]
    assert easy_first(difficulty(rows, "length"), 0, 0) == [2, 0, 1]
    paths = [SFTRow([1] * 9, [1] * 2 + [0] * 7), SFTRow([1], [1])]
    assert easy_first(difficulty(paths, "length"), 0, 0) == [1, 0]


def test_rows_that_are_equally_easy_are_shuffled_anew_in_each_pass_by_the_seed() -> None:
    levels = [0.0] * 20 + [1.0] * 20
    order = RowsByDifficulty(levels, seed=3)
    first = list(order)
    assert first == list(order) == easy_first(levels, 3, 0)
    assert sorted(first[:20]) == list(range(20)) != first[:20]
    order.set_epoch(1)
    assert first != list(order) and sorted(list(order)[:20]) == list(range(20))
    assert easy_first(levels, 4, 0) != first
    assert len(order) == 40


def test_a_curriculum_that_orders_nothing_is_said_in_a_sentence() -> None:
    equal = [pair(0.5, 1), pair(0.5, 2)]
    assert "all 2 rows have the same gap" in same_everywhere(equal, "gap")
    assert same_everywhere(equal, "length") == ""
    assert same_everywhere(equal, "") == ""
    assert same_everywhere(equal[:1], "gap") == ""


@pytest.fixture(scope="module")
def rows(policy: Path, weaker: Path, pairs: Any) -> list[PairRow]:
    plain = pair_rows(load_tokenizer(policy), pairs)[0]
    known = with_reference(plain, reference_logps(weaker, plain))
    return [replace(row, gap=number / len(known)) for number, row in enumerate(known)]


def test_the_gap_of_a_pair_reaches_its_row(policy: Path, pairs: Any) -> None:
    given = [replace(pair, gap=0.25 * number) for number, pair in enumerate(pairs)]
    found, _ = pair_rows(load_tokenizer(policy), given)
    assert [row.gap for row in found] == [pair.gap for pair in given]


@pytest.mark.parametrize("packing", ["off", "on"])
def test_preference_training_meets_the_pairs_in_their_order(
    packing: str, policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    """Rows handed in that order, one an update without any shuffling, train the same model."""
    config = DPOParams(
        batch_size=1, max_steps=len(rows), curriculum="gap", tree_packing=packing, beta=0.3
    )
    train_dpo(policy, rows, config, tmp_path / "ordered", tmp_path / "work")
    again = train_dpo(policy, rows, config, tmp_path / "again", tmp_path / "work2")
    assert digests(tmp_path / "ordered") == digests(tmp_path / "again")
    # Ranks by hand: the same gaps in an order of rows of which each is a level of its own.
    ranked = [replace(row, gap=0.0) for row in sorted(rows, key=lambda row: -row.gap)]
    by_rank = [replace(row, gap=-float(rank)) for rank, row in enumerate(ranked)]
    other = train_dpo(policy, by_rank, config, tmp_path / "ranked", tmp_path / "work3")
    assert other.curves["loss"] == again.curves["loss"]
    shuffled = replace(config, curriculum="")
    plain = train_dpo(policy, rows, shuffled, tmp_path / "plain", tmp_path / "work4")
    assert plain.curves["loss"] != again.curves["loss"]


def test_imitation_meets_short_paths_first(
    policy: Path, conversations: Any, tmp_path: Path
) -> None:
    paths, _ = sft_rows(load_tokenizer(policy), conversations)
    config = SFTParams(batch_size=2, max_steps=3, curriculum="length")
    result = train_sft(policy, paths, config, tmp_path / "out", tmp_path / "work")
    reversed_result = train_sft(
        policy, paths[::-1], config, tmp_path / "reversed", tmp_path / "work2"
    )
    assert len({row.scored for row in paths}) > 1
    assert result.steps == reversed_result.steps == 3
    assert not result.remarks


def test_joint_training_orders_pairs_and_paths_each_by_its_own_curriculum(
    policy: Path, rows: list[PairRow], conversations: Any
) -> None:
    paths, _ = sft_rows(load_tokenizer(policy), conversations)
    config = JointParams(batch_size=1, max_steps=len(rows), curriculum="gap")
    planned = joint_batches(paths, rows, config, 1)
    met = [row for batch in planned for row in batch.pairs]
    assert met == sorted(range(len(rows)), key=lambda row: -rows[row].gap)
    plain = joint_batches(paths, rows, replace(config, curriculum=""), 1)
    assert [batch.paths for batch in plain] == [batch.paths for batch in planned]
    by_length = joint_batches(paths, rows, replace(config, path_curriculum="length"), 1)
    lengths = [paths[batch.paths[0]].scored for batch in by_length[: len(paths)]]
    assert lengths == sorted(lengths)


def test_what_is_shared_is_counted_within_a_pair_where_pairs_of_a_task_do_not_meet(
    policy: Path, rows: list[PairRow]
) -> None:
    from tratree_cli.models.load import load_model

    model, config = load_model(policy), DPOParams(batch_size=len(rows), tree_packing="on")
    together, alone = (
        decide(replace(config, curriculum=order), rows, model).sharing for order in ("", "gap")
    )
    assert together is not None and alone is not None
    assert together.flat == alone.flat and together.unique <= alone.unique
