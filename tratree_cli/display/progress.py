"""Progress on stderr: bars on a terminal, plain lines elsewhere.

A stage that is found says when it was made and what it took; one that runs shows a bar with its
own note (loss, mean score) and the time that is left. Lines are written above the bars, so the
history of a long command can be scrolled back to. Where there is no terminal, a long stage says how
far it is every ``LINE_SECONDS``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tratree_cli.display import colours
from tratree_cli.display.colours import AMBER, CYAN, GREEN
from tratree_cli.display.headlines import called, headline
from tratree_cli.display.text import age, counted, duration, inert, one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from tratree_store import Entry


LINE_SECONDS = 15.0
CACHED_LINES = 6
"""So many cached stages have a line each on a terminal."""


def reporter(title: Callable[[str], str] = str, *, verbose: bool = False) -> LineReporter:
    """The reporter for this process's stderr; ``title`` is what tables call a method of a name."""
    console = colours.console(stderr=True)
    kind = TerminalReporter if console.is_terminal else LineReporter
    return kind(console, title, verbose=verbose)


def without_bars(shown: Any) -> Any:
    """The same reporter, as plain lines if it would draw bars."""
    if not isinstance(shown, TerminalReporter):
        return shown
    return LineReporter(shown.console, shown.title, verbose=shown.verbose)


@dataclass
class Pace:
    """How fast a stage goes. What was done when it began was done by an earlier run."""

    began: float
    at_first: int
    told: float
    counted: bool = False
    """Whether the stage has said how much there is to do."""

    def counting(self, done: int, total: int, now: float) -> None:
        """Begin when the length is known first: loading libraries and encoding is no pace."""
        if total and not self.counted:
            self.began, self.at_first, self.counted = now, done, True

    def left(self, done: int, total: int, now: float) -> str:
        """The time that is left, in words; empty while nothing is known."""
        fresh = done - self.at_first
        if fresh <= 0 or not total or now <= self.began:
            return ""
        return f"ETA {duration((total - done) * (now - self.began) / fresh)}"


@contextmanager
def closing(shown: Any) -> Iterator[None]:
    """Take the bars off the screen however the work ended."""
    try:
        yield
    finally:
        shown.close()


class LineReporter:
    """Plain lines: for logs, pipes and terminals without cursor control."""

    def __init__(
        self, console: Console, title: Callable[[str], str] = str, *, verbose: bool = False
    ) -> None:
        self.console = console
        self.title = title
        self.verbose = verbose
        """Whether a line has all numbers of a summary."""
        self._paces: dict[str, Pace] = {}
        self._total = 0
        self._numbers: dict[str, int] = {}
        self._found = 0
        self._saved = 0.0
        self._done = 0
        self._began = time.monotonic()

    def planned(self, total: int, seconds: Sequence[float | None]) -> None:
        self._total, self._began = total, time.monotonic()
        self._numbers, self._found = {}, total - len(seconds)
        if len(seconds) > 1:
            took = f", {expected(seconds)}"
            self._line(Text(f"{counted(total, 'stage')}, {self._found} cached{took}", "bold"))

    def _number(self, label: str) -> str:
        """``[4/20] ``: the place of a stage that runs; empty where it is the only one."""
        place = self._numbers.setdefault(label, self._found + len(self._numbers) + 1)
        return f"[{place}/{self._total}] " if self._total > 1 else ""

    def _name(self, label: str) -> str:
        return self._number(label) + called(label, self.title)

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        pace = self._paces.setdefault(label, Pace(now, done, now))
        pace.counting(done, total, now)
        if now - pace.told < LINE_SECONDS:
            return
        pace.told = now
        share = f"{done:,}/{total:,} ({100 * done // total} %)" if total else f"{done:,}"
        parts = [
            f"… {self._name(label)}",
            share,
            _note(note).strip(),
            pace.left(done, total, now),
        ]
        self._line(Text("  ".join(part for part in parts if part), "dim"))

    def started(self, label: str, reason: str) -> None:
        self._line(
            Text.assemble(
                ("… ", "dim"), self._name(label), (f"  {reason}" if reason else "", "dim")
            )
        )

    def finished(self, label: str, entry: Entry, cached: bool) -> None:
        mark = ("= ", "dim") if cached else ("✓ ", GREEN)
        made = duration(entry.seconds)
        if cached:
            ago = age(time.time() - entry.created)
            made = f"cached (made {ago} ago, saved {made})"
            self._saved += entry.seconds
        else:
            self._done += 1
        said = headline(entry.kind, {} if cached else entry.summary, label, self.title)
        ref = f"{entry.kind}:{entry.object[:12]}"
        number = "" if cached else self._number(label)
        line = Text.assemble(mark, number, said, "  ", (made, "dim"), "  ", (ref, CYAN))
        if self.verbose and not cached and (short := short_summary(entry.summary)):
            line.append(f"  {short}", "dim")
        self._line(line)

    def warn(self, message: str) -> None:
        # A warning is read whole, on as many lines as it needs.
        words = Text.assemble(("! ", f"bold {AMBER}"), one_line(message))
        self.console.print(words, soft_wrap=not self.console.is_terminal)

    def hint(self, command: str) -> None:
        # Whole, however long: a command that was cut cannot be typed.
        self.console.print(Text.assemble(("next: ", "dim"), (command, "bold")), soft_wrap=True)

    def show(self, renderable: Any) -> None:
        self.console.print(renderable)

    def close(self) -> None:
        """Say what several stages took together; lines stay where they are."""
        if self._done > 1:
            took = duration(time.monotonic() - self._began)
            saved = f"; what was cached saved {duration(self._saved)}" if self._saved else ""
            self._line(Text(f"{self._done} stages in {took}{saved}", "bold"))
        self._done, self._saved = 0, 0.0

    def _line(self, text: Text) -> None:
        # A log keeps whole lines; only a terminal is cropped to its width.
        if self.console.is_terminal:
            self.console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(text, soft_wrap=True)


class TerminalReporter(LineReporter):
    """Bars for what runs, lines above them for what is finished."""

    def __init__(
        self, console: Console, title: Callable[[str], str] = str, *, verbose: bool = False
    ) -> None:
        super().__init__(console, title, verbose=verbose)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._cached: list[tuple[str, Entry]] = []
        """What was found and is not told yet: many such lines become one."""

    def planned(self, total: int, seconds: Sequence[float | None]) -> None:
        self._tell_cached()
        super().planned(total, seconds)

    def warn(self, message: str) -> None:
        self._tell_cached()
        super().warn(message)

    def started(self, label: str, reason: str) -> None:
        self._tell_cached()
        bars = self._bars()
        self._tasks[label] = bars.add_task(self._name(label), total=None, note=reason, left="")

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        task = self._tasks.get(label)
        if task is not None:
            now = time.monotonic()
            pace = self._paces.setdefault(label, Pace(now, done, now))
            pace.counting(done, total, now)
            left = pace.left(done, total, now)
            self._bars().update(
                task, completed=done, total=total or None, note=_note(note), left=left
            )

    def finished(self, label: str, entry: Entry, cached: bool) -> None:
        task = self._tasks.pop(label, None)
        if task is not None:
            self._bars().remove_task(task)
        if cached and not self.verbose:
            self._cached.append((label, entry))
            return
        self._tell_cached()
        super().finished(label, entry, cached)

    def _tell_cached(self) -> None:
        """A line each, or one for all but the last where the screen has better use for them."""
        found, self._cached = self._cached, []
        if len(found) > CACHED_LINES:
            *folded, last = found
            seconds = sum(entry.seconds for _, entry in folded)
            self._saved += seconds
            words = (
                f"{counted(len(folded), 'stage')} cached, saved {duration(seconds)} (-v lists them)"
            )
            self._line(Text.assemble(("= ", "dim"), words))
            found = [last]
        for label, entry in found:
            super().finished(label, entry, True)

    def close(self) -> None:
        self._tell_cached()
        if self._progress is not None:
            for task in list(self._tasks.values()):
                self._progress.remove_task(task)
            self._progress.stop()
            self._progress = None
        super().close()

    def _bars(self) -> Progress:
        if self._progress is None:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                TextColumn("{task.fields[note]}", markup=False, style="dim"),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        return self._progress


def expected(seconds: Sequence[float | None]) -> str:
    """How long stages will take, going by runs of the same recipe, environment and models."""
    known = [one for one in seconds if one is not None]
    if not known:
        return "no earlier run to tell how long"
    words = f"about {duration(sum(known))} from earlier runs"
    unknown = len(seconds) - len(known)
    return words + (f", and {counted(unknown, 'stage')} of unknown length" if unknown else "")


def short_summary(summary: Any) -> str:
    """``key value`` of the numbers in a summary, for one line."""
    parts = [
        f"{key.replace('_', ' ')} {value:,}"
        for key, value in dict(summary).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return ", ".join(parts)


def _note(text: str) -> str:
    """A stage's note, inert; double spaces set its parts apart, so they stay."""
    return inert(text).replace("\n", " ")


def stdout_console() -> Console:
    """The console for a report: stdout."""
    return colours.console(file=sys.stdout)
