"""The diversity-seeking explorer: Eq. 5 by hand, its cap, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import make_model
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import SFTRow, sft_rows
from tratree_cli.training.explorer import train_explorer
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import SFTParams

ONE_STEP = SFTParams(max_steps=1, batch_size=12, diverge_weight=0.5, diverge_cap=100.0)


@pytest.fixture(scope="module")
def rows(policy: Path, conversations: Any) -> list[SFTRow]:
    return sft_rows(load_tokenizer(policy), conversations)[0]


def divergence_by_hand(policy: Path, frozen: Path, rows: list[SFTRow]) -> float:
    """Mean over the agent's tokens of KL(policy || frozen), one row at a time."""
    import torch

    ours, theirs = load_model(policy), load_model(frozen)
    found: list[float] = []
    for row in rows:
        words = torch.tensor([row.input_ids])
        with torch.no_grad():
            p, q = (torch.log_softmax(m(input_ids=words).logits[0], -1) for m in (ours, theirs))
        each = (p.exp() * (p - q)).sum(-1)
        found += [float(each[at - 1]) for at in range(1, row.length) if row.agent_mask[at]]
    return sum(found) / len(found)


@pytest.mark.parametrize(("batch", "accumulation"), [(12, 1), (4, 3)])
@pytest.mark.parametrize("cap", [100.0, 0.001])
def test_the_first_loss_is_equation_5_with_its_cap(
    policy: Path,
    weaker: Path,
    rows: list[SFTRow],
    tmp_path: Path,
    cap: float,
    batch: int,
    accumulation: int,
) -> None:
    config = replace(ONE_STEP, diverge_cap=cap, batch_size=batch, accumulation=accumulation)
    plain = train_sft(policy, rows, config, tmp_path / "sft", tmp_path / "w1")
    diverse = train_explorer(policy, rows, weaker, config, tmp_path / "out", tmp_path / "w2")
    kl = divergence_by_hand(policy, weaker, rows)
    assert diverse.curves["kl"][0][1] == pytest.approx(kl, rel=0.05 if accumulation > 1 else 1e-4)
    assert diverse.curves["kl_capped"][0][1] == float(kl > cap)
    expected = plain.curves["loss"][0][1] - 0.5 * min(kl, cap)
    assert diverse.curves["loss"][0][1] == pytest.approx(expected, abs=1e-4)


def test_what_only_equation_5_reads_is_not_in_a_plain_models_record(
    policy: Path, weaker: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    train_sft(policy, rows, ONE_STEP, tmp_path / "sft", tmp_path / "w1")
    train_explorer(policy, rows, weaker, ONE_STEP, tmp_path / "out", tmp_path / "w2")
    assert "diverge" not in (tmp_path / "sft" / "training.json").read_text()
    assert '"diverge_cap": 100.0' in (tmp_path / "out" / "training.json").read_text()


def test_training_moves_away_from_the_frozen_model(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    config = SFTParams(learning_rate=1e-2, epochs=6, batch_size=6)
    train_sft(policy, rows, config, tmp_path / "sft", tmp_path / "w1")
    frozen = tmp_path / "sft"
    for weight in (0.0, 20.0):
        train_explorer(
            policy,
            rows,
            frozen,
            replace(config, diverge_weight=weight),
            tmp_path / str(weight),
            tmp_path / f"w{weight}",
        )
    apart = divergence_by_hand(tmp_path / "20.0", frozen, rows)
    assert apart > 2 * divergence_by_hand(tmp_path / "0.0", frozen, rows) + 0.05


def test_a_frozen_model_with_another_tokenizer_is_refused(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other", family="llama3")
    with pytest.raises(InputError, match="another tokenizer"):
        train_explorer(policy, rows, other, ONE_STEP, tmp_path / "o", tmp_path / "w")


def test_diverging_from_itself_is_refused(policy: Path, rows: list[SFTRow], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the model that is trained"):
        train_explorer(policy, rows, policy, ONE_STEP, tmp_path / "o", tmp_path / "w")


def test_packing_is_refused(policy: Path, weaker: Path, rows: list[SFTRow], tmp_path: Path) -> None:
    config = replace(ONE_STEP, packing=True)
    with pytest.raises(InputError, match="does not go with packing"):
        train_explorer(policy, rows, weaker, config, tmp_path / "o", tmp_path / "w")


@pytest.mark.slow
def test_the_explorers_trajectories_are_more_diverse(
    policy: Path, conversations: Any, tmp_path: Path
) -> None:
    """Two models from the same demonstrations: the explorer says more different things."""
    opening = [messages[:2] for messages in conversations[:4]]
    rows = sft_rows(load_tokenizer(policy), opening)[0]
    config = SFTParams(learning_rate=1e-2, epochs=80, batch_size=4, checkpoint_every=0)
    train_sft(policy, rows, config, tmp_path / "imitator", tmp_path / "w1")
    # A weight of 1 with a cap of 2 nats buys the diversity with broken words: see Eq. 5's cap.
    diverse = replace(config, diverge_weight=0.3, diverge_cap=0.5)
    train_explorer(
        policy, rows, tmp_path / "imitator", diverse, tmp_path / "explorer", tmp_path / "w2"
    )
    said = {name: sampled(tmp_path / name) for name in ("imitator", "explorer")}
    distinct = {name: len(set(texts)) for name, texts in said.items()}
    assert distinct["explorer"] > distinct["imitator"]
    well_formed = [text for text in said["explorer"] if text.startswith("Action: search[")]
    assert len(well_formed) > len(said["explorer"]) / 2


def sampled(folder: Path, count: int = 64) -> list[str]:
    """First turns sampled at temperature 1 from one prompt."""
    import torch

    from tratree_cli.models.chat_encoding import TurnEncoder

    model, tokenizer = load_model(folder), load_tokenizer(folder)
    ids = TurnEncoder(tokenizer).whole(
        [{"role": "user", "content": "Instruction: find a red shirt [SEP] Search"}]
    )
    torch.manual_seed(0)
    words = model.generate(
        torch.tensor([ids] * count),
        attention_mask=torch.ones(count, len(ids), dtype=torch.long),
        do_sample=True,
        max_new_tokens=24,
        pad_token_id=tokenizer.pad_token_id,
    )
    return [tokenizer.decode(turn[len(ids) :], skip_special_tokens=True) for turn in words]
