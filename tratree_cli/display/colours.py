"""The colours of the terminal: each can be read on a white and on a black background.

The sixteen named colours are what a terminal's theme makes of them, and yellow, green and cyan on
white often are 1.3 to 2.5 to 1. These are fixed ones in the middle of the brightness scale, above
4 to 1 on white and 3.7 to 1 on black (``tests/display/test_colours.py``); terminals of sixteen
colours show the nearest they have. Dimmed text has no colour beside, which would halve it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

GREEN = "color(28)"
RED = "color(160)"
CYAN = "color(30)"
AMBER = "color(130)"

BARS = {
    "bar.back": "color(245)",
    "bar.complete": CYAN,
    "bar.finished": GREEN,
    "bar.pulse": CYAN,
    "progress.spinner": GREEN,
    "progress.download": GREEN,
    "progress.elapsed": "dim",
    "progress.percentage": "dim",
    "progress.remaining": "dim",
    "progress.data.speed": "dim",
}
"""rich's names of what a progress bar is made of → our styles."""


def console(**options: Any) -> Console:
    """rich's console with these colours; numbers and words in content are not coloured."""
    from rich.console import Console
    from rich.theme import Theme

    return Console(highlight=False, theme=Theme(BARS), **options)
