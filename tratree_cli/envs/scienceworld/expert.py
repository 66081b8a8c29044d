"""The demonstrator: a checked solution, one action at a time, with a thought in front of each.

It is no reader of observations like the experts of other environments: what to do comes from the
simulator's own solution, so its thoughts state the action and its purpose, and never why the answer
is right. Only the thing that the look shows is repeated, which a small model can copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_THOUGHTS = (
    (r"look around", "I look at what is here."),
    (r"(?:teleport|go) to (?:the )?(?P<a>.+)", "I need to go to the {a}."),
    (r"focus on (?P<a>.+)", "The {a} is what the task asks for, so I focus on it."),
    (r"pick up (?P<a>.+)", "I take the {a} with me."),
    (r"move (?P<a>.+) to (?P<b>.+)", "I put the {a} into the {b}."),
    (r"pour (?P<a>.+) into (?P<b>.+)", "I pour the {a} into the {b}."),
    (r"open (?P<a>.+)", "I open the {a}."),
    (r"close (?P<a>.+)", "I close the {a}."),
    (r"activate (?P<a>.+)", "I switch on the {a}."),
    (r"deactivate (?P<a>.+)", "I switch off the {a}."),
    (r"use (?P<a>.+) on (?P<b>.+)", "I use the {a} on the {b}."),
    (r"connect (?P<a>.+) to (?P<b>.+)", "I connect the {a} to the {b}."),
    (r"mix (?P<a>.+)", "I mix what is in the {a}."),
    (r"(?:examine|look (?:at|in)|read) (?P<a>.+)", "I have a closer look at the {a}."),
    (r"wait\d*", "I wait for something to change."),
    (r"inventory", "I check what I carry."),
)
_PATTERNS = tuple((re.compile(pattern), template) for pattern, template in _THOUGHTS)


class GoldExpert:
    """One episode's demonstrator; it satisfies ``tratree_cli.envs.protocol.Expert``."""

    def __init__(self, actions: Sequence[str]) -> None:
        self._left = list(actions)

    def act(self, observation: str) -> tuple[str, str]:
        """The next action of the solution; waiting when there is none (left)."""
        action = self._left.pop(0) if self._left else "wait1"
        return thought(action), action


def thought(action: str) -> str:
    """A sentence that goes before an action."""
    for pattern, template in _PATTERNS:
        match = pattern.fullmatch(action)
        if match:
            return template.format(**match.groupdict())
    return "I go on with the task."
