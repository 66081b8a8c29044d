"""Packed and row-wise computation agree: log-probabilities and the gradients of every parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tratree_cli.training.tree_packing import key_blocks, segments
from tratree_cli.training.tree_packing.forward import row_log_probs
from tratree_cli.training.tree_packing.trie import build_tries

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "tied-llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SIZES),
    "mistral-window": MistralConfig(**SIZES, sliding_window=5, head_dim=8),
    "gemma3-window": Gemma3TextConfig(
        **SIZES,
        head_dim=8,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
}


def tiny(name: str, attention: str = segments.NAME) -> Any:
    torch.manual_seed(1)
    segments.register()
    model = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation=attention)
    return model.float().train()


def row_wise(model: Any, rows: list[list[int]], scored: list[list[int]]) -> list[torch.Tensor]:
    """Each row alone, as any trainer computes it."""
    found = []
    for row, mask in zip(rows, scored, strict=True):
        ids = torch.tensor([row])
        logp = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0, :-1].float(), -1)
        picked = logp.gather(1, ids[0, 1:, None])[:, 0]
        found.append(picked[torch.tensor(mask[1:]).bool()])
    return found


def gradients(model: Any, logps: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a loss that treats rows in pairs, as Eq. 6 does, and is not linear in them."""
    sums = torch.stack([logp.sum() for logp in logps])
    half = len(sums) // 2
    loss = -torch.nn.functional.logsigmoid(0.1 * (sums[:half] - sums[half : 2 * half])).mean()
    loss = loss - torch.cat(logps).mean()
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(model: Any, rows: list[list[int]], scored: list[list[int]], budget: int) -> None:
    """Also leaves the gradients of the packed computation with the model."""
    tries = build_tries(rows, budget)
    plain, packed = row_wise(model, rows, scored), row_log_probs(model, tries, scored)
    for expected, got in zip(plain, packed, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    wanted, found = gradients(model, plain), gradients(model, packed)
    assert wanted.keys() == found.keys()
    scale = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        assert float((gradient - found[name]).abs().max()) < 1e-5 * scale + 1e-9, name


@st.composite
def rows_with_masks(draw: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Rows that share beginnings: each is a prefix of an earlier one and new tokens."""
    token = st.integers(0, 39)
    rows = [draw(st.lists(token, min_size=2, max_size=14))]
    for _ in range(draw(st.integers(1, 6))):
        base = draw(st.sampled_from(rows))
        keep = draw(st.integers(0, len(base)))
        rows.append(base[:keep] + draw(st.lists(token, min_size=0 if keep > 1 else 2, max_size=8)))
    scored = [[0, *draw(st.lists(st.integers(0, 1), min_size=len(r) - 1, max_size=len(r) - 1))]
              for r in rows]  # fmt: skip
    for row, mask in zip(rows, scored, strict=True):
        mask[len(row) - 1] = 1
    return rows, scored


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=12, deadline=None)
@given(case=rows_with_masks(), budget=st.sampled_from((0, 24)))
def test_log_probabilities_and_gradients_are_those_of_the_rows(
    name: str, case: tuple[list[list[int]], list[list[int]]], budget: int
) -> None:
    # One row may be longer: a budget below it is refused, which test_trie is about.
    longest = max(map(len, case[0]))
    assert_equal(tiny(name), *case, budget and max(budget, longest))


@settings(max_examples=12, deadline=None)
@given(case=rows_with_masks(), pairs=st.sampled_from((0, 12)))
def test_blocks_of_keys_are_one_for_each_run_or_several_runs_together(
    case: tuple[list[list[int]], list[list[int]]], pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_blocks, "ADDED_PAIRS", pairs)
        assert_equal(tiny("llama"), *case, 0)


@settings(max_examples=12, deadline=None)
@given(case=rows_with_masks())
def test_paths_that_are_copied_out_give_the_same(
    case: tuple[list[list[int]], list[list[int]]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "serves", lambda *_: False)
        assert_equal(tiny("llama"), *case, 0)


WAYS = ("all weights", "an adapter", "recomputed", "an adapter, recomputed")


@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_the_rows_at_each_of_several_optimizer_steps(way: str) -> None:
    @settings(max_examples=5, deadline=None)
    @given(cases=st.lists(rows_with_masks(), min_size=3, max_size=3))
    def check(cases: list[tuple[list[list[int]], list[list[int]]]]) -> None:
        model = tiny("qwen2")
        if "adapter" in way:
            # Both sides random: as adapters start, the gradient of one is zero. Small ones, so that
            # numbers stay in the range in which 1e-5 is more than rounding.
            adapter = LoraConfig(
                r=2, lora_alpha=1, target_modules="all-linear", init_lora_weights=False
            )
            model = get_peft_model(model, adapter).get_base_model()
        if "recomputed" in way:
            model.gradient_checkpointing_enable()
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3)
        for rows, scored in cases:
            assert_equal(model, rows, scored, 0)
            assert all(weight.grad is not None for weight in trained)
            optimizer.step()

    check()


@settings(max_examples=8, deadline=None)
@given(case=rows_with_masks(), cut=st.integers(1, 6))
def test_gradients_that_tries_accumulate_are_those_of_the_rows_together(
    case: tuple[list[list[int]], list[list[int]]], cut: int
) -> None:
    model, (rows, scored) = tiny("llama"), case
    (-torch.cat(row_wise(model, rows, scored)).sum()).backward()
    wanted = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    for part in (slice(None, cut), slice(cut, None)):
        if rows[part]:
            packed = row_log_probs(model, build_tries(rows[part]), scored[part])
            (-torch.cat(packed).sum()).backward()
    scale = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, weight in model.named_parameters():
        assert float((weight.grad - wanted[name]).abs().max()) < 1e-5 * scale + 1e-9, name


@settings(max_examples=8, deadline=None)
@given(case=rows_with_masks())
def test_in_bfloat16_they_agree_within_its_rounding(
    case: tuple[list[list[int]], list[list[int]]],
) -> None:
    model, (rows, scored) = tiny("llama"), case
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = row_wise(model, rows, scored)
        packed = row_log_probs(model, build_tries(rows), scored)
    # Eight bits of logits of a few units.
    torch.testing.assert_close(torch.cat(packed), torch.cat(plain), rtol=0.02, atol=0.02)
    wanted, found = gradients(model, plain), gradients(model, packed)
    scale = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        assert float((gradient - found[name]).abs().max()) < 0.05 * scale, name


def test_rows_without_a_scored_token_and_rows_of_one_token_add_nothing() -> None:
    rows = [[1, 2, 3, 4], [1, 2], [1], [1, 2, 3, 4]]
    assert_equal(tiny("llama"), rows, [[0, 0, 1, 1], [0, 0], [0], [0, 0, 0, 0]], 0)


def test_segments_of_one_length_together_give_the_very_numbers_of_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = np.random.default_rng(0)
    trunk = numbers.integers(0, 39, 30).tolist()
    rows = [trunk + numbers.integers(0, 39, size).tolist() for size in (60, 60, 60, 71, 71, 50)]
    scored = [[0] * 30 + [1] * (len(row) - 30) for row in rows]

    def computed() -> list[torch.Tensor]:
        model = tiny("llama")
        logps = torch.cat(row_log_probs(model, build_tries(rows), scored))
        logps.sum().backward()
        return [logps, *(weight.grad for weight in model.parameters())]

    together = computed()
    theirs = key_blocks.batches

    def alone(runs: Any, device: Any) -> list[Any]:
        return [batch for run in runs for batch in theirs([run], device)]

    monkeypatch.setattr(key_blocks, "batches", alone)
    assert all(torch.equal(*both) for both in zip(together, computed(), strict=True))


def test_a_chain_two_hundred_deep_with_a_branch_at_every_token() -> None:
    chain = np.arange(200) % 37
    rows = [[*chain[: length + 1].tolist(), 38] for length in range(0, 200, 10)]
    scored = [[0] * (len(row) - 1) + [1] for row in rows]
    assert_equal(tiny("llama"), rows, scored, 0)
