"""One forward pass over tries, read off by rows.

A token's log-probability depends on its node alone: the logits are its parent's, so they are
computed once for each distinct parent, however many children and rows it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tratree_cli.training.tree_packing import depth_first, segments
from tratree_cli.training.tree_packing.trie import TokenTrie


@dataclass(frozen=True)
class ScoredTokens:
    """Where the scored tokens of all rows lie in the packed batch.

    ``parents[L]`` are the distinct positions whose logits are needed,
    ``targets[S]`` the distinct scored tokens' ids and ``parent_of[S]`` their places in
    ``parents``; ``entries[i]`` says for every scored token of row i, in its order, which of the S
    it is.
    """

    parents: torch.Tensor
    targets: torch.Tensor
    parent_of: torch.Tensor
    entries: tuple[torch.Tensor, ...]


def scored_tokens(
    tries: Sequence[TokenTrie],
    offsets: Sequence[int],
    scored: Sequence[Sequence[int]],
    device: torch.device,
) -> ScoredTokens:
    """The scored tokens of tries whose first nodes lie at ``offsets`` of the packed batch.

    ``scored[i]`` is row i's 0/1 mask over its tokens; the first token of a row has no parent.
    """
    children: list[np.ndarray] = []
    parents: list[np.ndarray] = []
    tokens: list[np.ndarray] = []
    placed: list[tuple[int, np.ndarray]] = []
    for offset, trie in zip(offsets, tries, strict=True):
        for row, path in zip(trie.rows, trie.paths, strict=True):
            chosen = path[np.flatnonzero(np.asarray(scored[row])[1:]) + 1]
            placed.append((row, chosen + offset))
            children.append(chosen + offset)
            parents.append(trie.parent[chosen] + offset)
            tokens.append(trie.tokens[chosen])
    child, first = np.unique(np.concatenate(children), return_index=True)
    parent, parent_of = np.unique(np.concatenate(parents)[first], return_inverse=True)
    entries: dict[int, torch.Tensor] = {
        row: torch.from_numpy(np.searchsorted(child, nodes)).to(device) for row, nodes in placed
    }
    return ScoredTokens(
        torch.from_numpy(parent).to(device),
        torch.from_numpy(np.concatenate(tokens)[first]).to(device),
        torch.from_numpy(parent_of).to(device),
        tuple(entries[row] for row in sorted(entries)),
    )


def packed_logits(model: Any, plan: segments.Plan, positions: torch.Tensor) -> torch.Tensor:
    """Logits ``[L, vocabulary]`` at ``positions`` of one packed forward pass.

    ``model`` is the causal language model itself (no PEFT wrapper), set to ``segments.NAME``.
    """
    return model.get_output_embeddings()(packed_states(model, plan)[positions])


def packed_states(model: Any, plan: segments.Plan) -> torch.Tensor:
    """What the output head of ``model`` is given: ``[N, width]``, of one packed forward pass."""
    if torch.is_grad_enabled() and depth_first.saves_memory(plan):
        return depth_first.states(model, plan)
    return segments.hidden_states(model, plan.input_ids, plan.position_ids, plan)


def row_log_probs(
    model: Any,
    tries: Sequence[TokenTrie],
    scored: Sequence[Sequence[int]],
) -> list[torch.Tensor]:
    """The log-probabilities (nats) of each row's scored tokens, in the rows' order."""
    device = model.get_input_embeddings().weight.device
    plan = segments.plan(tries, device)
    where = scored_tokens(tries, plan.offsets, scored, device)
    logits = packed_logits(model, plan, where.parents).float()
    logp = torch.log_softmax(logits, dim=-1)[where.parent_of, where.targets]
    return [logp[entry] for entry in where.entries]
