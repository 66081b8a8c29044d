"""The pretraining loop on a handful of documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tratree_cli.errors import StageError
from tratree_cli.models.embedded import SHAPES
from tratree_cli.pretraining.model import new_model
from tratree_cli.pretraining.packing import Rows
from tratree_cli.pretraining.training import PretrainConfig, hidden_states, pretrain

SMALL = PretrainConfig(
    tokens=5_000, batch_rows=2, warmup_steps=2, compiled=False, save_every=1, block_documents=12
)


def quiet(done: int, total: int, what: str) -> None:
    """Nobody watches."""


def test_documents_of_one_row_do_not_see_each_other(tokenizer):
    model = new_model(SHAPES["tratree-s"], tokenizer, 3)
    tokens = torch.randint(0, len(tokenizer), (1, 40))
    document = torch.tensor([[1] * 15 + [2] * 25])
    rows = Rows(tokens, document, torch.zeros_like(document, dtype=torch.bool))
    with torch.no_grad():
        packed = hidden_states(model, tokens, rows.attention())
        alone = model.model(input_ids=tokens[:, 15:]).last_hidden_state
    assert torch.allclose(packed[:, 15:], alone, atol=1e-4)


def test_a_word_begins_as_the_same_vector_with_and_without_its_blank(tokenizer):
    table = new_model(SHAPES["tratree-s"], tokenizer, 3).get_input_embeddings().weight
    plain, blank = tokenizer.convert_tokens_to_ids(["wool", "Ġwool"])
    assert float(torch.cosine_similarity(table[plain], table[blank], dim=0).detach()) > 0.7
    assert abs(float(table.std().detach()) - 96**-0.5) < 0.02


def test_an_interrupted_pretraining_goes_on_to_the_same_weights(tmp_path: Path):
    from safetensors.torch import load_file

    whole = pretrain(SMALL, tmp_path / "whole", tmp_path / "work1", quiet)

    class KilledError(Exception):
        pass

    def kill(done: int, total: int, what: str) -> None:
        if done > 2_500:
            raise KilledError

    calls: list[int] = []
    with pytest.raises(KilledError):
        pretrain(SMALL, tmp_path / "out", tmp_path / "work2", kill)
    resumed = pretrain(
        SMALL, tmp_path / "out", tmp_path / "work2", lambda done, total, what: calls.append(done)
    )
    assert calls[0] > 2_500
    assert resumed["curve"] == whole["curve"]
    first = load_file(tmp_path / "whole" / "model.safetensors")
    second = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_work_folder_of_another_pretraining_is_refused(tmp_path: Path):
    pretrain(replace(SMALL, tokens=1_000), tmp_path / "out", tmp_path / "work", quiet)
    with pytest.raises(StageError, match="another pretraining"):
        pretrain(replace(SMALL, seed=9), tmp_path / "out", tmp_path / "work", quiet)


def test_what_is_written_loads_as_a_model_with_its_tokenizer(tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = pretrain(replace(SMALL, tokens=1_000), tmp_path / "out", tmp_path / "work", quiet)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert model.dtype == torch.float16
    assert model.config.tie_word_embeddings
    assert sum(weight.numel() for weight in model.parameters()) == result["parameters"]
    assert tokenizer.chat_template
