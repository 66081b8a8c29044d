"""Merging observations that are similar but not equal (paper, section 3.2: ξ_sim).

Inside one (parent, action) the distinct observations are taken in insertion order; each joins the
most similar representative that reaches the threshold, else becomes a representative itself. A
text's representative is fixed when it first appears, so equal strings always merge. Only
observations that compete inside one group are ever embedded, each once: in a deterministic
environment, none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.group_steps import StepGroups

Similarity: TypeAlias = Callable[[IntArray], FloatArray]
"""Text numbers ``[n]`` to unit vectors ``[n, d]`` whose inner products are the similarities."""
Guard: TypeAlias = Callable[[IntArray], IntArray]
"""Text numbers ``[n]`` to classes ``[n]``; texts of different classes never merge."""


class Merger:
    """Applies one threshold; caches vectors and classes, so that each text is embedded once."""

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

    def merge(self, groups: StepGroups) -> tuple[StepGroups, int]:
        """Join similar groups; return them with how many steps joined by similarity."""
        # Only siblings (the groups of one parent) that saw different texts can merge.
        any_observation = np.zeros(int(groups.parent.max(initial=-1)) + 1, dtype=np.int64)
        any_observation[groups.parent] = groups.observation
        differs = np.zeros(len(any_observation), dtype=np.bool_)
        differs[groups.parent[groups.observation != any_observation[groups.parent]]] = True
        candidates = np.flatnonzero(differs[groups.parent])
        if not len(candidates):
            return groups, 0
        candidates = candidates[np.lexsort((groups.first[candidates], groups.parent[candidates]))]
        sibling_sets = np.split(candidates, np.flatnonzero(np.diff(groups.parent[candidates])) + 1)
        self._learn(groups.observation[candidates])
        leader = np.arange(len(groups.parent))
        for siblings in sibling_sets:
            by_action: dict[int, list[int]] = {}
            for group in siblings.tolist():
                by_action.setdefault(int(groups.action[group]), []).append(group)
            for same_action in by_action.values():
                self._assign(same_action, groups.observation, leader)
        state = groups.state.copy()
        for siblings in sibling_sets:
            leading = [group for group in siblings.tolist() if leader[group] == group]
            self._assign(leading, groups.observation, state)
        return _joined(groups, leader, state)

    def leaders(self, texts: list[int]) -> dict[int, int]:
        """Distinct texts in insertion order, each with the text that it counts as."""
        observation = np.array(texts, dtype=np.int64)
        leader = np.arange(len(texts))
        if len(texts) > 1:
            self._learn(observation)
            self._assign(list(range(len(texts))), observation, leader)
        return dict(zip(texts, observation[leader].tolist(), strict=True))

    def _assign(self, members: list[int], observation: IntArray, leader: IntArray) -> None:
        """Give each group of ``members`` (in insertion order) its leader."""
        leaders: list[int] = []
        settled: dict[int, int] = {}
        for group in members:
            text = int(observation[group])
            nearest = settled.get(text)
            if nearest is None:
                nearest = self._nearest(text, leaders, observation)
            if nearest is None:
                nearest = group
                leaders.append(group)
            settled[text] = leader[group] = nearest

    def _nearest(self, text: int, leaders: list[int], observation: IntArray) -> int | None:
        own_class = self._classes.get(text)
        allowed = [g for g in leaders if self._classes.get(int(observation[g])) == own_class]
        if not allowed:
            return None
        vectors = np.stack([self._vectors[int(observation[group])] for group in allowed])
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


def _joined(groups: StepGroups, leader: IntArray, state: IntArray) -> tuple[StepGroups, int]:
    """The groups that lead, with the rows of those that follow them."""
    leads = leader == np.arange(len(leader))
    new = np.cumsum(leads) - 1
    merged = replace(
        groups,
        parent=groups.parent[leads],
        action=groups.action[leads],
        observation=groups.observation[leads],
        first=groups.first[leads],
        size=np.bincount(new[leader], weights=groups.size).astype(np.int64),
        state=new[leader[state[leads]]],
        group_of_row=new[leader[groups.group_of_row]],
    )
    return merged, int(groups.size[~leads].sum())
