"""A trie computed depth first: the memory of one root-to-leaf path, whatever the trie's size.

Segments are computed one after the other with the keys and values of the path that is open. Once
without gradients gives the hidden states, from which the loss follows as ever. When the gradient of
the hidden states is known, the same walk is done again with gradients: a segment stays open as long
as segments below it are computed, they add up the gradients of its keys and values, and it goes
backward when it is left. That is one forward pass more than keeping everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from tratree_cli.training.tree_packing import segments
from tratree_cli.training.tree_packing.segments import Heads, Plan, Segment

AT_ONCE = 8192
"""Distinct tokens whose activations are kept together; at twice that, keeping them was the slower
way on a CPU too (docs/tree-training.md)."""


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


@dataclass
class _OpenSegment:
    """A segment of the open path: its states, and the keys and values of every layer.

    ``kept`` are the same tensors without history, as segments below see them.
    """

    segment: Segment
    depth: int
    hidden: torch.Tensor
    made: list[tuple[torch.Tensor, torch.Tensor]]
    kept: list[tuple[torch.Tensor, torch.Tensor]]


@dataclass
class _Below:
    """Attention of a new segment that begins at ``depth``, below the open ones."""

    path: list[_OpenSegment]
    depth: int
    made: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    masks: dict[tuple[int, int | None, torch.dtype], torch.Tensor] = field(default_factory=dict)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: Heads
    ) -> torch.Tensor:
        self.made.append((key, value))
        ends = [*(above.depth for above in self.path), self.depth][1:]
        before = [
            [tensor[:, :, : end - above.depth] for tensor in above.kept[heads.layer]]
            for above, end in zip(self.path, ends, strict=True)
        ]
        keys = torch.cat([*(pair[0] for pair in before), key], dim=2)
        values = torch.cat([*(pair[1] for pair in before), value], dim=2)
        return segments.attend_on_path(query, keys, values, heads, (self.masks, 0))


def _walk(model: Any, plan: Plan, leave: Callable[[_OpenSegment], None]) -> None:
    """Compute every segment below those that it continues; ``leave`` those that nothing does."""
    path: list[_OpenSegment] = []
    for segment in plan.segments:
        depth = len(segment.path) - (segment.end - segment.begin)
        while path and path[-1].depth >= depth:
            leave(path.pop())
        below = _Below(path, depth)
        here = slice(segment.begin, segment.end)
        hidden = segments.hidden_states(
            model, plan.input_ids[:, here], plan.position_ids[:, here], below
        )
        kept = [(key.detach(), value.detach()) for key, value in below.made]
        if torch.is_grad_enabled():
            kept = [(key.requires_grad_(), value.requires_grad_()) for key, value in kept]
        path.append(_OpenSegment(segment, depth, hidden, below.made, kept))
    while path:
        leave(path.pop())


class _DepthFirst(torch.autograd.Function):
    """The walk as one operation: without gradients forward, with them backward."""

    @staticmethod
    def forward(ctx: Any, _: torch.Tensor, model: Any, plan: Plan) -> torch.Tensor:
        ctx.model, ctx.plan = model, plan
        kind = plan.input_ids.device.type
        ctx.random = torch.get_rng_state(), _device_random(plan)
        ctx.precision = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        parts: dict[int, torch.Tensor] = {}

        def keep(left: _OpenSegment) -> None:
            parts[left.segment.begin] = left.hidden

        with _nothing_recomputed(model):
            _walk(model, plan, keep)
        return torch.cat([parts[begin] for begin in sorted(parts)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, None]:
        (gradient,) = gradients

        def go_backward(left: _OpenSegment) -> None:
            ends = [(left.hidden, gradient[left.segment.begin : left.segment.end])]
            for made, kept in zip(left.made, left.kept, strict=True):
                ends += [
                    (tensor, seen.grad)
                    for tensor, seen in zip(made, kept, strict=True)
                    if seen.grad is not None
                ]
            ends = [(tensor, grad) for tensor, grad in ends if tensor.requires_grad]
            if ends:
                tensors, grads = zip(*ends, strict=True)
                torch.autograd.backward(tensors, grads)

        device = ctx.plan.input_ids.device
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=ctx.precision[0], dtype=ctx.precision[1]),
            _nothing_recomputed(ctx.model),
        ):
            # Dropout has to fall where it fell before.
            torch.set_rng_state(ctx.random[0])
            if ctx.random[1] is not None:
                torch.cuda.set_rng_state(ctx.random[1], device)
            _walk(ctx.model, ctx.plan, go_backward)
        return None, None, None


def _device_random(plan: Plan) -> torch.Tensor | None:
    device = plan.input_ids.device
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
