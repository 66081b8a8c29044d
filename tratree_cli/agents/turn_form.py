"""Prompts that ask about every step by itself: one message with the latest steps, no conversation.

A ``TurnForm`` says how such a message is written, ``TurnByTurn`` plays a model with it. What the
model answers within ``<action>`` tags is recorded in tratree's own form, ``Action: ``, after its
reasoning; an answer without the tags acts with its last characters, as in verl-agent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tratree_cli.agents.policy import Opening, Policy, Reply, Turn
from tratree_cli.formats.agent_text import ACTION

OBSERVATION = "Observation:\n"
SEPARATOR = " [SEP] "
LAST_CHARACTERS = 30
"""So much of an answer without tags is taken as its action."""

_TAGGED = re.compile(r"<action>(.*?)</action>", re.DOTALL)


@dataclass(frozen=True)
class TurnForm:
    """The texts of a turn's message.

    ``first`` and ``later`` have the fields task, observation and admissible; ``later`` also step,
    taken, shown and history. ``earlier`` writes one of the last ``history`` steps. ``replace`` puts
    other admissible actions for those that begin with a text; ``quote_segments`` leaves the task
    out of an observation of ``[SEP]`` segments and puts the others in quotes.
    """

    first: str
    later: str
    earlier: str = ""
    history: int = 0
    quote_segments: bool = False
    replace: dict[str, list[str]] = field(default_factory=dict)

    def page(self, task: str, observation: str) -> str:
        """An observation as the messages show it."""
        text = observation.removeprefix(OBSERVATION)
        segments = text.split(SEPARATOR)
        if not self.quote_segments or task not in segments:
            return text
        after = segments[segments.index(task) + 1 :]
        return SEPARATOR.join(f"'{segment}'" for segment in after)

    def admissible(self, actions: Sequence[str]) -> str:
        """The admissible actions, one a line, each in quotes."""
        shown: list[str] = []
        for action in actions:
            instead = [new for start, new in self.replace.items() if action.startswith(start)]
            shown += instead[0] if instead else [action]
        return "\n".join(f"'{action}'," for action in shown)

    def message(
        self, task: str, observation: str, actions: Sequence[str], past: Sequence[tuple[str, str]]
    ) -> str:
        """The message of a step; ``past`` are the observations and actions before it."""
        recent = list(enumerate(past, 1))[len(past) - min(self.history, len(past)) :]
        lines = [
            self.earlier.format(step=step, observation=self.page(task, seen), action=action)
            for step, (seen, action) in recent
        ]
        return (self.later if lines else self.first).format(
            task=task,
            observation=self.page(task, observation),
            admissible=self.admissible(actions),
            step=len(past) + 1,
            taken=len(past),
            shown=len(lines),
            history="\n".join(lines),
        )


def acted(answer: str) -> tuple[str, str]:
    """``(what is recorded, the action)`` of an answer in tags; the action is lower-case."""
    found = _TAGGED.search(answer.lower())
    action = found[1].strip() if found else answer.lower()[-LAST_CHARACTERS:].strip()
    said = answer.replace(ACTION, ACTION.strip())
    return f"{said}\n{ACTION}{action}", action


@dataclass
class _Dialogue:
    opening: Opening
    task: str
    past: list[tuple[str, str]] = field(default_factory=list)
    observation: str = ""


class TurnByTurn:
    """A model's policy whose conversations begin anew with every turn."""

    def __init__(self, policy: Policy, form: TurnForm) -> None:
        self._policy = policy
        self._form = form
        self._dialogues: dict[int, _Dialogue] = {}

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            assert opening.environment is not None, "rollouts name their environment"
            task = opening.environment.instruction(opening.task)
            self._dialogues[opening.slot] = _Dialogue(opening, task)
        self._policy.begin(openings)

    def submit(self, turns: Sequence[Turn]) -> None:
        written = []
        for turn in turns:
            dialogue = self._dialogues[turn.slot]
            if dialogue.past:
                seed = _seed(dialogue.opening.seed, len(dialogue.past))
                self._policy.finish([turn.slot])
                self._policy.begin([replace(dialogue.opening, seed=seed)])
            dialogue.observation = turn.observation
            message = self._form.message(
                dialogue.task, turn.observation, turn.available(), dialogue.past
            )
            written.append(replace(turn, observation=message))
        self._policy.submit(written)

    def collect(self) -> list[Reply]:
        replies = []
        for reply in self._policy.collect():
            if reply.end is None:
                text, action = acted(reply.text)
                dialogue = self._dialogues[reply.slot]
                dialogue.past.append((dialogue.observation, action))
                reply = replace(reply, text=text)
            replies.append(reply)
        return replies

    def finish(self, slots: Iterable[int]) -> None:
        gone = list(slots)
        for slot in gone:
            self._dialogues.pop(slot, None)
        self._policy.finish(gone)

    def close(self) -> None:
        self._policy.close()


def _seed(seed: int, step: int) -> int:
    """Another seed for every step of an episode, below 2**63."""
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
