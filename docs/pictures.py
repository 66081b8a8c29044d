"""Draw the README's two pictures anew: the table of the report, and a tree.

    python docs/pictures.py [FOLDER]

FOLDER holds the stores (``quick`` and ``micro``); what is in them is not made again. Without it
both recipes run in a temporary folder, which takes minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
WIDTH = "80"


def main() -> int:
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else beside)
        report = said("report", "--recipe", "quick", store=folder / "quick")
        said("report", "--recipe", "micro", store=folder / "micro")
        tree = said("show", "tree@latest", store=folder / "micro")
    text = README.read_text(encoding="utf-8")
    text = drawn(text, "report", part(report, "Policy "))
    text = drawn(text, "tree", part(tree, "task "))
    README.write_text(text, encoding="utf-8")
    return 0


def said(*words: str, store: Path) -> str:
    """What a command prints, as wide as a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli", *words, "--store", str(store)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"},
        check=True,
    )
    return done.stdout


def part(text: str, start: str) -> str:
    """The lines from the first that begins with ``start`` to the next empty one."""
    lines = [line.rstrip() for line in text.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith(start))
    last = next((n for n in range(first, len(lines)) if not lines[n]), len(lines))
    return "\n".join(lines[first:last])


def drawn(text: str, name: str, picture: str) -> str:
    """``text`` with the block below ``<!-- drawn: NAME -->`` replaced."""
    block = re.compile(rf"(<!-- drawn: {name} -->\n```text\n).*?(```)", re.DOTALL)
    found, count = block.subn(lambda m: f"{m[1]}{picture}\n{m[2]}", text)
    if count != 1:
        raise SystemExit(f"README.md has {count} blocks `drawn: {name}` instead of one")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
