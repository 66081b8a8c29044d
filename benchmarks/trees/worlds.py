"""Explorations to measure on: a policy that repeats itself, in a deterministic world.

At every step the policy takes its favourite action with probability ``focus`` and one of the other
``actions`` else, so trajectories share beginnings as real explorations do. An observation is named
by the history that led to it.
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.columns import Columns


def explorations(
    tasks: int, samples: int, steps: int, *, focus: float = 0.7, actions: int = 8, seed: int = 0
) -> Columns:
    """``tasks × samples`` trajectories of ``steps`` steps each."""
    generator = np.random.default_rng(seed)
    count = tasks * samples
    task = np.repeat(np.arange(tasks, dtype=np.int32), samples)
    favourite = generator.integers(0, actions, size=(tasks, steps))
    choice = generator.integers(0, actions, size=(count, steps))
    follows = generator.random((count, steps)) < focus
    action = np.where(follows, favourite[task], choice).astype(np.int64)
    # A history's number: hashed forward, so that equal beginnings see equal observations.
    observation = np.empty((count, steps), dtype=np.int64)
    state = task.astype(np.uint64)
    with np.errstate(over="ignore"):
        for step in range(steps):
            observation[:, step] = state >> np.uint64(34)
            state = (state + action[:, step].astype(np.uint64) + np.uint64(1)) * np.uint64(
                0x9E3779B97F4A7C15
            )
    score = generator.integers(0, 5, size=count) / 4.0
    flat = action.reshape(-1).astype(np.int32)
    return Columns(
        tasks=tuple(f"task-{number}" for number in range(tasks)),
        task=task,
        offsets=np.arange(count + 1, dtype=np.int64) * steps,
        observations=observation.reshape(-1).astype(np.int32),
        thoughts=np.full(len(flat), -1, dtype=np.int32),
        actions=flat,
        outputs=flat,
        score=score,
        success=score == 1.0,
        end=np.zeros(count, dtype=np.int8),
        counted=np.ones(count, dtype=np.bool_),
    )
