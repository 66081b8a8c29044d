"""Every example of docs/trainers.md runs, but for the ends of programs that need a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "trainers.md"
EXAMPLES = re.findall(
    r"<!-- tested by: \S+ -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_as_it_is_printed(number: int) -> None:
    for module in re.findall(
        r"^import (\w+)$|interop\.(gymnasium)", EXAMPLES[number], re.MULTILINE
    ):
        pytest.importorskip(module[0] or module[1], reason="needs the trainer's package")
    exec(compile(EXAMPLES[number], f"{PAGE.name}, example {number}", "exec"), {})


def test_there_is_an_example_for_every_adapter_that_needs_no_server() -> None:
    assert len(EXAMPLES) == 7
