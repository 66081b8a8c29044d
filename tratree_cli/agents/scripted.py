"""Policies without a model: the expert, random actions, a person, one's own Python object.

All of them answer at once, one conversation after the other, so they share ``ScriptedPolicy``: a
scripted agent is a function from an observation to an output, made anew for each conversation.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tratree_cli.agents.guarded import GuardedPolicy, in_words
from tratree_cli.agents.policy import Opening, Policy, Reply, Turn
from tratree_cli.display.text import inert
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import POLICY_ERROR

Agent = Callable[[Turn], str]
"""One conversation's agent: the newest turn in, the words of the answer out."""


def agent_output(thought: str, action: str) -> str:
    """The agent's output for a thought (may be empty) and an action."""
    return f"Thought: {thought}\nAction: {action}" if thought else f"Action: {action}"


class ScriptedPolicy:
    """Runs one agent per slot, each made by ``make`` from its opening."""

    def __init__(self, make: Callable[[Opening], Agent]) -> None:
        self._make = make
        self._agents: dict[int, Agent] = {}
        self._replies: list[Reply] = []

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            self._agents[opening.slot] = self._make(opening)

    def submit(self, turns: Sequence[Turn]) -> None:
        self._replies += [self._answer(turn) for turn in turns]

    def _answer(self, turn: Turn) -> Reply:
        answer: object = self._agents[turn.slot](turn)
        if not isinstance(answer, str):
            detail = f"the policy answered with {type(answer).__name__}, not with text"
            return Reply(turn.slot, end=POLICY_ERROR, detail=detail)
        return Reply(turn.slot, answer)

    def collect(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    def finish(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._agents.pop(slot, None)

    def close(self) -> None:
        self._agents.clear()


def expert_agent(opening: Opening) -> Agent:
    """The environment's own expert, which sees pages and never the answer."""
    if opening.environment is None:
        raise InputError("the expert policy needs an environment")
    expert = opening.environment.expert(opening.task)
    return lambda turn: agent_output(*expert.act(turn.observation))


def random_agent(opening: Opening) -> Agent:
    """A uniformly drawn available action each turn; the floor that every agent must beat."""
    generator = np.random.Generator(np.random.Philox(opening.seed))

    def act(turn: Turn) -> str:
        actions = turn.available()
        if not actions:
            return "Action: nothing"
        return agent_output("", actions[int(generator.integers(len(actions)))])

    return act


def human_agent(opening: Opening) -> Agent:
    """A person at the terminal: the observation is shown on stderr, the answer read from stdin.

    What has no ``Action: `` in it is taken as the action itself, which is what people type.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)

    def act(turn: Turn) -> str:
        console.print(Text(f"\n{inert(turn.observation)}"))
        console.print(Text("  ".join(turn.available()), style="dim"))
        try:
            typed = console.input(Text("Action: ", style="bold"))
        except EOFError as error:
            raise KeyboardInterrupt from error
        return typed if "Action: " in typed else f"Action: {typed}"

    return act


def history_agent(function: Callable[..., str]) -> Callable[[Opening], Agent]:
    """A plain function ``(messages, seed) -> words`` (or ``(messages) -> words``) as an agent."""
    seeded = len(inspect.signature(function).parameters) > 1

    def make(opening: Opening) -> Agent:
        messages = [dict(message) for message in opening.prefix]

        def act(turn: Turn) -> str:
            messages.append({"role": "user", "content": turn.observation})
            answer = function(messages, opening.seed) if seeded else function(messages)
            messages.append({"role": "assistant", "content": answer})
            return answer

        return act

    return make


def open_expert(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    return ScriptedPolicy(expert_agent)


def open_random(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    return ScriptedPolicy(random_agent)


def open_human(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    return ScriptedPolicy(human_agent)


def open_python(argument: str, options: Mapping[str, Any], batch: int) -> Policy:
    """The policy ``module:object``.

    The object is a ``Policy``, a class or function without parameters that makes one, or a function
    ``(messages, seed) -> words``.
    """
    module, _, name = argument.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise InputError(f"'python:{argument}' is no policy: write python:module:object")
    try:
        policy = _imported_policy(module, name)
    except InputError:
        raise
    except Exception as error:  # whatever a user's module raises as it is imported
        raise InputError(
            f"the policy 'python:{argument}' cannot be imported: {in_words(error)}"
        ) from error
    if policy is None:
        raise InputError(f"'python:{argument}' is neither a policy nor a function of messages")
    return GuardedPolicy(policy, one_by_one=isinstance(policy, ScriptedPolicy))


def _imported_policy(module: str, name: str) -> Policy | None:
    imported: Any = getattr(importlib.import_module(module), name)
    if callable(imported) and not hasattr(imported, "collect"):
        if inspect.signature(imported).parameters:
            return ScriptedPolicy(history_agent(imported))
        imported = imported()
    elif inspect.isclass(imported):
        imported = imported()
    return imported if hasattr(imported, "collect") else None
