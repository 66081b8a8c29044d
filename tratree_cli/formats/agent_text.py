"""The agent's output: how a thought and an action are parsed from it (ETO's rules)."""

from __future__ import annotations

ACTION = "Action: "
UNPARSABLE_LIMIT = 3
"""So many outputs without an action in a row end the episode."""


def parse(output: str) -> tuple[str | None, str | None]:
    """``(thought, action)`` of an output; the action is None when the output has none.

    The action is everything after the first ``Action: `` to the end, newlines included.
    """
    thought, mark, action = output.strip().partition(ACTION)
    if not mark:
        return None, None
    thought = thought.strip().removeprefix("Thought:").strip()
    return thought or None, action


def storable(text: str) -> str:
    """``text`` with lone surrogates, which no file can hold, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
