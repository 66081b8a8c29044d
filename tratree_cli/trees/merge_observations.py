"""Merging observations that are similar but not equal (paper, section 3.2: ξ_sim).

Inside one (parent, action) the distinct observations are taken in insertion order; each joins the
most similar representative that reaches the threshold, else becomes a representative itself. A
text's place is settled when it first appears, so equal strings always merge. Only observations
that compete inside one group are ever embedded, each once: in a deterministic environment, none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.group_steps import Cells

Similarity: TypeAlias = Callable[[IntArray], FloatArray]
"""Text numbers ``[n]`` to unit vectors ``[n, d]`` whose inner products are the similarities."""
Guard: TypeAlias = Callable[[IntArray], IntArray]
"""Text numbers ``[n]`` to classes ``[n]``; texts of different classes never merge."""


class Merger:
    """Applies one threshold; remembers vectors and classes, so that each text is asked for once."""

    def __init__(self, threshold: float, similarity: Similarity, guard: Guard | None) -> None:
        self.threshold = threshold
        self._similarity = similarity
        self._guard = guard
        self._vectors: dict[int, FloatArray] = {}
        self._classes: dict[int, int] = {}

    @property
    def embedded(self) -> int:
        """How many distinct texts were sent to the similarity function."""
        return len(self._vectors)

    def merge(self, cells: Cells) -> tuple[Cells, int]:
        """Join similar cells; return them with how many steps joined by similarity."""
        # A family (the cells of one parent) is contested where it has seen different texts.
        some = np.zeros(int(cells.parent.max(initial=-1)) + 1, dtype=np.int64)
        some[cells.parent] = cells.observation
        differs = np.zeros(len(some), dtype=np.bool_)
        differs[cells.parent[cells.observation != some[cells.parent]]] = True
        rivals = np.flatnonzero(differs[cells.parent])
        if not len(rivals):
            return cells, 0
        rivals = rivals[np.lexsort((cells.first[rivals], cells.parent[rivals]))]
        contested = np.split(rivals, np.flatnonzero(np.diff(cells.parent[rivals])) + 1)
        self._learn(np.concatenate([cells.observation[f] for f in contested]))
        leader = np.arange(len(cells.parent))
        for family in contested:
            by_action: dict[int, list[int]] = {}
            for cell in family.tolist():
                by_action.setdefault(int(cells.action[cell]), []).append(cell)
            for group in by_action.values():
                self._assign(group, cells.observation, leader)
        state = cells.state.copy()
        for family in contested:
            self._assign([c for c in family.tolist() if leader[c] == c], cells.observation, state)
        return _joined(cells, leader, state)

    def _assign(self, group: list[int], observation: IntArray, leader: IntArray) -> None:
        """Give each cell of ``group`` (in insertion order) its leader."""
        leaders: list[int] = []
        settled: dict[int, int] = {}
        for cell in group:
            text = int(observation[cell])
            found = settled.get(text)
            if found is None:
                found = self._nearest(text, leaders, observation)
            if found is None:
                found = cell
                leaders.append(cell)
            settled[text] = leader[cell] = found

    def _nearest(self, text: int, leaders: list[int], observation: IntArray) -> int | None:
        allowed = [
            cell
            for cell in leaders
            if self._classes.get(int(observation[cell])) == self._classes.get(text)
        ]
        if not allowed:
            return None
        vectors = np.stack([self._vectors[int(observation[cell])] for cell in allowed])
        # Rounding may lift a cosine above 1; no threshold above 1 is ever reached.
        cosines = np.minimum(vectors @ self._vectors[text], 1.0)
        best = int(np.argmax(cosines))
        return allowed[best] if cosines[best] >= self.threshold else None

    def _learn(self, texts: IntArray) -> None:
        """Fetch the vectors and classes of texts not seen before, in one batch."""
        new = [text for text in dict.fromkeys(texts.tolist()) if text not in self._vectors]
        if not new:
            return
        numbers = np.array(new, dtype=np.int64)
        self._vectors.update(zip(new, self._similarity(numbers), strict=True))
        if self._guard is not None:
            self._classes.update(zip(new, self._guard(numbers).tolist(), strict=True))


def _joined(cells: Cells, leader: IntArray, state: IntArray) -> tuple[Cells, int]:
    """The cells that lead, with the rows of those that follow them."""
    leads = leader == np.arange(len(leader))
    new = np.cumsum(leads) - 1
    merged = replace(
        cells,
        parent=cells.parent[leads],
        action=cells.action[leads],
        observation=cells.observation[leads],
        first=cells.first[leads],
        size=np.bincount(new[leader], weights=cells.size).astype(np.int64),
        state=new[leader[state[leads]]],
        cell_of_row=new[leader[cells.cell_of_row]],
    )
    return merged, int(cells.size[~leads].sum())
