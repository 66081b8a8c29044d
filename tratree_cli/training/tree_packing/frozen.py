"""Log-probabilities of rows under a model that is not trained: by trees, or else row by row.

Rows are laid out as tries of bounded size. Only positions whose next token is scored meet the
output head, each distinct one once and some at a time, so memory does not grow with the
observations between the agent's words. Models whose head does more than a projection give all
logits of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tratree_cli.training.params import Sharing
from tratree_cli.training.tree_packing import segments
from tratree_cli.training.tree_packing.forward import ScoredTokens, packed_states, scored_tokens
from tratree_cli.training.tree_packing.scorer import differs, given_up
from tratree_cli.training.tree_packing.support import head_rescales, why_not_packed
from tratree_cli.training.tree_packing.trie import TokenTrie, build_tries, repeated_tokens

TOKENS = 8192
"""Distinct tokens of a forward pass; a longer row has a pass of its own."""
LOGITS = 1 << 26
"""Logits in memory at once (256 MiB in float32): vocabularies reach 150,000 words."""


@dataclass(frozen=True)
class Piece:
    """Rows that are computed together: their trie, and where their scored tokens lie in it.

    ``rows`` are their places in what was handed in; ``where.entries`` follows them.
    """

    trie: TokenTrie
    where: ScoredTokens
    rows: tuple[int, ...]

    def times(self) -> torch.Tensor:
        """How many scored tokens of the rows follow each of ``where.parents``; shape (L,)."""
        parents = self.where.parent_of[torch.cat(self.where.entries)]
        return torch.bincount(parents, minlength=len(self.where.parents))


def pieces(
    rows: Sequence[Sequence[int]], masks: Sequence[Sequence[int]], tokens: int = TOKENS
) -> list[Piece]:
    """The rows as tries of ``tokens`` nodes, or of the longest row's where that is more."""
    budget = max(tokens, max(map(len, rows), default=0))
    return [
        Piece(trie, scored_tokens([trie], (0,), masks, torch.device("cpu")), (*sorted(trie.rows),))
        for trie in build_tries(rows, budget)
    ]


def sharing_of(rows: Sequence[Sequence[int]], cut: Sequence[Piece]) -> Sharing:
    """What rows share in their pieces (``pieces``)."""
    tries = [piece.trie for piece in cut]
    flat, unique = sum(map(len, rows)), sum(map(len, tries))
    return Sharing(flat, unique, repeated_tokens(rows, tries))


class FrozenModel:
    """A causal language model without wrapper, for as long as it scores (a context manager).

    ``batch`` rows meet in a forward pass where they are not packed; ``remark`` says why.
    """

    def __init__(self, model: Any, batch: int = 8, packing: bool = True) -> None:
        self.model = model
        self.batch = batch
        self.remark = ""
        self._rescales = head_rescales(model)
        reason = why_not_packed(model)
        if packing and reason:
            self.remark = given_up(reason)
        self._packing = packing and not reason
        self._checked: set[int] = set()
        self._before = model.config._attn_implementation
        self._device = model.get_input_embeddings().weight.device

    def __enter__(self) -> FrozenModel:
        if self._packing:
            segments.register()
            self.model.set_attn_implementation(segments.NAME)
        return self

    def __exit__(self, *_: object) -> None:
        if self._packing:
            self.model.set_attn_implementation(self._before)

    @property
    def packing(self) -> bool:
        """Whether what rows share is computed once; it may end with the first piece."""
        return self._packing

    @property
    def vocabulary(self) -> int:
        return int(self.model.config.get_text_config().vocab_size)

    @property
    def tokens(self) -> int:
        """Tokens that a piece may have."""
        # A head that rescales leaves the logits of a whole piece, not its hidden states.
        return min(TOKENS, max(1, LOGITS // self.vocabulary)) if self._rescales else TOKENS

    @torch.no_grad()
    def log_probs(self, piece: Piece) -> torch.Tensor:
        """Log-probabilities (nats, float32, on the CPU) of a piece's distinct scored tokens."""
        at_once = max(1, LOGITS // self.vocabulary)
        found = torch.zeros(len(piece.where.targets))
        begin = 0
        for logp in self.distributions(piece, at_once):
            end = begin + len(logp)
            mine = (piece.where.parent_of >= begin) & (piece.where.parent_of < end)
            here = (piece.where.parent_of[mine] - begin).to(logp.device)
            found[mine] = logp[here, piece.where.targets[mine].to(logp.device)].cpu()
            begin = end
        return found

    @torch.no_grad()
    def distributions(self, piece: Piece, at_once: int) -> Iterator[torch.Tensor]:
        """Log-probabilities of all words at ``where.parents``: ``[at_once, vocabulary]`` each."""
        states = self._states(piece)
        for part in states.split(at_once):
            logits = part if self._rescales else self.model.get_output_embeddings()(part)
            yield torch.log_softmax(logits.float(), dim=-1)

    def _states(self, piece: Piece) -> torch.Tensor:
        """Hidden states at ``where.parents``: ``[L, width]``; logits where the head rescales."""
        if self._packing:
            plan = segments.plan([piece.trie], self._device)
            states = packed_states(self.model, plan)[piece.where.parents.to(self._device)]
            if self._agrees(piece, states):
                return states
        return self._states_by_rows(piece)

    def _states_by_rows(self, piece: Piece) -> torch.Tensor:
        parents = piece.where.parents.numpy()
        found: torch.Tensor | None = None
        order = sorted(piece.trie.paths, key=len)
        for start in range(0, len(order), self.batch):
            paths = order[start : start + self.batch]
            for path, states in zip(paths, self._batch(piece.trie, paths), strict=True):
                at = np.minimum(np.searchsorted(path, parents), len(path) - 1)
                mine = np.flatnonzero(path[at] == parents)
                if found is None:
                    found = states.new_empty((len(parents), states.shape[-1]))
                found[torch.from_numpy(mine).to(found.device)] = states[
                    torch.from_numpy(at[mine]).to(states.device)
                ]
        assert found is not None, "a piece has rows"
        return found

    def _batch(self, trie: TokenTrie, paths: Sequence[np.ndarray]) -> torch.Tensor:
        """Hidden states (or logits) of rows padded on the right: ``[rows, longest, width]``."""
        width = max(map(len, paths))
        ids = torch.zeros((len(paths), width), dtype=torch.int64)
        attention = torch.zeros_like(ids)
        for number, path in enumerate(paths):
            ids[number, : len(path)] = torch.from_numpy(trie.tokens[path])
            attention[number, : len(path)] = 1
        inputs = {
            "input_ids": ids.to(self._device),
            "attention_mask": attention.to(self._device),
            "use_cache": False,
        }
        if self._rescales:
            logits: torch.Tensor = self.model(**inputs).logits
            return logits
        states: torch.Tensor = self.model.base_model(**inputs).last_hidden_state
        return states

    def _agrees(self, piece: Piece, states: torch.Tensor) -> bool:
        """Whether a row computed plainly gives the same, the first time a size is met."""
        size = len(piece.trie).bit_length()
        if size in self._checked:
            return True
        self._checked.add(size)
        row = max(range(len(piece.rows)), key=lambda number: len(piece.where.entries[number]))
        entry, path = piece.where.entries[row], _path(piece, row)
        parents = piece.where.parent_of[entry].to(states.device)
        logits = self.model.get_output_embeddings()(states[parents]).float()
        target = piece.where.targets[entry].to(states.device)
        packed = torch.log_softmax(logits, dim=-1).gather(1, target[:, None])[:, 0]
        scored = np.isin(path, piece.where.parents[piece.where.parent_of[entry]].numpy())
        mask = [0, *scored[:-1].astype(int).tolist()]
        reason = differs(self.model, piece.trie.tokens[path].tolist(), mask, packed)
        if reason:
            self.__exit__()
            self._packing, self.remark = False, given_up(reason)
        return not reason


def summed_log_probs(
    model: FrozenModel,
    piece: Piece,
    into: np.ndarray[Any, np.dtype[np.float32]],
    turns: Sequence[Sequence[int]] = (),
) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Write each row's sum over its scored tokens (nats) into its place of ``into``, (rows,).

    With ``turns``, the numbers of scored tokens of each row's turns, ``into`` is (2, rows): the
    second sum is over the first turn. Then the sums over all single turns of the piece's rows are
    returned, in their order.
    """
    single: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    logp = model.log_probs(piece).double()
    for row, entry in zip(piece.rows, piece.where.entries, strict=True):
        whole = float(logp[entry].sum())
        if turns:
            single.append(
                np.array([float(turn.sum()) for turn in logp[entry].split(list(turns[row]))])
            )
            into[:, row] = whole, single[-1][0] if len(single[-1]) else 0.0
        else:
            into[row] = whole
    return single


def _path(piece: Piece, number: int) -> np.ndarray:
    """The nodes of the row at ``piece.rows[number]``."""
    return piece.trie.paths[piece.trie.rows.index(piece.rows[number])]
