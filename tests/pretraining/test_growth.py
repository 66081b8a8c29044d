"""Growing a wider member of the family from a narrower one."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tratree_cli.models.embedded import SHAPES
from tratree_cli.pretraining.growth import grown
from tratree_cli.pretraining.model import GROWN_FROM, new_model
from tratree_cli.pretraining.tokenizer import build_tokenizer
from tratree_cli.pretraining.training import GROWING, PretrainConfig, pretrain

WIDER = sorted(
    name for name, other in GROWN_FROM.items() if SHAPES[name].width > SHAPES[other].width
)


@pytest.mark.parametrize("name", WIDER)
def test_a_grown_model_first_says_what_the_smaller_one_says(tokenizer, name: str):
    small = new_model(SHAPES[GROWN_FROM[name]], tokenizer, 3)
    wide = grown(small, tokenizer, name, tokenizer, 4)
    tokens = torch.randint(0, len(tokenizer), (2, 30))
    with torch.no_grad():
        assert torch.allclose(wide(tokens).logits, small(tokens).logits, atol=5e-3)
    assert wide.num_parameters() > 1.5 * small.num_parameters()


def test_another_vocabulary_keeps_what_both_know_and_begins_afresh_with_the_rest(tokenizer):
    rooms = build_tokenizer("rooms")
    shop = new_model(SHAPES["tratree-s"], tokenizer, 3)
    moved = grown(shop, tokenizer, "tratree-rooms-s", rooms, 4)
    shared = sorted(set(rooms.get_vocab()) & set(tokenizer.get_vocab()))
    own = [rooms.get_vocab()[word] for word in shared]
    other = [tokenizer.get_vocab()[word] for word in shared]
    asked = torch.tensor(random.Random(1).choices(range(len(shared)), k=20))
    with torch.no_grad():
        before = shop(torch.tensor(other)[asked][None]).logits[..., other]
        after = moved(torch.tensor(own)[asked][None]).logits[..., own]
    assert torch.allclose(before, after, atol=1e-4)
    fresh = [i for word, i in rooms.get_vocab().items() if word not in tokenizer.get_vocab()]
    table = moved.get_input_embeddings().weight.detach()
    assert len(fresh) > 300
    assert float(table[fresh].std()) == pytest.approx(float(table.std()), rel=0.1)


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
