"""The blocks of each page are run in order, in a folder of their own, with the small recipe.

The folder has a ``tratree.toml`` with the recipe ``micro``, whose pipeline has run, the files that
``file:`` blocks show, and invented WebShop files where pages speak of downloaded ones.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import studied
from tests.envs.conftest import EDGE60
from tests.pages.blocks import PAGES, Block, blocks, calls, exchanges, matches

__all__ = ["studied"]

pytestmark = pytest.mark.slow

DATA = ("path/to/webshop", "data/webshop")
PLANNED = (
    "sft", "explore", "build-tree", "mine-pairs", "mcts", "train-strong", "eval", "run", "report",
)  # fmt: skip
"""Commands that have ``--dry-run``."""
RUN = [
    page
    for page in PAGES
    if any(b.language in ("bash", "console", "python") and b.mark != "parsed" for b in blocks(page))
]


@pytest.fixture
def folder(studied: Path, tmp_path: Path) -> Path:
    shutil.copytree(studied / ".tratree", tmp_path / ".tratree")
    (tmp_path / "tratree.toml").write_text('recipe = "micro"\n')
    for place in DATA:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(EDGE60)
    return tmp_path


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PATH": path, "COLUMNS": "92", "HF_HUB_OFFLINE": "1"},
        check=False,
    )


def run(block: Block, folder: Path) -> str:
    """Do with a block what its language and its mark say; return what it lacks, if anything."""
    if block.mark == "file":
        (folder / block.detail).write_text(block.text, encoding="utf-8")
    elif block.mark in ("parsed", "tested by"):
        pass
    elif block.mark == "planned":
        for words in calls(block.text):
            if words[0] in PLANNED and "--existing" not in words:  # nothing would be made
                done = shell(shlex.join(["tratree", *words, "--dry-run"]), folder)
                if "is not installed; type:" in done.stderr:
                    return f"{block.place}: {done.stderr.strip()}"
                assert done.returncode == 0, f"{block.place}: {words}\n{done.stderr}"
    elif block.language == "bash":
        done = shell(block.text, folder)
        assert done.returncode == 0, f"{block.place}\n{done.stderr[-3000:]}"
    elif block.language == "console":
        for exchange in exchanges(block):
            done = shell(exchange.command, folder)
            said = done.stdout + done.stderr
            assert matches(exchange.expected, said), f"{block.place}: {exchange.command}\n{said}"
    elif block.language == "python":
        needed = re.findall(r"^(?:import|from) (\w+)|interop\.(gymnasium)", block.text, re.M)
        for module in {name for names in needed for name in names if name}:
            if find_spec(module) is None:
                return f"{block.place} needs {module}"
        done = subprocess.run([sys.executable, "-c", block.text], cwd=folder, capture_output=True)
        assert done.returncode == 0, f"{block.place}\n{done.stderr.decode()[-3000:]}"
    return ""


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_in_order(page: str, folder: Path) -> None:
    lacking = [lack for block in blocks(page) if (lack := run(block, folder))]
    if lacking:
        pytest.skip(f"all other blocks ran; {'; '.join(lacking)}")
