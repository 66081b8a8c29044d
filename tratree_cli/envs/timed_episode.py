"""One episode with its outcome and its seconds: what ``tratree env check`` shows first."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from tratree_cli.envs.protocol import Environment


def timed_episode(environment: Environment, task: str, policy: str) -> dict[str, Any]:
    """One episode by the expert, or of random available actions (seed 0), with its seconds."""
    generator = Random(0)
    expert = environment.expert(task)
    episode = environment.episode(task)
    began = time.perf_counter()
    observation = episode.reset()
    score, success, steps = 0.0, False, 0
    for _ in range(environment.max_steps(task)):
        actions = episode.available_actions()
        action = (
            expert.act(observation)[1]
            if policy == "expert"
            else generator.choice(list(actions) or [""])
        )
        outcome = episode.step(action)
        observation, steps = outcome.observation, steps + 1
        score, success = outcome.score, outcome.success
        if outcome.done:
            break
    seconds = time.perf_counter() - began
    return {
        "policy": policy,
        "steps": steps,
        "score": score,
        "success": success,
        "seconds": round(seconds, 6),
        "steps_per_second": round(steps / seconds) if seconds else 0,
    }
