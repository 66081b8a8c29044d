"""What may go wrong in front of a user, and the exit code each kind of trouble has.

Three kinds are enough. Everything else is a bug and shows itself as one. A message is one sentence
that says what is wrong, where, and what to do; it is printed as it stands, without a traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import ClassVar


class TratreeError(Exception):
    """Base of all errors that are shown to users as a sentence."""

    exit_code: ClassVar[int] = 1


class StageError(TratreeError):
    """A stage could not finish (exit 1): out of memory, diverging loss, a full disk."""

    exit_code: ClassVar[int] = 1


class InputError(TratreeError):
    """What the user typed or handed in is wrong (exit 2): names, references, files, parameters."""

    exit_code: ClassVar[int] = 2


class PartialError(TratreeError):
    """Part of the work is done and kept, the rest is not (exit 3); running again continues."""

    exit_code: ClassVar[int] = 3


class WouldRunError(TratreeError):
    """``--frozen`` or ``--exit-code``: something is not cached and would have to run (exit 4)."""

    exit_code: ClassVar[int] = 4


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest of ``known``, or an empty string.

    A word that is known is never proposed to who typed it: something else is wrong then. Nor is a
    number for a number: the nearest digits are no likelier to be meant than any others.
    """
    words = list(known)
    number = word.replace(".", "", 1).lstrip("+-").isdecimal()
    near = (
        []
        if word in words or number
        else difflib.get_close_matches(word[:80], words, n=1, cutoff=0.5)
    )
    return f" (did you mean '{near[0]}'?)" if near else ""


OUT_OF_MEMORY = ("not enough memory", "out of memory", "allocate memory", "start new thread")
"""What PyTorch's allocators and Python say: on Windows, on a GPU, on Linux, for a thread."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python's own, an allocator's, or a file that could not be mapped."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)
