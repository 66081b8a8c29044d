"""The policy protocol: what answers many running conversations at once.

A policy holds conversations by *slot*. The rollout loop begins slots, submits observations and
collects replies in whatever order they become ready; the policy keeps what belongs to a slot (its
random generator, its history, its key-value cache) until the slot is finished. Splitting the
answer into ``submit`` and ``collect`` is what lets one forward pass serve all conversations, lets
a slow row not hold up the others, and fits a served model, whose answers arrive out of order.

A reply may depend on the slot's seed, its setting and its conversation, and on the fixed set of
conversations that run beside it; never on clocks or on global random state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tratree_cli.errors import PartialError

if TYPE_CHECKING:
    from tratree_cli.envs.protocol import Environment

Message = Mapping[str, str]
"""``{"role": "user" | "assistant", "content": text}``."""


@dataclass(frozen=True)
class Opening:
    """A conversation that begins.

    ``setting`` has ``temperature`` and ``top_p`` (both default to 1.0; temperature 0 is greedy) and
    optionally ``constrain`` (true: only available actions can be sampled). ``prefix`` are the
    prompt's messages before the first observation.
    ``environment`` and ``task`` are there for scripted policies; models ignore them.
    """

    slot: int
    seed: int
    setting: Mapping[str, Any] = field(default_factory=dict)
    prefix: Sequence[Message] = ()
    task: str = ""
    environment: Environment | None = None


@dataclass(frozen=True)
class Turn:
    """The newest observation of a conversation. ``available`` lists the actions that act now."""

    slot: int
    observation: str
    available: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True)
class Reply:
    """The agent's output, or why there is none.

    ``tokens`` are the sampled ids without the token that ended the turn (empty where nothing was
    sampled here). ``end`` is ``context-overflow`` or ``policy-error`` when the conversation cannot
    go on (``text`` is then not a turn), and ``detail`` gives the reason in a few words.
    """

    slot: int
    text: str = ""
    tokens: tuple[int, ...] = ()
    end: str | None = None
    detail: str = ""


class Policy(Protocol):
    """What the rollout loop calls."""

    def begin(self, openings: Sequence[Opening]) -> None:
        """Start conversations; their slots are new or were finished before."""

    def submit(self, turns: Sequence[Turn]) -> None:
        """Hand in observations; each slot has at most one unanswered turn."""

    def collect(self) -> list[Reply]:
        """Wait for at least one reply to submitted turns; raise ``PolicyOutageError`` if none."""

    def finish(self, slots: Iterable[int]) -> None:
        """Drop conversations (also unanswered ones)."""

    def close(self) -> None:
        """Release memory and connections; safe to call twice."""


class PolicyOutageError(PartialError):
    """The policy as a whole stopped answering (a server is gone); finished work is kept."""
