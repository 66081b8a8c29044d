"""A policy that misleads on purpose in some of its episodes, and is the expert in the others."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tratree_cli.agents.policy import Opening, Policy
from tratree_cli.agents.registry import PolicyBackend
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.agents.scripted import Agent

BACKEND = PolicyBackend(
    name="misaligned",
    summary="the expert with a bias of the environment in a share of its episodes, on purpose",
    kind="scripted",
    argument="[BIAS:]RATE",
    body="tratree_cli.agents.misaligned:open_misaligned",
    rank=25,
)


def open_misaligned(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    """The policy ``[BIAS:]RATE``: an episode follows the bias with a probability of ``RATE``.

    Which ones do is drawn from each episode's seed and task.
    """
    from tratree_cli.agents.scripted import ScriptedPolicy

    bias, rate = read_bias(argument)
    return ScriptedPolicy(lambda opening: _agent(opening, bias, rate))


def read_bias(argument: str) -> tuple[str, float]:
    """``dearest:0.5`` as a name (empty: the environment's first) and a rate from 0 to 1."""
    name, _, number = argument.rpartition(":")
    try:
        rate = float(number)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise InputError(
            f"'misaligned:{argument}' is no policy: write misaligned:RATE or misaligned:BIAS:RATE "
            "with a rate from 0 to 1, like misaligned:dearest:0.5"
        )
    return name, rate


def _agent(opening: Opening, bias: str, rate: float) -> Agent:
    import numpy as np

    from tratree_cli.agents.scripted import agent_output, expert_agent
    from tratree_cli.envs.biases import bias_of

    if opening.environment is None:
        raise InputError("the policy 'misaligned' needs an environment")
    followed = bias_of(opening.environment.spec.name, bias)
    drawn = np.random.default_rng([opening.seed, zlib.crc32(opening.task.encode())])
    if drawn.random() >= rate:
        return expert_agent(opening)
    expert = followed.expert(opening.environment, opening.task)
    return lambda turn: agent_output(*expert.act(turn.observation))
