"""Biases of a scripted policy that misleads on purpose, as an environment declares them.

A weak model may be wrong in a way that its student should not learn (the paper's own limitation).
To study that, an environment's package has a submodule ``misaligned`` with ``BIASES``, a sequence
of ``Bias``; the policy ``misaligned:BIAS:RATE`` plays them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tratree_cli.envs.protocol import Environment, Expert
from tratree_cli.envs.registry import find_plugin
from tratree_cli.errors import InputError, did_you_mean

Follows: TypeAlias = Callable[[Sequence[str], Sequence[str]], bool | None]
"""``follows(observations, actions)``: whether an episode did what the bias would do; None where it
had no occasion to (nothing was bought). Observation i precedes action i; an action that could not
be read is empty."""


@dataclass(frozen=True)
class Bias:
    """``expert(environment, task)`` plays one episode; ``summary`` says what it does wrong."""

    name: str
    summary: str
    expert: Callable[[Environment, str], Expert]
    follows: Follows


def biases(environment: str) -> Sequence[Bias]:
    """Those that the environment of this name declares; none for one that is not installed."""
    registered = find_plugin(environment) if environment else None
    module = registered.submodule("misaligned") if registered is not None else None
    declared: Sequence[Bias] = getattr(module, "BIASES", ())
    return declared


def bias_of(environment: str, name: str) -> Bias:
    """The bias of this name; the first one that the environment declares for an empty name.

    Raises InputError where there is none.
    """
    declared = {bias.name: bias for bias in biases(environment)}
    if not declared:
        raise InputError(
            f"{environment} declares no bias, so the policy 'misaligned' cannot play it; "
            "webshop and alfworld do"
        )
    chosen = name or next(iter(declared))
    if chosen not in declared:
        raise InputError(
            f"{environment} has no bias '{chosen}'{did_you_mean(chosen, declared)}; "
            f"it has {', '.join(declared)}"
        )
    return declared[chosen]
