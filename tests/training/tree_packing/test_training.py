"""Training by trees: the losses and gradients of rows, the same bytes again, and falling back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import Lfm2Config, Lfm2ForCausalLM

from tests.tiny_models import digests
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.sections import LOSSES, SMOOTHED_LOSSES
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.params import DPOParams, LoraParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.tree_packing import decision, scorer
from tratree_cli.training.tree_packing.decision import decide, sharing_in_batches

STEPS = DPOParams(max_steps=3, batch_size=4, beta=0.3, nll_weight=0.5, group_by_length=False)


@pytest.fixture(scope="module")
def rows(policy: Path, pairs: Any, weaker: Path) -> list[PairRow]:
    plain = pair_rows(load_tokenizer(policy), pairs)[0]
    return with_reference(plain, reference_logps(weaker, plain))


def trained(policy: Path, rows: list[PairRow], config: DPOParams, folder: Path) -> Any:
    return train_dpo(policy, rows, config, folder / "out", folder / "work")


def one_batch(rows: list[PairRow]) -> DPOParams:
    """Every step sees all rows, so that the order of rows decides nothing."""
    return replace(STEPS, batch_size=len(rows))


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "sigmoid_norm"])
def test_steps_by_trees_have_the_losses_of_steps_by_rows(
    loss: str, policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = replace(one_batch(rows), loss_type=loss)
    by_rows = trained(policy, rows, config, tmp_path / "rows")
    by_trees = trained(policy, rows, replace(config, tree_packing="on"), tmp_path / "trees")
    for name in ("loss", "grad_norm", "margin", "logps_chosen", "logps_rejected"):
        plain = [value for _, value in by_rows.curves[name]]
        packed = [value for _, value in by_trees.curves[name]]
        assert packed == pytest.approx(plain, rel=2e-4, abs=2e-4), name
    assert not by_trees.remarks


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_by_trees_has_the_gradient_of_rows(
    loss: str, policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    smoothing = 1e-3 if loss in SMOOTHED_LOSSES else 0.0
    config = replace(one_batch(rows), loss_type=loss, label_smoothing=smoothing, max_steps=1)
    runs = [
        trained(policy, rows, replace(config, tree_packing=mode), tmp_path / mode)
        for mode in ("off", "on")
    ]
    for name in ("loss", "grad_norm"):
        plain, packed = (run.curves[name][0][1] for run in runs)
        assert packed == pytest.approx(plain, rel=2e-4, abs=2e-4), name


def test_an_interrupted_training_by_trees_resumes_to_the_same_bytes(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = replace(STEPS, max_steps=6, checkpoint_every=2, tree_packing="on", learning_rate=1e-3)
    whole = trained(policy, rows, config, tmp_path / "whole")
    assert whole.sharing is not None

    def interrupt(done: int, total: int, facts: Any) -> None:
        assert facts["shared"] > 1 and facts["distinct"] == whole.sharing.unique
        assert facts["seconds saved"] > 0
        if done == 5:
            raise KeyboardInterrupt

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        train_dpo(policy, rows, config, cut / "out", cut / "work", interrupt)
    assert trained(policy, rows, config, cut).resumed_from == 4
    assert digests(tmp_path / "whole" / "out") == digests(cut / "out")


def test_training_by_trees_again_gives_the_same_bytes(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = replace(STEPS, tree_packing="on")
    for name in ("first", "second"):
        trained(policy, rows, config, tmp_path / name)
    assert digests(tmp_path / "first" / "out") == digests(tmp_path / "second" / "out")


def test_a_packed_result_that_differs_makes_the_model_go_back_to_rows(
    policy: Path, rows: list[PairRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "TOLERANCE", dict.fromkeys(scorer.TOLERANCE, -1.0))
    config = replace(one_batch(rows), tree_packing="on")
    result = trained(policy, rows, config, tmp_path / "trees")
    assert len(result.remarks) == 1
    assert "tree packing is off for this model" in result.remarks[0]
    by_rows = trained(policy, rows, one_batch(rows), tmp_path / "rows")
    losses = [[loss for _, loss in run.curves["loss"]] for run in (result, by_rows)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_auto_packs_where_enough_is_shared(
    policy: Path, rows: list[PairRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = sharing_in_batches(rows, len(rows))
    assert shared.ratio > 1
    model = load_model(policy)

    def packs(given: list[PairRow], **settings: Any) -> bool:
        return bool(decide(replace(one_batch(rows), **settings), given, model))

    monkeypatch.setattr(decision, "WORTH_IT", shared.ratio + 0.01)
    assert not packs(rows, tree_packing="auto")
    monkeypatch.setattr(decision, "WORTH_IT", shared.ratio)
    assert packs(rows, tree_packing="auto")
    assert not packs(rows, tree_packing="off")
    assert packs(rows, tree_packing="on", batch_size=1)
    dropout = LoraParams(r=2, dropout=0.1)
    assert not packs(rows, tree_packing="auto", lora=dropout)
    assert packs(rows, tree_packing="on", lora=dropout)
    assert not packs(rows, tree_packing="auto", attention="eager")


def test_a_model_that_cannot_be_packed_says_so_and_keeps_the_order_of_rows(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    model = load_model(policy)
    model.config.layer_types = ["linear_attention", "full_attention"]
    made = decide(replace(STEPS, tree_packing="on"), rows, model)
    assert not made
    assert "linear_attention" in made.remark


def test_a_model_with_convolutions_trains_and_scores_by_rows_and_says_so_once(
    policy: Path, pairs: Any, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(policy)
    config = Lfm2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, layer_types=["conv", "full_attention"],
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    folder = tmp_path / "model"
    Lfm2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    plain = pair_rows(tokenizer, pairs)[0]
    scores = reference_logps(folder, plain)
    by_rows = reference_logps(folder, plain, by_trees=False)
    np.testing.assert_array_equal(scores.chosen, by_rows.chosen)
    assert not by_rows.remarks
    given = with_reference(plain, scores)
    result = trained(folder, given, replace(STEPS, tree_packing="on"), tmp_path / "on")
    for remarks in (scores.remarks, result.remarks):
        (said,) = remarks
        assert "its layers have conv, which no tree can mask" in said
    assert result.sharing is None and scores.sharing is None
    off = trained(folder, given, STEPS, tmp_path / "off")
    assert result.curves["loss"] == off.curves["loss"]


def test_rows_computed_one_by_one_leave_no_trace_of_packing(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    alone = [
        replace(row, prompt_ids=[number + 5, *row.prompt_ids], tree=str(number))
        for number, row in enumerate(rows)
    ]
    for mode in ("auto", "off"):
        config = replace(STEPS, batch_size=1, tree_packing=mode, lora=LoraParams(dropout=0.1))
        assert trained(policy, alone, config, tmp_path / mode).sharing is None
    assert digests(tmp_path / "auto" / "out") == digests(tmp_path / "off" / "out")
