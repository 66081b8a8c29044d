"""Who shows a person what the pipeline does: the protocol, and the reporter that shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tratree_store import Entry


class Reporter(Protocol):
    """What is called while nodes are computed (implemented in ``display.progress``)."""

    def planned(self, total: int, seconds: Sequence[float | None]) -> None:
        """``total`` nodes are wanted; those that will run took ``seconds`` before, if known."""

    def started(self, label: str, reason: str) -> None:
        """A node starts to run; ``reason`` is why it is not cached."""

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        """``total`` 0 means that the end is not known."""

    def finished(self, label: str, entry: Entry, cached: bool) -> None:
        """A node has its artifact."""

    def warn(self, message: str) -> None:
        """Something that a person should know."""

    def hint(self, command: str) -> None:
        """A command that may be typed next."""

    def show(self, renderable: Any) -> None:
        """A summary for people."""

    def close(self) -> None:
        """Nothing more is reported for now."""


class SilentReporter:
    """Shows nothing: ``--quiet``, and whatever runs without a terminal."""

    def planned(self, total: int, seconds: Sequence[float | None]) -> None: ...
    def started(self, label: str, reason: str) -> None: ...
    def progress(self, label: str, done: int, total: int, note: str) -> None: ...
    def finished(self, label: str, entry: Entry, cached: bool) -> None: ...
    def warn(self, message: str) -> None: ...
    def hint(self, command: str) -> None: ...
    def show(self, renderable: Any) -> None: ...
    def close(self) -> None: ...


class PartReporter(SilentReporter):
    """Shows a node that another one asked for while it runs, as a part of that one.

    How much of such parts is to come is not known, so no time that is left is told.
    """

    def __init__(self, whole: Reporter, label: str) -> None:
        self._whole = whole
        self._label = label

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        of = f"of {total} in {label}" if total else label
        self._whole.progress(self._label, done, 0, f"{of}  {note}")

    def warn(self, message: str) -> None:
        self._whole.warn(message)
