"""What a rule found: a figure, and words where it is bad."""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.display.blocks import NUMBER


@dataclass(frozen=True)
class Sign:
    """``title`` heads its column, ``kind`` says how its figure is written (``display.blocks``).

    ``low`` and ``high`` bound an interval over tasks. ``words`` is a clause that follows a policy's
    name and a colon; empty where the figure is not bad.
    """

    title: str
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = NUMBER
    words: str = ""

    @property
    def bad(self) -> bool:
        return bool(self.words)
