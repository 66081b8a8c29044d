"""Random trajectory sets for the properties: small alphabets, so that prefixes collide."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tratree_cli.trees.columns import Columns, columns_from_lists

SCORES = (0.0, 0.25, 0.5, 1.0)
TEXTS = 12
VECTORS = np.random.default_rng(3).normal(size=(TEXTS, 3))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def similarity(numbers: np.ndarray) -> np.ndarray:
    """Unit vectors of the texts; three dimensions make many of them similar."""
    return VECTORS[numbers]


def cosine(one: int, other: int) -> float:
    return min(1.0, float((VECTORS[one][None] @ VECTORS[other])[0]))


@st.composite
def trajectory_sets(
    draw: st.DrawFn, deterministic: bool = False, max_trajectories: int = 14
) -> Columns:
    """Up to three tasks; observations follow from the actions, or are drawn at random."""
    count = draw(st.integers(0, max_trajectories))
    tasks, steps, scores = [], [], []
    for _ in range(count):
        tasks.append(f"task-{draw(st.integers(0, 2))}")
        actions = draw(st.lists(st.integers(-1, 2), max_size=6))
        if deterministic:
            observations, state = [], 0
            for action in actions:
                observations.append(state)
                state = (state * 5 + action + 2) % TEXTS
        else:
            observations = draw(
                st.lists(st.integers(0, TEXTS - 1), min_size=len(actions), max_size=len(actions))
            )
        steps.append(list(zip(observations, actions, strict=True)))
        scores.append(draw(st.sampled_from((None, *SCORES))))
    return columns_from_lists(tasks, steps, scores)
