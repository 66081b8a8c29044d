"""Memory as arithmetic: figures that can be checked by hand, and what autograd really keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tratree_cli.models.memory import (
    BFLOAT16,
    FLOAT32,
    LIBRARIES,
    Playing,
    Rows,
    Training,
    conversations_at_once,
    kv_bytes,
    playing_memory,
    saved_per_token,
    scoring_memory,
    training_memory,
)
from tratree_cli.models.shapes import ModelShape, known_shape

TINY = ModelShape(64, 96, 3, 4, 2, 16, vocabulary=128, positions=512, tied=True)
GIB = 1 << 30


def shape(name: str) -> ModelShape:
    found = known_shape(name)
    assert found is not None
    return found


SEVEN, SEVENTY = shape("meta-llama/Llama-2-7b-chat-hf"), shape("meta-llama/Llama-2-70b-chat-hf")
QWEN = shape("Qwen/Qwen2.5-7B-Instruct")


def test_keys_and_values_of_64_conversations_of_4096_tokens() -> None:
    # Llama-2-7B: 2 x 32 layers x 32 heads x 128 numbers of 2 bytes a token.
    assert kv_bytes(SEVEN, 1, BFLOAT16) == 524_288
    assert 64 * kv_bytes(SEVEN, 4096, BFLOAT16) == 128 * GIB
    # Qwen2.5-7B: 4 heads of keys in place of 32, 28 layers.
    assert 64 * kv_bytes(QWEN, 4096, BFLOAT16) == 14 * GIB


def test_layers_with_a_window_keep_no_more_than_it_where_the_engine_drops_the_rest() -> None:
    gemma = replace(TINY, layers=6, window=100, windowed=5)
    a_layer = 2 * 2 * 16 * FLOAT32
    assert kv_bytes(gemma, 1000, FLOAT32) == 6 * 1000 * a_layer
    assert kv_bytes(gemma, 1000, FLOAT32, windows=True) == (1000 + 5 * 100) * a_layer
    assert kv_bytes(gemma, 50, FLOAT32, windows=True) == 6 * 50 * a_layer


def test_an_adapter_of_a_frozen_7b_in_bfloat16() -> None:
    task = Training(Rows(4, 1000, 800), device="cuda:0", bfloat16=True, rank=64, accumulates=True)
    parts = training_memory(SEVEN, task).parts
    # Per layer: 64 x (4 x (4096 + 4096) + 3 x (4096 + 11008)), times 32 layers.
    adapter = 64 * 32 * (4 * 8192 + 3 * 15104)
    assert adapter == 159_907_840
    assert parts["weights"] == 2 * 6_738_415_616
    assert parts["adapter"] == parts["gradients"] == 4 * adapter
    assert parts["optimizer states"] == 8 * adapter
    assert "libraries" not in parts


def test_all_weights_of_a_70b_take_sixteen_bytes_each_and_shards_divide_them() -> None:
    task = Training(Rows(1, 10, 5), device="cuda:0", accumulates=True)
    parts = training_memory(SEVENTY, task).parts
    held = ("weights", "gradients", "optimizer states")
    assert sum(parts[name] for name in held) == 16 * SEVENTY.weights
    parts = training_memory(SEVENTY, replace(task, shards=8)).parts
    assert sum(parts[name] for name in held) == 2 * SEVENTY.weights


def test_checkpointing_keeps_one_state_a_layer_and_a_micro_batch_scales_the_rest() -> None:
    task = Training(Rows(2, 100, 50))
    whole = training_memory(TINY, task).parts["activations"]
    assert whole == 3 * 200 * saved_per_token(TINY, task)
    kept = training_memory(TINY, replace(task, checkpointing=True)).parts["activations"]
    assert kept == 3 * 200 * 64 * FLOAT32 + whole // 3
    half = training_memory(TINY, replace(task, rows=Rows(1, 100, 25))).parts
    assert 2 * half["activations"] == whole


def test_on_a_cpu_an_adapter_of_short_rows_needs_most_when_it_is_merged() -> None:
    small = Training(Rows(1, 2, 1), rank=1)
    parts = training_memory(SEVEN, small).parts
    assert parts["merged model"] == parts["weights"] == 4 * SEVEN.weights
    assert "merged model" not in training_memory(SEVEN, replace(small, merged=False)).parts
    assert "merged model" not in training_memory(SEVEN, replace(small, device="cuda:0")).parts


def test_the_scored_positions_alone_have_logits() -> None:
    parts = training_memory(TINY, Training(Rows(2, 1000, 50))).parts
    assert parts["logits"] == 4 * 50 * 128 * FLOAT32


def test_scoring_holds_a_bounded_number_of_logits_whatever_is_scored() -> None:
    big = scoring_memory(QWEN, Rows(1000, 4000, 1_000_000)).parts
    assert big["logits"] == 2 * (1 << 26) * FLOAT32
    assert scoring_memory(TINY, Rows(2, 100, 30)).parts["logits"] == 2 * 30 * 128 * FLOAT32


def test_workers_on_a_cpu_have_a_model_each() -> None:
    one = Playing(4, 400, 50)
    assert (
        playing_memory(TINY, replace(one, workers=3)).total == 3 * playing_memory(TINY, one).total
    )
    assert playing_memory(TINY, one).parts["libraries"] == LIBRARIES["play"]


@pytest.mark.parametrize(("free", "expected"), [(16, 1), (32, 2), (40, 4), (80, 8), (141, 16)])
def test_conversations_at_once_are_the_power_of_two_that_fits(free: int, expected: int) -> None:
    # 13.5 GB of weights; a conversation of 4,096 tokens has 2 GiB, and 1.5 beside it as they grow.
    at_once = conversations_at_once(
        SEVEN, free * 10**9, 4096, device="cuda:0", bfloat16=True, most=256
    )
    assert at_once == expected


def test_something_is_played_even_where_nothing_fits() -> None:
    little = conversations_at_once(SEVENTY, 10**9, 4096, device="cpu", bfloat16=False, most=64)
    assert little == 1


@pytest.mark.parametrize("rank", [0, 8])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_layer_keeps_as_many_bytes_as_autograd_saves(rank: int, bfloat16: bool) -> None:
    counted = _saved(3, rank, bfloat16) - _saved(1, rank, bfloat16)
    task = Training(Rows(2, 256, 1), rank=rank, bfloat16=bfloat16)
    copies = 0 if not bfloat16 else 2 * (TINY.adapter(rank) // 3 if rank else TINY.layer_weights)
    assert counted / 2 == pytest.approx(512 * saved_per_token(TINY, task) + copies, rel=0.02)


def _saved(layers: int, rank: int, bfloat16: bool) -> int:
    """Bytes of distinct tensors that a forward pass of 2 rows of 256 tokens saves."""
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=TINY.vocabulary,
            hidden_size=TINY.hidden,
            intermediate_size=TINY.inner,
            num_hidden_layers=layers,
            num_attention_heads=TINY.heads,
            num_key_value_heads=TINY.kv_heads,
            max_position_embeddings=512,
        )
    )
    if rank:
        model = model.to(torch.bfloat16) if bfloat16 else model
        adapter = LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, adapter)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}
    alive: list[Any] = []

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    plain = model.get_base_model() if rank else model
    ids = torch.zeros((2, 256), dtype=torch.long)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bfloat16),
    ):
        out = plain.model(input_ids=ids, use_cache=False).last_hidden_state
    assert out.requires_grad
    return sum(sizes.values())
