"""DMPO's discount, WPO's weights and length-normalised losses: by hand, by trees, and live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import digests
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training import joint
from tratree_cli.training.data import PairRow, pair_rows, sft_rows
from tratree_cli.training.params import DPOParams, JointParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import (
    ReferenceLogps,
    read_logps,
    reference_logps,
    starting_point,
    with_reference,
    write_logps,
)
from tratree_cli.training.trainer import TrainingTask
from tratree_cli.training.turn_weights import discounts, token_weights, turn_lengths

ONE_STEP = DPOParams(max_steps=1, batch_size=8, beta=0.3)
CURVES = ("loss", "grad_norm", "margin", "logps_chosen", "logps_rejected")
SETTINGS: dict[str, dict[str, Any]] = {
    "discount": {"turn_discount": 0.7},
    "discount of 1": {"turn_discount": 1.0},
    "discount and NLL": {"turn_discount": 0.7, "nll_weight": 0.5},
    "discount, by length": {"turn_discount": 0.7, "loss_type": "sigmoid_norm"},
    "by length": {"loss_type": "sigmoid_norm"},
    "NLL of whole pairs": {"nll_weight": 0.02, "nll_per": "pair"},
    "weights": {"use_weighting": True},
    "weights and NLL": {"use_weighting": True, "nll_weight": 0.5},
    "weights and discount": {"use_weighting": True, "turn_discount": 0.7, "nll_weight": 0.5},
}


@pytest.fixture(scope="module")
def plain(policy: Path, pairs: Any) -> list[PairRow]:
    """Pairs without a reference; the agent speaks up to twice in their continuations."""
    rows = pair_rows(load_tokenizer(policy), pairs)[0]
    assert max(len(turn_lengths(row.chosen_mask)) for row in rows) > 1
    return rows


@pytest.fixture(scope="module")
def scores(weaker: Path, plain: list[PairRow]) -> ReferenceLogps:
    return reference_logps(weaker, plain, by_turn=True)


def trained(policy: Path, rows: list[PairRow], config: DPOParams, folder: Path, **more: Any) -> Any:
    return train_dpo(policy, rows, config, folder / "out", folder / "work", **more)


def points(result: Any, name: str) -> list[float]:
    return [value for _, value in result.curves[name]]


def side(model: Any, prompt: list[int], ids: list[int], mask: list[int], discount: float) -> Any:
    """Of one side in plain torch: weighed sum of log p, log p itself, log p - log(sum of p^2)."""
    import torch

    whole = prompt + ids
    with torch.no_grad():
        logp = torch.log_softmax(model(input_ids=torch.tensor([whole])).logits[0].double(), -1)
    places = [len(prompt) + number for number, mine in enumerate(mask) if mine]
    picked = torch.stack([logp[place - 1, whole[place]] for place in places])
    squares = torch.stack([logp[place - 1].exp().square().sum().log() for place in places])
    weights = [weight for weight in token_weights(mask, discount) if weight]
    return (picked * torch.tensor(weights)).sum(), picked, picked - squares


def by_hand(policy: Path, weaker: Path, rows: list[PairRow], config: DPOParams) -> float:
    """The loss of a batch by the papers' formulas, one sequence at a time."""
    import torch

    ours, theirs = load_model(policy), load_model(weaker)
    losses, chosen = [], []
    for row in rows:
        ratios, weight = [], 1.0
        for ids, mask in ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask)):
            mine, picked, aligned = side(ours, row.prompt_ids, ids, mask, config.turn_discount)
            other, _, _ = side(theirs, row.prompt_ids, ids, mask, config.turn_discount)
            tokens = sum(mask) if config.loss_type == "sigmoid_norm" else 1
            ratios.append((mine - other) / tokens)
            if config.use_weighting:
                weight = weight * float(aligned.mean().exp())
            chosen += picked.tolist() if ids is row.chosen_ids else []
        margin = config.beta * (ratios[0] - ratios[1])
        losses.append(-weight * float(torch.nn.functional.logsigmoid(margin)))
    nll = -sum(chosen) / (len(rows) if config.nll_per == "pair" else len(chosen))
    return sum(losses) / len(losses) + config.nll_weight * nll


def test_a_turn_has_the_weight_of_the_papers_formula() -> None:
    g, turns = 0.7, 4
    expected = [g**j * (1 - g ** (turns - j)) / (1 - g**turns) for j in range(turns)]
    assert discounts(turns, g) == pytest.approx(expected)
    assert expected[0] == 1 and expected == sorted(expected, reverse=True)
    assert discounts(4, 1.0) == [1.0, 0.75, 0.5, 0.25]
    assert discounts(4, 1 - 1e-7) == pytest.approx([1.0, 0.75, 0.5, 0.25], abs=1e-5)
    assert discounts(3, 0.0) == [1.0] * 3


@pytest.mark.parametrize(
    ("mask", "lengths"),
    [([1, 1, 0, 1], [2, 1]), ([0, 1, 1], [2]), ([1], [1]), ([0, 0], []), ([], [])],
)
def test_a_turn_ends_where_the_environment_speaks(mask: list[int], lengths: list[int]) -> None:
    assert turn_lengths(mask) == lengths


def test_each_side_is_weighed_by_its_own_number_of_turns() -> None:
    half = discounts(2, 0.5)[1]
    assert token_weights([1, 1, 0, 0, 1], 0.5) == [1, 1, 0, 0, half]
    assert token_weights([1, 1, 0], 0.5) == [1, 1, 0]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_first_loss_is_that_of_the_formulas_computed_by_hand(
    setting: str,
    policy: Path,
    weaker: Path,
    plain: list[PairRow],
    scores: ReferenceLogps,
    tmp_path: Path,
) -> None:
    config = replace(ONE_STEP, batch_size=len(plain), **SETTINGS[setting])
    rows = with_reference(plain, scores.discounted(config.turn_discount))
    (loss,) = points(trained(policy, rows, config, tmp_path), "loss")
    assert loss == pytest.approx(by_hand(policy, weaker, plain, config), abs=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_by_trees_and_by_rows_the_losses_and_gradients_are_equal(
    setting: str, policy: Path, plain: list[PairRow], scores: ReferenceLogps, tmp_path: Path
) -> None:
    config = replace(ONE_STEP, batch_size=len(plain), group_by_length=False, **SETTINGS[setting])
    rows = with_reference(plain, scores.discounted(config.turn_discount))
    by_rows = trained(policy, rows, config, tmp_path / "rows")
    by_trees = trained(policy, rows, replace(config, tree_packing="on"), tmp_path / "trees")
    for name in CURVES:
        assert points(by_trees, name) == pytest.approx(points(by_rows, name), rel=1e-5, abs=1e-5)
    assert by_trees.sharing is not None and not by_trees.remarks


@pytest.mark.parametrize(
    ("setting", "packing"),
    [(setting, "off") for setting in SETTINGS]
    + [("discount and NLL", "on"), ("weights and discount", "on")],
)
def test_stored_and_live_reference_have_the_same_losses(
    setting: str,
    packing: str,
    policy: Path,
    weaker: Path,
    plain: list[PairRow],
    scores: ReferenceLogps,
    tmp_path: Path,
) -> None:
    config = replace(ONE_STEP, batch_size=len(plain), tree_packing=packing, **SETTINGS[setting])
    rows = with_reference(plain, scores.discounted(config.turn_discount))
    stored = trained(policy, rows, config, tmp_path / "stored")
    live = trained(policy, plain, config, tmp_path / "live", reference=weaker)
    for name in CURVES:
        assert points(live, name) == pytest.approx(points(stored, name), rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("setting", ["discount and NLL", "weights and discount"])
def test_joint_training_has_the_same_loss_on_its_pairs(
    setting: str,
    policy: Path,
    weaker: Path,
    plain: list[PairRow],
    scores: ReferenceLogps,
    conversations: Any,
    tmp_path: Path,
) -> None:
    paths = sft_rows(load_tokenizer(policy), conversations)[0]
    config = JointParams(max_steps=1, batch_size=len(plain), beta=0.3, **SETTINGS[setting])
    rows = with_reference(plain, scores.discounted(config.turn_discount))
    task = TrainingTask(
        "joint", policy, paths[:2], config, tmp_path / "out", tmp_path / "work", pairs=rows
    )
    (loss,) = points(joint.train(task), "preference")
    assert loss == pytest.approx(by_hand(policy, weaker, plain, config), abs=1e-5)


def test_scores_of_single_turns_are_stored_and_read_back(
    plain: list[PairRow], scores: ReferenceLogps, weaker: Path, tmp_path: Path
) -> None:
    write_logps(scores, tmp_path)
    again = read_logps(tmp_path)
    assert again.discounted(0.7).chosen.tolist() == scores.discounted(0.7).chosen.tolist()
    assert again.rejected_turns is not None
    for row, turns, whole in zip(plain, again.rejected_turns, scores.rejected, strict=True):
        assert len(turns) == len(turn_lengths(row.rejected_mask))
        assert float(turns.sum()) == pytest.approx(float(whole), abs=1e-4)
    without = reference_logps(weaker, plain)
    write_logps(without, tmp_path / "without")
    assert read_logps(tmp_path / "without").chosen_turns is None
    assert without.chosen.tolist() == scores.chosen.tolist()
    with pytest.raises(InputError, match="sums over all turns"):
        without.discounted(0.7)


def test_the_start_is_measured_with_the_weights_that_are_trained_with(
    policy: Path, plain: list[PairRow], scores: ReferenceLogps, tmp_path: Path
) -> None:
    config = replace(ONE_STEP, batch_size=len(plain), turn_discount=0.7)
    rows = with_reference(plain, scores.discounted(0.7))
    result = trained(policy, rows, config, tmp_path)
    assert result.facts["initial_margin"] == pytest.approx(points(result, "margin")[0], abs=1e-4)
    undiscounted = starting_point(load_model(policy), with_reference(plain, scores), 0.3)
    assert result.facts["initial_margin"] != pytest.approx(undiscounted["initial_margin"], abs=1e-3)


def test_without_these_settings_a_model_has_the_bytes_it_had(
    policy: Path, plain: list[PairRow], scores: ReferenceLogps, tmp_path: Path
) -> None:
    """The record of a model names them only where they are set."""
    rows = with_reference(plain, scores)
    trained(policy, rows, ONE_STEP, tmp_path / "plain")
    trained(policy, rows, replace(ONE_STEP, turn_discount=0.7), tmp_path / "discounted")
    record = (tmp_path / "plain" / "out" / "training.json").read_text()
    assert not any(name in record for name in ("turn_discount", "use_weighting", "curriculum"))
    assert '"turn_discount"' in (tmp_path / "discounted" / "out" / "training.json").read_text()
    plain_digests, other = (digests(tmp_path / name / "out") for name in ("plain", "discounted"))
    assert plain_digests["model.safetensors"] != other["model.safetensors"]


def test_weights_of_pairs_under_a_loss_that_sorts_them_are_refused() -> None:
    with pytest.raises(InputError, match="aot sorts the pairs"):
        DPOParams(use_weighting=True, loss_type="aot")
    with pytest.raises(InputError, match="from 0 to 1"):
        DPOParams(turn_discount=1.5)
