"""Sizes of models from their configuration alone, against published and counted numbers."""

from __future__ import annotations

import json
import struct

import pytest

from tratree_cli.models.embedded import SHAPES
from tratree_cli.models.shapes import folder_shape, known_shape, shape_of
from tratree_cli.resources import templates_dir

GEMMA = {
    "model_type": "gemma3_text",
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262144,
    "max_position_embeddings": 32768,
    "sliding_window": 512,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3,
}


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("meta-llama/Llama-2-7b-chat-hf", 6_738_415_616),
        ("meta-llama/Llama-2-13b-chat-hf", 13_015_864_320),
        ("meta-llama/Llama-2-70b-chat-hf", 68_976_648_192),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8_030_261_248),
    ],
)
def test_the_models_of_the_recipes_have_as_many_weights_as_published(
    name: str, weights: int
) -> None:
    shape = known_shape(name)
    assert shape is not None and shape.weights == weights


def test_gemma_has_four_norms_normed_heads_and_windows() -> None:
    shape = shape_of(GEMMA)
    assert shape is not None and shape.weights == 268_098_176
    assert (shape.window, shape.windowed) == (512, 15)


@pytest.mark.parametrize("name", SHAPES)
def test_an_embedded_model_has_the_weights_that_are_in_its_file(name: str) -> None:
    folder = templates_dir() / "models" / name
    with (folder / "model.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    counted = 0
    for tensor, about in header.items():
        numbers = 1
        for side in about["shape"] if tensor != "__metadata__" else (0,):
            numbers *= side
        counted += numbers
    shape = folder_shape(folder)
    assert shape is not None and shape.weights == counted


def test_nonsense_in_a_configuration_is_no_error() -> None:
    odd = {**GEMMA, "head_dim": "wide", "num_key_value_heads": [], "layer_types": {}}
    shape = shape_of({**odd, "max_position_embeddings": None, "sliding_window": "all"})
    assert shape is not None and (shape.head, shape.kv_heads, shape.positions) == (160, 4, 0)
    assert shape_of({**GEMMA, "hidden_size": -1}) is None


def test_another_kind_of_model_has_no_shape() -> None:
    assert shape_of({"model_type": "gpt2", "n_embd": 768, "n_layer": 12}) is None
    assert known_shape("someone/unknown") is None


@pytest.mark.slow
def test_transformers_counts_the_same_weights_without_making_them() -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    qwen = known_shape("Qwen/Qwen2.5-1.5B-Instruct")
    assert qwen is not None
    config = {
        "model_type": "qwen2",
        "hidden_size": qwen.hidden,
        "intermediate_size": qwen.inner,
        "num_hidden_layers": qwen.layers,
        "num_attention_heads": qwen.heads,
        "num_key_value_heads": qwen.kv_heads,
        "vocab_size": qwen.vocabulary,
        "tie_word_embeddings": True,
    }
    for document in (GEMMA, config):
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**document))
        shape = shape_of(document)
        assert shape is not None and shape.weights == model.num_parameters()
