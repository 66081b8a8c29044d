"""How foreign texts, counts and durations are written, whatever the medium.

Texts come from models, environments and other machines. Before any of it is shown, characters that
could drive a terminal or reorder a line are replaced by a visible stand-in; escaping for a medium
(HTML, TeX) is the renderer's own work on top. Imports nothing heavy: error messages pass here too.
"""

from __future__ import annotations

import unicodedata
from typing import TextIO

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT = frozenset("\n\t")


def inert(text: str) -> str:
    """``text`` without control, format (bidirectional marks, joiners) and surrogate characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else _REPLACEMENT
        for character in text
    )


def one_line(text: str, width: int = 0) -> str:
    """``text`` inert and on one line, cut with an ellipsis at ``width`` characters (0: never)."""
    flat = " ".join(inert(text).split())
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"


def sentence(text: str, stream: TextIO) -> str:
    """``text`` on one line; on a terminal, lines that break between its words."""
    line = one_line(text)
    if not stream.isatty():
        return line
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def counted(number: int, noun: str) -> str:
    """``1 success``, ``2 successes``, ``3,000 trajectories``, ``2 ways``."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        noun = noun[:-1] + "ie"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``41 s``, ``3 m 20 s``, ``2 h 5 m``, ``3 d``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for unit, size, below, part in (
        ("d", 86400, 3600, "h"),
        ("h", 3600, 60, "m"),
        ("m", 60, 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def age(seconds: float) -> str:
    """A duration in its largest unit only: ``41 s``, ``3 m``, ``2 h``, ``3 d``."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    return " ".join(duration(seconds).split()[:2])


def size(number: float) -> str:
    """Bytes: ``1.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
