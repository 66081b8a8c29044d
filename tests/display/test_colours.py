"""What the terminal shows can be read on a white and on a black background."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.color import Color
from rich.style import Style

import tratree_cli
from tratree_cli.display import colours, text
from tratree_cli.display.help_style import STYLES

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OURS = [colours.GREEN, colours.RED, colours.CYAN, colours.AMBER]
NAMED = re.compile(r"""["'](?:bold |dim )?(?:bright_)?(?:yellow|green|red|cyan|magenta|blue)["']""")


def luminance(rgb: tuple[int, int, int]) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [c / 255 for c in rgb]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", OURS)
def test_each_colour_can_be_read_on_white_and_on_black(colour: str) -> None:
    rgb = tuple(Color.parse(colour).get_truecolor())
    assert contrast(rgb, WHITE) > 4
    assert contrast(rgb, BLACK) > 3.7


def test_no_terminal_output_has_a_colour_of_a_themes_own_choice() -> None:
    package = Path(tratree_cli.__file__).parent
    for room in ("commands", "display", "agents", "reporting/render"):
        for file in (package / room).rglob("*.py"):
            assert not NAMED.search(file.read_text(encoding="utf-8")), file


def test_no_style_of_a_help_page_or_a_bar_dims_a_colour() -> None:
    for words in (*STYLES.values(), *colours.BARS.values()):
        style = Style.parse(words)
        assert not (style.dim and style.color), words
        assert style.color is None or style.color.number >= 16, words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_sentence_breaks_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    words = "there is no command 'explor' (did you mean 'explore'?); type\x1b[2J another-one"
    lines = text.sentence(words, Terminal()).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 30 for line in lines)
    assert " ".join(lines) == text.sentence(words, io.StringIO()) == text.one_line(words)
