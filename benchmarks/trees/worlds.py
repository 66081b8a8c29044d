"""Explorations to measure on: a policy that repeats itself, in a deterministic world.

At every step the policy takes its favourite action with probability ``focus`` and one of the other
``actions`` else, so trajectories share beginnings as real explorations do. An observation is named
by the history that led to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tratree_cli.formats.rollouts import (
    TRAJECTORIES,
    Rollouts,
    TextTable,
    write_head,
    write_jsonl,
)
from tratree_cli.trees.columns import Columns

_ROOM = (
    "There is a lamp on the table, a bowl on the shelf, a chair by the window. A drawer is open "
    "and holds two pens, a key and a letter. The door to the north is closed, the one to the east "
    "leads to a hall. You carry nothing. What do you do now?"
)


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
        valid=np.ones(len(flat), dtype=np.bool_),
        score=score,
        success=score == 1.0,
        end=np.zeros(count, dtype=np.int8),
        counted=np.ones(count, dtype=np.bool_),
    )


def write_explorations(folder: Path, tasks: int, samples: int, steps: int, tokens: int = 24) -> int:
    """Explorations as a rollouts artifact, with words and token ids; returns the number of steps.

    A thousand tasks are made at a time, so that the size of the whole costs no memory but for the
    texts.
    """
    texts = TextTable(f"Thought: I try {i}.\nAction: go to place {i}" for i in range(8))
    actions = [texts.intern(f"go to place {i}") for i in range(8)]
    thoughts = [texts.intern(f"I try {i}.") for i in range(8)]

    def records() -> Iterator[dict[str, object]]:
        for start in range(0, tasks, 1000):
            columns = explorations(min(1000, tasks - start), samples, steps, seed=start)
            offsets, scores = columns.offsets.tolist(), columns.score.tolist()
            seen, place = np.unique(columns.observations, return_inverse=True)
            rooms = [
                texts.intern(
                    f"You are in room {start}-{name}. " + _ROOM[name % 80 : name % 80 + 180]
                )
                for name in seen.tolist()
            ]
            observed = [rooms[i] for i in place.reshape(-1).tolist()]
            chosen = columns.actions.tolist()
            for t, score in enumerate(scores):
                task = f"task-{start + int(columns.task[t])}"
                done = chosen[offsets[t] : offsets[t + 1]]
                before = observed[offsets[t] : offsets[t + 1]]
                yield {
                    "task": task,
                    "sample": t % samples,
                    "setting": 0,
                    "source": 0,
                    "seed": t,
                    "instruction": texts.intern(f"Bring the lamp of {task} to its place."),
                    "observations": [*before, before[-1]],
                    "outputs": done,
                    "thoughts": [thoughts[i] for i in done],
                    "actions": [actions[i] for i in done],
                    "scores": [0.0] * (steps - 1) + [score],
                    "valid": [True] * steps,
                    "score": score,
                    "success": score == 1.0,
                    "end": "done",
                    "tokens": [
                        [(7919 * (t + i) + 104729 * n) % 4096 for n in range(tokens)]
                        for i in range(steps)
                    ],
                }

    count = write_jsonl(folder / TRAJECTORIES, records())
    environment = {"name": "rooms", "data": "", "data_digest": "0" * 64, "parameters": {}}
    head = Rollouts(texts, (), [{"temperature": 1.0}], ["model:made"], environment, "train")
    write_head(head, count, folder)
    return count * steps
