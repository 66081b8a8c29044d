"""Depth first gives the states and gradients of keeping everything, in the memory of one path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tests.training.tree_packing.test_equality import CONFIGS, assert_equal, rows_with_masks, tiny
from tratree_cli.training.tree_packing import depth_first
from tratree_cli.training.tree_packing.forward import row_log_probs
from tratree_cli.training.tree_packing.trie import build_tries


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every trie is computed depth first; the list has the tokens of each."""
    sizes: list[int] = []

    def chosen(plan: Any) -> bool:
        sizes.append(plan.input_ids.shape[1])
        return True

    monkeypatch.setattr(depth_first, "saves_memory", chosen)
    monkeypatch.setattr(depth_first, "PART", 6)
    return sizes


@pytest.mark.parametrize("name", CONFIGS)
def test_depth_first_has_the_log_probabilities_and_gradients_of_the_rows(
    name: str, always: list[int]
) -> None:
    @settings(max_examples=6, deadline=None)
    @given(case=rows_with_masks())
    def check(case: tuple[list[list[int]], list[list[int]]]) -> None:
        assert_equal(tiny(name), *case, 0)

    check()
    assert always


def test_gradient_checkpointing_changes_nothing_and_is_on_again_afterwards(
    always: list[int],
) -> None:
    rows = [[1, 2, 3, 4, 5], [1, 2, 3, 9, 8, 7], [1, 2, 6]]
    model = tiny("qwen2")
    model.gradient_checkpointing_enable()
    assert_equal(model, rows, [[0, 0, *[1] * (len(row) - 2)] for row in rows], 0)
    assert model.is_gradient_checkpointing
    assert always


def test_memory_follows_the_longest_path_and_not_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that autograd keeps at once, counted by its own hooks."""
    numbers = np.random.default_rng(0)
    trunk = numbers.integers(0, 39, 20).tolist()
    rows = [trunk + numbers.integers(0, 39, 20).tolist() for _ in range(16)]
    scored = [[0] * 20 + [1] * 20 for _ in rows]
    model = tiny("llama")

    def most_kept() -> int:
        live, most = 0, 0

        class Kept:
            def __init__(self, tensor: torch.Tensor) -> None:
                nonlocal live, most
                self.tensor = tensor
                live += tensor.numel()
                most = max(most, live)

            def __del__(self) -> None:
                nonlocal live
                live -= self.tensor.numel()

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            torch.cat(row_log_probs(model, build_tries(rows), scored)).sum().backward()
        return most

    whole = most_kept()
    monkeypatch.setattr(depth_first, "AT_ONCE", 0)
    monkeypatch.setattr(depth_first, "PART", 40)
    assert most_kept() < 0.5 * whole
