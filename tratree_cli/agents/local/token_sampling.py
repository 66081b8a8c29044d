"""Sampling one token per row from one uniform number per row: no row's draw touches another's.

``torch.multinomial`` takes its numbers from one generator for the whole batch, so a row's result
would depend on its neighbours. The inverse of the cumulative distribution needs a single uniform
per row, which comes from the row's own counter-based generator (Philox, keyed by episode seed).
"""

from __future__ import annotations

import numpy as np
import torch


class Draws:
    """An episode's uniform numbers in [0, 1), in order; fetched in blocks for speed."""

    BLOCK = 256

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))
        self._block: list[float] = []

    def next(self) -> float:
        if not self._block:
            self._block = self._generator.random(self.BLOCK).tolist()[::-1]
        return self._block.pop()


def sample(
    logits: torch.Tensor, temperatures: list[float], top_ps: list[float], uniforms: list[float]
) -> list[int]:
    """One token id per row of ``logits`` ``[rows, vocabulary]``.

    Temperature 0 is the most likely token (the lowest id among equals). Top-p keeps the smallest
    set of most likely tokens whose mass reaches p. Each row is computed by its own setting alone.
    """
    greedy = [row for row, temperature in enumerate(temperatures) if temperature <= 0]
    plain = [
        r for r, (t, p) in enumerate(zip(temperatures, top_ps, strict=True)) if t > 0 and p >= 1
    ]
    nucleus = [
        r for r, (t, p) in enumerate(zip(temperatures, top_ps, strict=True)) if t > 0 and p < 1
    ]
    chosen = [0] * logits.shape[0]
    if greedy:
        for row, token in zip(greedy, _rows(logits, greedy).argmax(-1).tolist(), strict=True):
            chosen[row] = token
    if plain:
        probabilities = _probabilities(_rows(logits, plain), [temperatures[r] for r in plain])
        picked = _invert(probabilities, [uniforms[r] for r in plain])
        for row, token in zip(plain, picked.tolist(), strict=True):
            chosen[row] = token
    if nucleus:
        probabilities = _probabilities(_rows(logits, nucleus), [temperatures[r] for r in nucleus])
        ordered, ids = probabilities.sort(dim=-1, descending=True, stable=True)
        limits = torch.tensor([top_ps[r] for r in nucleus], device=logits.device)[:, None]
        before = ordered.cumsum(-1) - ordered
        ordered = torch.where(before < limits, ordered, 0.0)
        places = _invert(ordered, [uniforms[r] for r in nucleus])
        for row, token in zip(nucleus, ids.gather(1, places[:, None])[:, 0].tolist(), strict=True):
            chosen[row] = token
    return chosen


def _rows(logits: torch.Tensor, rows: list[int]) -> torch.Tensor:
    return logits if len(rows) == logits.shape[0] else logits[rows]


def _probabilities(logits: torch.Tensor, temperatures: list[float]) -> torch.Tensor:
    heat = torch.tensor(temperatures, dtype=torch.float64, device=logits.device)[:, None]
    # float64, so that the cumulative sum over a large vocabulary keeps its small steps.
    return torch.softmax(logits.double() / heat, dim=-1)


def _invert(probabilities: torch.Tensor, uniforms: list[float]) -> torch.Tensor:
    """The first index whose cumulative mass exceeds the uniform; never one of mass zero."""
    mass = probabilities.cumsum(-1)
    wanted = torch.tensor(uniforms, dtype=mass.dtype, device=mass.device)[:, None] * mass[:, -1:]
    places = torch.searchsorted(mass, wanted, right=True)
    # Rounding may lift the wanted mass to the total: then it is the last token that has any.
    return torch.minimum(places, torch.searchsorted(mass, mass[:, -1:].contiguous()))[:, 0]
