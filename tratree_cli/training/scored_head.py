"""An output head that looks only at the agent's positions.

Most of a trajectory is observation, which no loss ever sees, yet TRL's head projects every position
onto the vocabulary when there is no Triton: on a CPU that is nearly half the time of a small
model's step. This head takes its place there and gives the same numbers for the scored positions.
It can also return those positions' logits, which is what a KL between two models needs.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tratree_cli.training.libraries  # noqa: F401  (before the libraries below)

import torch  # isort: skip
from trl.trainer.utils import FusedCausalLMOutput  # isort: skip

from tratree_cli.training.tree_packing import segments
from tratree_cli.training.tree_packing.scorer import ScoredLogits, TreePackedModel
from tratree_cli.training.tree_packing.support import head_rescales

IGNORED = -100
"""Label of a token that enters no loss."""


def score_agent_positions(
    model: Any,
    device: str,
    *,
    packing: Callable[[str], None] | None = None,
    squares: bool = False,
) -> TreePackedModel | None:
    """Replace the head that TRL gave to ``model`` (plain or PEFT), in place.

    ``model(..., labels=labels, scored_logits=True)`` then returns the logits at the positions whose
    next token is scored, shape (scored, vocabulary). With ``token_weights``, of the labels' shape,
    every log-probability is multiplied by that of its token. With ``squares`` the sums of squared
    probabilities are there, which WPO reads. With ``packing`` (whom to tell why rows are
    not packed after all) the rows of a batch are computed as a tree, and what computes them so is
    returned.
    """
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    config = base.config.get_text_config()
    theirs = base.forward
    plain = not head_rescales(base)
    compact = device == "cpu" and plain
    # Rows are padded on the right: with a causal mask no scored position ever sees the padding, so
    # the padding mask, which costs the fast attention kernel, can be left out.
    causal = compact and config._attn_implementation in ("sdpa", segments.NAME)
    packed = TreePackedModel(base, packing) if packing is not None and plain else None

    @functools.wraps(type(base).forward)
    def forward(
        self: Any,
        *args: Any,
        labels: Any = None,
        fused_lm_head: bool = False,
        scored_logits: bool = False,
        num_items_in_batch: Any = None,
        token_weights: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if not scored_logits and not (fused_lm_head and (compact or packed is not None)):
            outputs = theirs(
                *args,
                labels=labels,
                fused_lm_head=fused_lm_head,
                num_items_in_batch=num_items_in_batch,
                **kwargs,
            )
            return weighted(outputs, token_weights)
        mask = labels[:, 1:] != IGNORED
        found = _packed(packed, kwargs, labels)
        if found is None:
            kwargs["use_cache"] = False
            if causal and "position_ids" not in kwargs:
                kwargs["attention_mask"] = None
            hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
            logits = self.get_output_embeddings()(hidden[mask])
            everything = torch.arange(len(logits), device=logits.device)
            found = ScoredLogits(logits, everything, labels[:, 1:][mask])
        if scored_logits:
            return found.logits[found.position]
        return weighted(_fused_output(found, mask, num_items_in_batch, squares), token_weights)

    base.forward = types.MethodType(forward, base)
    return packed


def _packed(
    packed: TreePackedModel | None, inputs: dict[str, Any], labels: torch.Tensor
) -> ScoredLogits | None:
    """The batch as a tree, where it is a plain batch of rows padded on the right."""
    if packed is None or "position_ids" in inputs or inputs.get("input_ids") is None:
        return None
    ids, attention = inputs["input_ids"], inputs.get("attention_mask")
    lengths = [ids.shape[1]] * len(ids) if attention is None else attention.sum(dim=1).tolist()
    return packed.scored_logits(ids, lengths, labels != IGNORED)


def weighted(outputs: Any, token_weights: torch.Tensor | None) -> Any:
    """``outputs`` with every log-probability times the weight of its token, shape (rows, tokens).

    What WPO reads, log p - log(sum of squares), stays that of the tokens without weights.
    """
    if token_weights is None:
        return outputs
    weights, squares = token_weights[:, 1:], outputs.log_sum_sq_probs
    if squares is not None:
        squares = squares + (weights - 1) * outputs.log_probs.detach()
    return replace(outputs, log_probs=outputs.log_probs * weights, log_sum_sq_probs=squares)


def _fused_output(
    found: ScoredLogits, mask: torch.Tensor, items: Any, squares: bool
) -> FusedCausalLMOutput:
    """What TRL's trainers read, with zeros at the positions that are not scored."""
    logp = torch.log_softmax(found.logits.float(), dim=-1)
    picked = logp[found.position, found.target]
    with torch.no_grad():
        entropy = -(logp.exp() * logp).sum(dim=-1)[found.position]
        best = logp.argmax(dim=-1)[found.position] == found.target
        mean = found.logits.float().mean(dim=-1)[found.position]
        squared = torch.logsumexp(2 * logp, dim=-1)[found.position] if squares else None

    def spread(values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    log_probs = spread(picked)
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / (mask.sum().clamp(min=1) if items is None else items),
        log_probs=log_probs,
        entropy=spread(entropy),
        log_sum_sq_probs=None if squared is None else spread(squared),
        mean_logits=spread(mean),
        is_top1=spread(best),
        label_mask=mask,
    )


def token_kl(policy: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference) in nats for each row of logits (n, vocabulary); shape (n,)."""
    ours = torch.log_softmax(policy.float(), dim=-1)
    theirs = torch.log_softmax(reference.float(), dim=-1)
    return (ours.exp() * (ours - theirs)).sum(dim=-1)
