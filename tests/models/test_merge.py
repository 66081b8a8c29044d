"""Adapters of bases in bfloat16: what they learnt is in the stored model, or it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tratree_cli.agents.local.model import load_model as load_for_playing
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import SFTRow, sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import LoraParams, SFTParams, TrainingResult
from tratree_cli.training.trainer_args import load_to_train

SMALL_STEPS = SFTParams(
    learning_rate=1e-5, max_steps=6, batch_size=4, dtype="bfloat16", lora=LoraParams(r=4, alpha=8)
)
"""As a GPU trains by default: frozen weights in bfloat16, the paper's learning rate."""


@pytest.fixture(scope="module")
def rows(policy: Path, conversations: Any) -> list[SFTRow]:
    return sft_rows(load_tokenizer(policy), conversations)[0]


@pytest.fixture(scope="module")
def published(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy with weights in bfloat16, as almost all models are published."""
    folder = tmp_path_factory.mktemp("published")
    load_model(policy).to(torch.bfloat16).save_pretrained(folder)
    load_tokenizer(policy).save_pretrained(folder)
    return folder


def trained(policy: Path, rows: list[SFTRow], out: Path, config: SFTParams) -> TrainingResult:
    return train_sft(
        policy, rows, config, out, out.with_name(f"work-{out.name}"), base={"name": str(policy)}
    )


def logits(model: Any, rows: list[SFTRow]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([rows[0].input_ids])).logits[0].float()
    return found


def apart(config: SFTParams) -> SFTParams:
    assert config.lora is not None
    return replace(config, lora=replace(config.lora, merge=False))


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_merged_model_computes_what_base_and_adapter_compute(
    policy: Path, rows: list[SFTRow], tmp_path: Path, stored: str
) -> None:
    """The base is stored in either type; steps are large enough to be seen in its logits."""
    base = tmp_path / "base"
    load_model(policy).to(getattr(torch, stored)).save_pretrained(base)
    load_tokenizer(policy).save_pretrained(base)
    config = replace(SMALL_STEPS, learning_rate=1e-3)
    trained(base, rows, tmp_path / "merged", config)
    trained(base, rows, tmp_path / "apart", apart(config))
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(load_model(base), str(tmp_path / "apart")).eval()
    truth, before = logits(adapted, rows), logits(load_model(base), rows)
    found = logits(load_model(tmp_path / "merged"), rows)
    assert float((truth - before).abs().max()) > 3e-3
    assert float((found - truth).abs().max()) < 1e-3


def test_the_share_of_the_update_that_is_kept_is_recorded_by_type(
    published: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    result = trained(published, rows, tmp_path / "out", SMALL_STEPS)
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["update_kept"] == dict(result.update_kept)
    assert record["update_kept"]["float32"] > 0.95
    assert record["update_kept"]["bfloat16"] < 0.5
    assert result.remarks == ()


def along(start: Any, found: Any, update: Any) -> float:
    """The share of ``update`` that is in ``found`` - ``start``, each by the names of weights."""
    inside = sum(
        float(
            (
                (found[name].detach().float() - start[name].detach()).double()
                * update[name].double()
            ).sum()
        )
        for name in update
    )
    return inside / sum(float(change.double().square().sum()) for change in update.values())


@pytest.mark.parametrize("merge", [True, False])
def test_what_was_learnt_is_there_when_training_or_scoring_goes_on_in_bfloat16(
    published: Path, rows: list[SFTRow], tmp_path: Path, merge: bool
) -> None:
    config = SMALL_STEPS if merge else apart(SMALL_STEPS)
    trained(published, rows, tmp_path / "sft", config)
    start = dict(load_model(published).named_parameters())
    learnt = dict(load_model(tmp_path / "sft").named_parameters())
    update = {name: (learnt[name] - start[name]).detach() for name in start}
    going_on = load_to_train(tmp_path / "sft", SMALL_STEPS)
    assert along(start, dict(going_on.named_parameters()), update) > 0.99
    # A model as it was published is held in bfloat16 as before.
    assert load_to_train(published, SMALL_STEPS).dtype == torch.bfloat16


def test_an_adapter_on_a_trained_model_plays_with_all_that_both_learnt(
    published: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    trained(published, rows, tmp_path / "sft", SMALL_STEPS)
    trained(tmp_path / "sft", rows, tmp_path / "second", apart(SMALL_STEPS))
    playing, _ = load_for_playing(tmp_path / "second", "cpu", "bfloat16")
    weight = "model.layers.0.self_attn.q_proj"
    base = load_model(tmp_path / "sft").get_parameter(f"{weight}.weight")
    assert torch.equal(playing.get_parameter(f"{weight}.base_layer.weight"), base)


@pytest.mark.parametrize("lora", [LoraParams(r=4, alpha=8), None])
def test_storing_in_bfloat16_warns_where_it_loses_the_update(
    published: Path, rows: list[SFTRow], tmp_path: Path, lora: LoraParams | None
) -> None:
    config = replace(SMALL_STEPS, lora=lora, save_dtype="bfloat16")
    result = trained(published, rows, tmp_path / "out", config)
    kept = result.update_kept["bfloat16"]
    assert kept < 0.5
    (remark,) = result.remarks
    assert f"keeps only {100 * kept:.0f} %" in remark
    assert "sft.save_dtype=float32" in remark


def test_an_adapter_stored_apart_is_not_rounded_away_when_it_plays_in_bfloat16(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    trained(policy, rows, tmp_path / "out", apart(replace(SMALL_STEPS, learning_rate=1e-4)))
    playing, _ = load_for_playing(tmp_path / "out", "cpu", "bfloat16")
    weights = dict(playing.named_parameters())
    assert {weights[name].dtype for name in weights if "lora" in name} == {torch.float32}
    assert next(iter(weights.values())).dtype == torch.bfloat16


def test_rounding_a_base_in_float32_is_not_taken_for_a_loss_of_the_update(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    """Its weights lie between those of bfloat16, so a small step is kept on average."""
    result = trained(policy, rows, tmp_path / "out", replace(SMALL_STEPS, learning_rate=1e-3))
    assert result.update_kept["bfloat16"] > 0.8
