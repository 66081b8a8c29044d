"""A policy that always takes the first available action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratree_cli.agents.policy import Opening, Policy, Turn
from tratree_cli.agents.registry import PolicyBackend

BACKEND = PolicyBackend(
    name="first-action",
    summary="the first available action at every step",
    kind="scripted",
    body="first_action:open_policy",
)


def open_policy(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    """A policy for any number of conversations; ``ScriptedPolicy`` runs an agent in each."""
    from tratree_cli.agents.scripted import ScriptedPolicy

    return ScriptedPolicy(begin)


def begin(opening: Opening):
    """The agent of one conversation: the newest turn in, the words of the answer out."""

    def act(turn: Turn) -> str:
        actions = turn.available()
        return f"Action: {actions[0] if actions else 'nothing'}"

    return act
