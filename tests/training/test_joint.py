"""Joint training: its gradient by hand, its steps, its order of rows, and its failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_models import digests
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training import joint
from tratree_cli.training.data import PairRow, SFTRow, pair_rows, sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.joint_batches import joint_batches
from tratree_cli.training.nll_tokens import with_nll_mask
from tratree_cli.training.params import JointParams, LoraParams, SFTParams, TrainingResult
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.trainer import TrainingTask


@pytest.fixture(scope="module")
def paths(policy: Path, conversations: Any) -> list[SFTRow]:
    return sft_rows(load_tokenizer(policy), conversations)[0]


@pytest.fixture(scope="module")
def preferences(policy: Path, weaker: Path, pairs: Any) -> list[PairRow]:
    plain = pair_rows(load_tokenizer(policy), pairs)[0]
    return with_reference(plain, reference_logps(weaker, plain))


def train(
    model: Path,
    paths: list[SFTRow],
    pairs: list[PairRow],
    config: JointParams,
    folder: Path,
    progress: Any = None,
) -> TrainingResult:
    task = TrainingTask("joint", model, paths, config, folder / "out", folder / "work", pairs=pairs)
    return joint.train(task, progress or (lambda done, total, facts: None))


def summed(model: Any, ids: list[int], mask: list[int]) -> Any:
    """log p of the scored tokens of a sequence, summed; differentiable."""
    import torch

    logp = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], -1)
    return sum(logp[place - 1, ids[place]] for place, mine in enumerate(mask) if mine and place)


def by_hand(model: Any, paths: list[SFTRow], pairs: list[PairRow], config: JointParams) -> Any:
    """lambda * NLL(paths) + mu * DPO(pairs) + w * NLL(chosen) in plain torch, row by row."""
    import torch

    nll = -sum(summed(model, row.input_ids, row.agent_mask) for row in paths)
    nll = nll / sum(row.scored for row in paths)
    losses, likelihoods, tokens = [], [], 0
    for row in pairs:
        sums = [
            summed(model, row.prompt_ids + ids, [0] * len(row.prompt_ids) + mask)
            for ids, mask in (
                (row.chosen_ids, row.chosen_mask),
                (row.rejected_ids, row.rejected_mask),
            )
        ]
        margin = (sums[0] - row.ref_chosen_logps) - (sums[1] - row.ref_rejected_logps)
        losses.append(-torch.nn.functional.logsigmoid(config.beta * margin))
        mask = row.nll_mask or [0] * len(row.prompt_ids) + row.chosen_mask
        likelihoods.append(summed(model, row.prompt_ids + row.chosen_ids, mask))
        tokens += sum(mask)
    loss = config.imitation_weight * nll
    loss = loss + config.preference_weight * sum(losses) / len(losses)
    return loss - config.nll_weight * sum(likelihoods) / tokens


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The gradients of the joint trainer's model after each forward pass, before any clipping."""
    seen: list[dict[str, Any]] = []
    theirs = joint.JointTrainer.training_step

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = theirs(self, *args, **kwargs)
        seen.append({n: p.grad.clone() for n, p in self.model.named_parameters()})
        return loss

    monkeypatch.setattr(joint.JointTrainer, "training_step", step)
    return seen


@pytest.mark.parametrize("nll_on", ["", "turn", "continuation", "path"])
def test_the_gradient_is_that_of_both_losses_computed_by_hand(
    policy: Path,
    paths: list[SFTRow],
    preferences: list[PairRow],
    pairs: Any,
    tmp_path: Path,
    gradients: list[dict[str, Any]],
    nll_on: str,
) -> None:
    config = JointParams(
        max_steps=1, batch_size=6, beta=0.3, imitation_weight=3.0, preference_weight=0.7
    )
    rows = preferences[:6]
    if nll_on:
        config = replace(config, nll_weight=0.4, nll_on=nll_on)
        rows = with_nll_mask(load_tokenizer(policy), pairs, rows, nll_on)
    train(policy, paths[:6], rows, config, tmp_path)
    model = load_model(policy)
    by_hand(model, paths[:6], rows, config).backward()
    (ours,) = gradients
    for name, parameter in model.named_parameters():
        assert np.allclose(ours[name], parameter.grad, atol=2e-5), name


def test_by_trees_the_gradient_is_that_of_both_losses_too(
    policy: Path,
    paths: list[SFTRow],
    preferences: list[PairRow],
    tmp_path: Path,
    gradients: list[dict[str, Any]],
) -> None:
    config = JointParams(
        max_steps=1, batch_size=6, beta=0.3, preference_weight=0.7, tree_packing="on"
    )
    result = train(policy, paths[:6], preferences[:6], config, tmp_path)
    assert result.sharing is not None and not result.remarks
    model = load_model(policy)
    by_hand(model, paths[:6], preferences[:6], config).backward()
    (ours,) = gradients
    for name, parameter in model.named_parameters():
        assert np.allclose(ours[name], parameter.grad, atol=2e-5), name


def test_an_update_in_several_passes_has_the_gradient_of_one(
    policy: Path,
    paths: list[SFTRow],
    preferences: list[PairRow],
    tmp_path: Path,
    gradients: list[dict[str, Any]],
) -> None:
    """The last update of a pass over five paths has one path, and passes without any."""
    whole = JointParams(max_steps=1, batch_size=6, beta=0.3)
    train(policy, paths[:5], preferences[:6], whole, tmp_path / "one")
    parts = replace(whole, batch_size=2, accumulation=3)
    train(policy, paths[:5], preferences[:6], parts, tmp_path / "three")
    one, *_, three = gradients
    assert len(gradients) == 4
    for name, gradient in one.items():
        assert np.allclose(gradient, three[name], atol=2e-5), name


def test_without_preference_it_is_imitation(
    policy: Path, paths: list[SFTRow], preferences: list[PairRow], tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"learning_rate": 1e-3, "epochs": 2, "batch_size": 5, "seed": 3}
    alone = train_sft(policy, paths, SFTParams(**shared), tmp_path / "sft", tmp_path / "work")
    config = JointParams(**shared, imitation_weight=1.0, preference_weight=0.0)
    result = train(policy, paths, preferences, config, tmp_path)
    assert (result.steps, result.tokens) == (alone.steps, alone.tokens) == (6, alone.tokens)
    ours, theirs = (
        load_model(tmp_path / "out").state_dict(),
        load_model(tmp_path / "sft").state_dict(),
    )
    assert all(np.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    without = train(policy, paths, [], replace(config, preference_weight=1.0), tmp_path / "none")
    assert without.steps == 6


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"accumulation": 2, "batch_size": 2},
        {"lora": LoraParams(r=4, alpha=8), "gradient_checkpointing": True},
        {"tree_packing": "on", "nll_weight": 0.5},
    ],
)
def test_an_interrupted_training_resumes_to_the_same_bytes(
    policy: Path,
    paths: list[SFTRow],
    preferences: list[PairRow],
    tmp_path: Path,
    more: dict[str, Any],
) -> None:
    config = replace(
        JointParams(learning_rate=1e-3, epochs=3, batch_size=4, checkpoint_every=2), **more
    )
    whole = train(policy, paths, preferences, config, tmp_path / "whole")
    assert whole.steps == 9
    assert len(whole.curves["nll"]) == len(whole.curves["preference"]) == 9

    def interrupt(done: int, total: int, facts: Any) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(policy, paths, preferences, config, tmp_path / "cut", interrupt)
    resumed = train(policy, paths, preferences, config, tmp_path / "cut")
    assert resumed.resumed_from == 4
    assert digests(tmp_path / "whole" / "out") == digests(tmp_path / "cut" / "out")


def test_pairs_begin_anew_when_they_run_out_and_paths_follow_their_epochs(
    paths: list[SFTRow], preferences: list[PairRow]
) -> None:
    config = JointParams(epochs=2, batch_size=5)
    planned = joint_batches(paths, preferences[:7], config, 1)
    assert [len(batch.paths) for batch in planned] == [5, 5, 2, 5, 5, 2]
    assert all(len(batch.pairs) == 5 for batch in planned)
    seen = [row for batch in planned for row in batch.paths]
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12)) and seen[:12] != seen[12:]
    drawn = [row for batch in planned for row in batch.pairs]
    assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7)) and drawn[:7] != drawn[7:14]
    assert planned == joint_batches(paths, preferences[:7], config, 1)
    assert planned != joint_batches(paths, preferences[:7], replace(config, seed=1), 1)
    assert len(joint_batches(paths, preferences, replace(config, max_steps=4), 1)) == 4


def test_an_adapter_learns_both(
    policy: Path, paths: list[SFTRow], preferences: list[PairRow], tmp_path: Path
) -> None:
    config = JointParams(learning_rate=3e-3, epochs=8, batch_size=4, lora=LoraParams(r=4, alpha=8))
    result = train(policy, paths, preferences, config, tmp_path)
    assert result.curves["nll"][-1][1] < result.curves["nll"][0][1] - 0.1
    assert result.curves["margin"][-1][1] > result.curves["margin"][0][1] + 0.1


@pytest.mark.parametrize("nll_on", ["turn", "continuation", "path"])
def test_nll_alone_leaves_the_rejected_side_without_any_gradient(
    policy: Path, preferences: list[PairRow], pairs: Any, tmp_path: Path, nll_on: str
) -> None:
    """A preference weight of 0: other rejected words and another beta train the same weights."""
    from tratree_cli.training.params import DPOParams

    config = DPOParams(
        learning_rate=1e-3, epochs=2, batch_size=4, nll_weight=2.0, preference_weight=0.0,
        nll_on=nll_on,
    )  # fmt: skip
    preferences = with_nll_mask(load_tokenizer(policy), pairs, preferences, nll_on)
    train_dpo(policy, preferences, config, tmp_path / "one", tmp_path / "w1")
    others = [
        replace(row, rejected_mask=[0] * len(row.rejected_mask), ref_rejected_logps=-3.0)
        for row in preferences
    ]
    train_dpo(policy, others, replace(config, beta=0.7), tmp_path / "two", tmp_path / "w2")
    ours, theirs = (
        load_model(tmp_path / "one").state_dict(),
        load_model(tmp_path / "two").state_dict(),
    )
    assert all(np.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    start = load_model(policy).state_dict()
    assert not all(np.allclose(ours[name], start[name], atol=1e-5) for name in ours)


def test_what_cannot_be_trained_is_a_sentence(
    policy: Path, weaker: Path, paths: list[SFTRow], preferences: list[PairRow], tmp_path: Path
) -> None:
    config = JointParams(max_steps=1)
    with pytest.raises(InputError, match="no paths were given"):
        train(policy, [], preferences, config, tmp_path)
    bare = [replace(row, ref_chosen_logps=None) for row in preferences]
    with pytest.raises(InputError, match="no reference log-probabilities"):
        train(policy, paths, bare, config, tmp_path)
    with pytest.raises(InputError, match="needs a live reference"):
        train(policy, paths, preferences, replace(config, explicit_kl=True), tmp_path)
    with pytest.raises(InputError, match="imitation_weight must be at least 0, not -1"):
        replace(config, imitation_weight=-1.0)
