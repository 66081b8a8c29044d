"""What kind of action an action is, and what differs between two: for counting and limiting pairs.

An environment says it itself with a function ``action_kind(action)`` beside its opener; without one
the first word is the kind, which is the verb where actions are sentences. It is found
(``registry.action_kind_of``) without opening the environment: naming an action needs no data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

ActionKind: TypeAlias = Callable[[str], str]

UNPARSABLE = "unparsable"
_WORD = re.compile(r"[^\W\d_]+")


def first_word(action: str) -> str:
    """The first word of an action in lower case: ``go`` of ``go to shelf 1``."""
    found = _WORD.search(action)
    return found.group().lower() if found else "other"


def difference_kind(better: str, worse: str) -> str:
    """The kind of a difference between actions of two kinds: the one, or ``option over buy``."""
    return better if better == worse else f"{better} over {worse}"
