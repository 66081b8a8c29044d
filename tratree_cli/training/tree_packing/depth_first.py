"""A trie computed depth first, in parts: the memory of one part and one path, whatever its size.

Parts are neighbouring segments, computed one after the other below the keys and values of the path
that is open where they begin. Once without gradients gives the hidden states, from which the loss
follows as ever. When the gradient of the hidden states is known, the parts are computed again with
gradients, the last one first: it hands the gradients of the keys and values above it to the part
before. That is one forward pass more than keeping everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from tratree_cli.training.tree_packing import segments
from tratree_cli.training.tree_packing.batches import Heads
from tratree_cli.training.tree_packing.segments import Plan

AT_ONCE = 8192
"""Distinct tokens whose activations are kept together."""
PART = 2048
"""Nodes of a part: more were no faster a token on a CPU (docs/tree-training.md)."""


def saves_memory(plan: Plan) -> bool:
    """Whether the plan is large and its paths are short against it.

    Processes that exchange gradients while they go backward cannot go backward in parts.
    """
    size = plan.input_ids.shape[1]
    return size > max(AT_ONCE, 2 * plan.longest) and not torch.distributed.is_initialized()


def states(model: Any, plan: Plan) -> torch.Tensor:
    """Hidden states ``[N, width]``; their gradient reaches all weights of ``model``."""
    trained = next(weight for weight in model.parameters() if weight.requires_grad)
    found: torch.Tensor = _DepthFirst.apply(trained, model, plan)
    return found


KeysValues: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values ``[1, heads, nodes, d]`` of every layer."""


@dataclass(frozen=True)
class _Part:
    """Neighbouring segments of a plan, its nodes ``begin:end``, below the path that is open.

    ``kept`` are the places, among the keys (path, then nodes), of those that the next part is
    below.
    """

    plan: Plan
    begin: int
    end: int
    kept: torch.Tensor


def _parts(whole: Plan) -> list[_Part]:
    """The plan in parts of ``PART`` nodes; a longer segment is a part of its own."""
    cuts = [0]
    for one in whole.segments:
        if one.end - cuts[-1] > PART and one.begin > cuts[-1]:
            cuts.append(one.begin)
    path = np.zeros(0, dtype=np.int64)
    found: list[_Part] = []
    for begin, end in pairwise((*cuts, whole.input_ids.shape[1])):
        plan = segments.part(whole, begin, end, path)
        keys = np.concatenate((path, np.arange(begin, end)))
        kept = np.flatnonzero(whole.reach[keys] > end)
        places = torch.from_numpy(kept).to(whole.input_ids.device)
        found.append(_Part(plan, begin, end, places))
        path = keys[kept]
    return found


@dataclass
class _Below:
    """Attention of a part below ``path``; ``made`` are the keys and values of path and part."""

    plan: Plan
    path: KeysValues
    made: KeysValues = field(default_factory=list)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: Heads
    ) -> torch.Tensor:
        if self.path:
            above = self.path[len(self.made)]
            key = torch.cat((above[0].to(key.dtype), key), dim=2)
            value = torch.cat((above[1].to(value.dtype), value), dim=2)
        self.made.append((key, value))
        return self.plan.attend(query, key, value, heads)

    def kept(self, places: torch.Tensor) -> KeysValues:
        """What the next part is below."""
        return [(k.index_select(2, places), v.index_select(2, places)) for k, v in self.made]


def _compute(model: Any, part: _Part, path: KeysValues) -> tuple[torch.Tensor, KeysValues]:
    """Hidden states of a part, and keys and values of the path that is open after it."""
    below = _Below(part.plan, path)
    hidden = segments.hidden_states(model, part.plan.input_ids, part.plan.position_ids, below)
    return hidden, below.kept(part.kept)


class _DepthFirst(torch.autograd.Function):
    """All parts as one operation: without gradients forward, with them backward."""

    @staticmethod
    def forward(ctx: Any, _: torch.Tensor, model: Any, plan: Plan) -> torch.Tensor:
        ctx.model, ctx.device = model, plan.input_ids.device
        kind = ctx.device.type
        ctx.precision = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        ctx.parts = _parts(plan)
        ctx.begun = []
        found: list[torch.Tensor] = []
        path: KeysValues = []
        with _nothing_recomputed(model):
            for part in ctx.parts:
                ctx.begun.append((path, torch.get_rng_state(), _device_random(ctx.device)))
                hidden, path = _compute(model, part, path)
                found.append(hidden)
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, None]:
        (gradient,) = gradients
        device = ctx.device
        of_kept: list[torch.Tensor | None] = []
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=ctx.precision[0], dtype=ctx.precision[1]),
            _nothing_recomputed(ctx.model),
        ):
            while ctx.parts:
                part, (above, random, device_random) = ctx.parts.pop(), ctx.begun.pop()
                # Dropout has to fall where it fell before.
                torch.set_rng_state(random)
                if device_random is not None:
                    torch.cuda.set_rng_state(device_random, device)
                path = [
                    (keys.detach().requires_grad_(), values.detach().requires_grad_())
                    for keys, values in above
                ]
                hidden, kept = _compute(ctx.model, part, path)
                outputs = [hidden, *(tensor for pair in kept for tensor in pair)]
                given = [gradient[part.begin : part.end], *(of_kept or [None] * 2 * len(kept))]
                _go_backward(outputs, given)
                of_kept = [tensor.grad for pair in path for tensor in pair]
        return None, None, None


def _go_backward(outputs: list[torch.Tensor], gradients: list[torch.Tensor | None]) -> None:
    """Backward from those outputs that have a gradient and pass it on."""
    ends = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad
    ]
    if ends:
        tensors, given = zip(*ends, strict=True)
        torch.autograd.backward(tensors, given)


def _device_random(device: torch.device) -> torch.Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


@contextmanager
def _nothing_recomputed(model: Any) -> Iterator[None]:
    """Without gradient checkpointing: it would compute a third time what is computed twice."""
    layers = [module for module in model.modules() if getattr(module, "gradient_checkpointing", 0)]
    for module in layers:
        module.gradient_checkpointing = False
    try:
        yield
    finally:
        for module in layers:
            module.gradient_checkpointing = True
