"""FlexAttention over tries is attention segment by segment.

Eagerly and forward on a CPU, where torch has no more of it; compiled and with gradients on a GPU.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.training.tree_packing.test_equality import CONFIGS, row_wise, tiny
from tests.training.tree_packing.test_frozen import sequences
from tratree_cli.training.tree_packing import flex, segments
from tratree_cli.training.tree_packing.batches import Heads
from tratree_cli.training.tree_packing.forward import row_log_probs
from tratree_cli.training.tree_packing.trie import build_tries


@pytest.mark.parametrize("name", CONFIGS)
def test_flex_attention_has_the_log_probabilities_of_the_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "STEP", 128)
    used: list[int] = []

    def attend(self: Any, query: Any, key: Any, value: Any, heads: Any) -> torch.Tensor:
        used.append(heads.layer)
        return flex.attend(query, key, value, heads, self, compiled=False)

    monkeypatch.setattr(segments.Plan, "attend", attend)
    ids, masks = sequences()
    model = tiny(name)
    with torch.no_grad():
        packed = row_log_probs(model, build_tries(ids, budget=30), masks)
        for expected, got in zip(row_wise(model, ids, masks), packed, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert used


def test_only_a_gpu_and_heads_of_a_known_size_are_served() -> None:
    heads = Heads(0, None, 0.0, None)
    assert not flex.serves(torch.zeros(1, 2, 4, 64), heads)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_a_gpu_the_compiled_kernel_gives_what_the_segments_give() -> None:
    device = torch.device("cuda")
    ids, _ = sequences()
    plan = segments.plan(build_tries(ids), device)
    size = plan.input_ids.shape[1]
    torch.manual_seed(0)
    query = torch.randn(1, 4, size, 64, device=device, requires_grad=True)
    key = torch.randn(1, 2, size, 64, device=device, requires_grad=True)
    value = torch.randn(1, 2, size, 64, device=device, requires_grad=True)
    for window in (None, 5):
        heads = Heads(0, None, 0.0, window)
        assert flex.serves(query, heads)
        by_segments = plan.attend_on_paths(query, key, value, heads)
        by_one_kernel = plan.attend(query, key, value, heads)
        torch.testing.assert_close(by_one_kernel, by_segments, rtol=2e-3, atol=2e-3)
        inputs = (query, key, value)
        weights = torch.randn_like(by_segments)
        for one, other in zip(
            torch.autograd.grad((by_one_kernel * weights).sum(), inputs),
            torch.autograd.grad((by_segments * weights).sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=5e-3, atol=5e-3)
