"""Policy backends by name (entry points of the group ``tratree.policies``), and opening a policy.

A policy is referred to by its backend's name, with an argument after a colon where it takes one
(``expert``, ``openai:URL#model``); what names no backend is a model's folder or hub name, which the
engine plays. The protocol is ``agents.policy``; the backends import it and never this module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tratree_cli.agents.policy import Policy
from tratree_cli.errors import InputError
from tratree_cli.registry import UNRANKED, Registry

LOCAL = "local"
"""The engine that plays models unless another one is named (``explore.backend``)."""

Open: TypeAlias = Callable[[str, Mapping[str, Any], int], Policy]
"""``open(argument, options, batch)``: the policy that ``argument`` names, for ``batch``
conversations at once; ``InputError`` for a bad argument. ``options`` are ``max_new_tokens`` for
served policies, with ``extra_body`` where it is set; ``max_new_tokens``, ``max_context`` and
``device`` for engines, with ``chat_template_kwargs`` where the model has some; none for scripted
ones."""


@dataclass(frozen=True)
class PolicyBackend:
    """``body`` is ``module:function`` of an ``Open``, imported only where a policy plays.

    ``scripted`` backends play by themselves. ``served`` ones reach a model by the address in
    ``NAME:ADDRESS#MODEL``; a recipe names it ``NAME:MODEL``, wherever it is served. ``engine``
    backends play a model's folder.
    """

    name: str
    summary: str
    """One sentence for the documentation."""
    kind: Literal["scripted", "served", "engine"]
    body: str
    argument: str = ""
    """How its argument is written after the colon; empty where it takes none."""
    external: bool = False
    """Whether its episodes cannot be made again here: a server's, a person's, unkeyed code's."""
    interactive: bool = False
    """Whether a person plays at the terminal: one episode after the other, in one process."""
    version: int = 1
    """Raised when it plays other episodes than before with equal seeds and settings."""
    rank: int = UNRANKED

    @property
    def form(self) -> str:
        """How a person refers to it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    def load(self) -> Open:
        module, _, function = self.body.partition(":")
        opener: Open = getattr(importlib.import_module(module), function)
        return opener


POLICIES = Registry("tratree.policies", "policy backend", PolicyBackend)


def backend_of(reference: str) -> PolicyBackend | None:
    """The backend that a reference names; None for a model."""
    name, colon, _ = reference.partition(":")
    if name not in POLICIES:
        return None
    backend = POLICIES.get(name)
    return backend if bool(backend.argument) == bool(colon) else None


def engine_backend(name: str) -> PolicyBackend:
    """The engine of this name; ``InputError`` where there is none."""
    engines = [backend.name for backend in POLICIES.records() if backend.kind == "engine"]
    if name not in engines:
        raise InputError(
            f"explore.backend: no engine is called '{name}'; there are {', '.join(engines)}"
        )
    return POLICIES.get(name)


def open_policy(
    reference: str,
    *,
    options: Mapping[str, Any] | None = None,
    batch: int = 32,
    engine: str = LOCAL,
) -> Policy:
    """Open the policy that ``reference`` names; a model is opened by ``engine``.

    ``options`` go to the backend; ``batch`` is the number of conversations that will run at once.
    Raises ``InputError`` for bad references.
    """
    backend, argument = backend_of(reference), reference.partition(":")[2]
    if backend is None:
        backend, argument = engine_backend(engine), reference
    return backend.load()(argument, options or {}, batch)
