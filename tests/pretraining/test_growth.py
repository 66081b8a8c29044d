"""Growing a wider member of the family from a narrower one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tratree_cli.pretraining.growth import grown
from tratree_cli.pretraining.model import GROWN_FROM, SHAPES, new_model
from tratree_cli.pretraining.training import GROWING, PretrainConfig, pretrain


@pytest.mark.parametrize("name", sorted(GROWN_FROM))
def test_a_grown_model_first_says_what_the_smaller_one_says(tokenizer, name: str):
    small = new_model(SHAPES[GROWN_FROM[name]], tokenizer, 3)
    wide = grown(small, name, tokenizer, 4)
    tokens = torch.randint(0, len(tokenizer), (2, 30))
    with torch.no_grad():
        assert torch.allclose(wide(tokens).logits, small(tokens).logits, atol=5e-3)
    assert wide.num_parameters() > 1.5 * small.num_parameters()


@pytest.mark.slow
def test_what_is_new_wakes_within_a_few_steps(tokenizer, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    few = {"tokens": 4_000, "batch_rows": 2, "compiled": False, "block_documents": 12}
    small = replace(PretrainConfig(name="tratree-s", warmup_steps=2), **few)
    pretrain(small, tmp_path / "s", tmp_path / "work-s", lambda *_: None)
    wide = replace(GROWING, name="tratree-m", warmup_steps=2, **few)
    pretrain(wide, tmp_path / "m", tmp_path / "work-m", lambda *_: None, tmp_path / "s")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m").float()
    width = SHAPES["tratree-s"].width
    table = model.get_input_embeddings().weight
    assert float(table[:, width:].detach().abs().max()) > 0
    for layer in model.model.layers:
        assert float(layer.self_attn.o_proj.weight[:width, width:].detach().abs().max()) > 0
