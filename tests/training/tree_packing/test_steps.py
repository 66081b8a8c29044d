"""Optimizer steps by trees end where steps by rows end, however the model is trained."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.tree_packing.test_equality import CONFIGS, assert_equal, tiny
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import PairRow, SFTRow, pair_rows, sft_rows
from tratree_cli.training.deterministic_trainer import BatchesByTree
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.lengths import LengthPolicy
from tratree_cli.training.params import DPOParams, LoraParams, SFTParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.tree_packing.trie import build_tries

CURVES = ("loss", "grad_norm", "margin", "logps_chosen", "logps_rejected")
WAYS: dict[str, dict[str, Any]] = {
    "all weights": {},
    "an adapter": {"lora": LoraParams(r=4, alpha=8), "learning_rate": 1e-3},
    "recomputed activations": {"gradient_checkpointing": True},
    "accumulated gradients": {"batch_size": 4, "accumulation": 2},
    "an adapter, recomputed": {"lora": LoraParams(r=4), "gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def rows(policy: Path, pairs: Any, weaker: Path) -> list[PairRow]:
    plain = pair_rows(load_tokenizer(policy), pairs)[0]
    return with_reference(plain, reference_logps(weaker, plain))


def both(policy: Path, rows: Any, config: Any, folder: Path, train: Any = train_dpo) -> list[Any]:
    """The same training by rows and by trees: every step sees all rows."""
    results = []
    for mode in ("off", "on"):
        given = replace(config, tree_packing=mode)
        results.append(train(policy, rows, given, folder / mode, folder / f"work-{mode}"))
    assert not results[1].remarks
    assert results[1].sharing is not None and results[1].sharing.ratio > 1
    return results


def assert_same_curves(results: list[Any], within: float) -> None:
    for name in set(CURVES) & set(results[0].curves):
        plain, packed = ([value for _, value in run.curves[name]] for run in results)
        assert packed == pytest.approx(plain, rel=within, abs=within), name


@pytest.mark.parametrize("way", WAYS)
def test_five_steps_by_trees_end_at_the_weights_of_five_steps_by_rows(
    way: str, policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = DPOParams(max_steps=5, batch_size=8, beta=0.3, nll_weight=0.5, group_by_length=False)
    results = both(policy, rows, replace(config, **WAYS[way]), tmp_path)
    assert_same_curves(results, 5e-4)
    ours, theirs = (load_model(tmp_path / mode).state_dict() for mode in ("on", "off"))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-3, atol=2e-4, msg=name)


def test_bfloat16_by_trees_is_bfloat16_by_rows_within_its_rounding(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = DPOParams(max_steps=3, batch_size=8, dtype="bfloat16", group_by_length=False)
    assert_same_curves(both(policy, rows, config, tmp_path), 0.05)
    assert not torch.is_autocast_enabled("cpu")


def test_imitation_by_trees_has_the_steps_of_imitation_by_rows(
    policy: Path, conversations: Any, tmp_path: Path
) -> None:
    rows: list[SFTRow] = sft_rows(load_tokenizer(policy), conversations)[0]
    config = SFTParams(max_steps=4, batch_size=len(rows), group_by_length=False)
    assert_same_curves(both(policy, rows, config, tmp_path, train_sft), 2e-4)


def test_a_live_reference_and_the_explicit_divergence_are_computed_by_trees_too(
    policy: Path, weaker: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = DPOParams(max_steps=3, batch_size=8, explicit_kl=True, group_by_length=False)

    def train(*arguments: Any) -> Any:
        return train_dpo(*arguments, reference=weaker)

    results = both(policy, rows, config, tmp_path, train)
    assert_same_curves(results, 2e-4)
    plain, packed = ([value for _, value in run.curves["kl"]] for run in results)
    assert packed == pytest.approx(plain, rel=2e-4, abs=1e-6)


def test_equal_pairs_and_an_empty_answer_train_as_rows_do(
    policy: Path, weaker: Path, pairs: Any, tmp_path: Path
) -> None:
    """What is left of an empty answer is the token that ends it."""
    empty = replace(pairs[0], rejected=[{"role": "assistant", "content": ""}])
    given = pair_rows(load_tokenizer(policy), [pairs[0], pairs[0], pairs[1], empty, empty])[0]
    assert sum(given[-1].rejected_mask) < 3
    scores = reference_logps(weaker, given)
    np.testing.assert_allclose(scores.chosen[:2], scores.chosen[0], rtol=1e-6)
    config = DPOParams(max_steps=3, batch_size=5, beta=0.3, group_by_length=False)
    results = both(policy, with_reference(given, scores), config, tmp_path)
    assert_same_curves(results, 5e-4)
    assert results[1].sharing.unique < sum(row.tokens for row in given[2:4])


def test_a_history_beyond_the_context_is_shortened_before_rows_become_trees(
    policy: Path, weaker: Path, pairs: Any, tmp_path: Path
) -> None:
    turns = [
        {"role": role, "content": f"{word} [SEP] {number}"}
        for number in range(9)
        for role, word in (("assistant", "Action: search[red shirt]"), ("user", "Page 1 [SEP]"))
    ]
    long = [replace(pair, prompt=[*pair.prompt, *turns]) for pair in pairs[:3]]
    whole, _ = pair_rows(load_tokenizer(policy), long)
    most = max(row.length for row in whole) - 40
    rows, report = pair_rows(load_tokenizer(policy), long, LengthPolicy(most, "keep-last-turns"))
    assert report.shortened == 3
    (trie,) = build_tries([ids for row in rows for ids in row.sequences], budget=4 * most)
    assert max(map(len, trie.paths)) <= most
    given = with_reference(rows, reference_logps(weaker, rows))
    config = DPOParams(max_steps=2, batch_size=3, group_by_length=False)
    assert_same_curves(both(policy, given, config, tmp_path), 5e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_branches_of_one_token_equal_first_tokens_and_equal_rows(name: str) -> None:
    trunk = [7, 8, 9, 10]
    rows = [
        [*trunk, 1],
        [*trunk, 2],
        [*trunk, 3, 4],
        [*trunk, 3, 5],  # an equal first token, and a prefix cut where no word ends
        [*trunk, 3, 4],  # equal to another row
        trunk,  # ends inside the others' path
    ]
    scored = [[0] * 4 + [1] * (len(row) - 4) for row in rows[:-1]] + [[0, 0, 0, 1]]
    assert_equal(tiny(name), rows, scored, 0)


def test_pairs_of_several_tasks_in_one_file_meet_by_what_they_begin_with(
    policy: Path, pairs: Any
) -> None:
    """No task is named: the words before the agent's first turn tell them apart."""
    mixed = [pairs[0], pairs[1], pairs[0], pairs[2], pairs[1], pairs[0]]
    rows = pair_rows(load_tokenizer(policy), mixed)[0]
    sampler = BatchesByTree([row.tree for row in rows], seed=3)
    trees = [rows[number].tree for number in sampler]
    assert len(trees) == len(mixed)
    changes = sum(one != other for one, other in pairwise(trees))
    assert changes + 1 == len(set(trees)) == 3
    sampler.set_epoch(1)
    assert [rows[number].tree for number in sampler] != trees
