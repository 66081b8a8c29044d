"""The packed computation beside a model: the scored positions of right-padded rows, checked.

A trainer hands in the rows of a batch as it always does; what comes back is what its head would
give at the scored positions, in their order. At the first use of each size of input one row is
computed plainly as well; where the two do not agree the model goes back to rows, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tratree_cli.training.tree_packing import segments
from tratree_cli.training.tree_packing.forward import packed_logits, scored_tokens
from tratree_cli.training.tree_packing.support import why_not_packed
from tratree_cli.training.tree_packing.trie import TokenTrie, build_tries

TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 0.25, torch.float16: 0.05}
"""Nats by which a token's log-probability may differ between the two computations."""
WORTH_IT = 1.5
"""Flat over distinct tokens from which ``auto`` packs: below, short branches of a small
model cost what is saved."""


@dataclass(frozen=True)
class ScoredLogits:
    """Logits of a batch's scored positions, each distinct position once.

    ``logits[L, vocabulary]``; ``position[n]`` and ``target[n]`` say for each scored token, row by
    row in order, whose logits it has and which token it is.
    """

    logits: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor


@dataclass
class TreePackedModel:
    """Packs what ``model`` (a causal language model without wrapper) is given.

    ``warn`` is told once, in a sentence, when rows have to be computed one by one.
    """

    model: Any
    warn: Callable[[str], None]
    active: bool = True
    _checked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        reason = why_not_packed(self.model)
        if reason:
            self._give_up(reason)
            return
        segments.register()
        self.model.set_attn_implementation(segments.NAME)

    def scored_logits(
        self, input_ids: torch.Tensor, lengths: Sequence[int], scored: torch.Tensor
    ) -> ScoredLogits | None:
        """Logits at the positions whose next token is scored; None: compute by rows.

        ``input_ids[B, T]`` is padded on the right to ``lengths``; ``scored[B, T]`` is true at the
        scored tokens.
        """
        if not self.active:
            return None
        rows = [row[:length] for row, length in zip(input_ids.tolist(), lengths, strict=True)]
        masks = [row[:length] for row, length in zip(scored.tolist(), lengths, strict=True)]
        tries = build_tries(rows)
        if not self._agrees(tries, rows, masks):
            return None
        return self._packed(tries, masks)

    def _packed(self, tries: Sequence[TokenTrie], masks: Sequence[Sequence[int]]) -> ScoredLogits:
        device = self.model.get_input_embeddings().weight.device
        plan = segments.plan(tries, device)
        where = scored_tokens(tries, plan.offsets, masks, device)
        logits = packed_logits(self.model, plan, where.parents)
        entries = torch.cat(where.entries)
        return ScoredLogits(logits, where.parent_of[entries], where.targets[entries])

    def _agrees(
        self,
        tries: Sequence[TokenTrie],
        rows: Sequence[Sequence[int]],
        masks: Sequence[Sequence[int]],
    ) -> bool:
        """Whether a row computed plainly gives the same, the first time a size is met."""
        size = sum(map(len, tries)).bit_length()
        if size in self._checked:
            return True
        row = max(range(len(rows)), key=lambda number: (sum(masks[number][1:]), -len(rows[number])))
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            packed = self._packed(tries, masks)
            begin = sum(sum(mask[1:]) for mask in masks[:row])
            mine = slice(begin, begin + sum(masks[row][1:]))
            logp = torch.log_softmax(packed.logits[packed.position[mine]].float(), dim=-1)
            picked = logp.gather(1, packed.target[mine, None])[:, 0]
            difference = differs(self.model, rows[row], masks[row], picked)
        self.model.train(training)
        if difference:
            self._give_up(difference)
            return False
        self._checked.add(size)
        return True

    def _give_up(self, reason: str) -> None:
        self.active = False
        self.warn(given_up(reason))


def differs(model: Any, row: Sequence[int], mask: Sequence[int], packed: torch.Tensor) -> str:
    """In what the packed log-probabilities of a row's scored tokens differ from the plain ones.

    Empty where they agree; ``model`` is in evaluation mode and keeps no gradients.
    """
    ids = torch.tensor([list(row)], device=packed.device)
    # Not by way of the model's own attribute: what accelerate wraps it in keeps its precision when
    # it is entered a second time from within.
    plain = type(model).forward(model, input_ids=ids, use_cache=False).logits[0, :-1]
    plain = plain[torch.tensor(mask[1:], device=plain.device).bool()].float()
    target = ids[0, 1:, None][torch.tensor(mask[1:], device=ids.device).bool()]
    wanted = torch.log_softmax(plain, dim=-1).gather(1, target)[:, 0]
    if not len(wanted):
        return ""
    difference = (packed - wanted).abs().max().item()
    kind = packed.device.type
    computed = model.get_input_embeddings().weight.dtype
    if torch.is_autocast_enabled(kind):
        computed = torch.get_autocast_dtype(kind)
    if difference <= TOLERANCE.get(computed, 0.25):
        return ""
    return f"a packed token differs by {difference:.2g} nats from the plain computation"


def given_up(reason: str) -> str:
    """The sentence that says that a model is not packed."""
    return f"tree packing is off for this model: {reason}; rows are computed one by one"
