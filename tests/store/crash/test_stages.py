"""A call that fails under a real stage: one sentence, the right exit code, and a sound store.

The stages of recipe ``micro`` run through the command line in processes of their own, in which
``sitecustomize`` wraps the functions of ``os`` before anything else is imported.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tratree_store import Store
from tratree_store.fsck import check

ROOT = Path(__file__).resolve().parents[3]
#: Of a stage that met a failed call: done all the same, failed, refused, partial, damaged.
EXPECTED = {0, 1, 2, 3, 12}
INSTALL = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.environ["FAULT_ROOT"])  # wheels of others bring a package "tests", too
from tests.store.crash.faults import Fault
folder, kind, code, number, mark = os.environ["FAULT"].split("|")
write, openfile = os.write, os.open
class Marked(Fault):
    def due(self, kind, place):
        happens = super().due(kind, place)
        if happens:
            write(openfile(mark, os.O_WRONLY | os.O_CREAT), b"x")
        return happens
_fault = Marked(Path(folder), kind, int(code), int(number)).injected()
_fault.__enter__()
"""
#: Stage, then kind of call, error and number; the numbers are spread over what a stage does.
CASES = [
    ("sft", "write", errno.ENOSPC, 4),
    ("sft", "fsync", errno.EIO, 3),
    ("explore", "write", errno.ENOSPC, 9),
    ("explore", "open", errno.EMFILE, 12),
    ("build-tree", "open", errno.EIO, 9),
    ("build-tree", "rename", errno.ENOSPC, 1),
    ("mine-pairs", "mkdir", errno.ENOSPC, 2),
    ("mine-pairs", "read", errno.EIO, 7),
    ("mcts", "write", errno.EIO, 3),
    ("mcts", "list", errno.EMFILE, 2),
    ("train-strong", "open", errno.ENOSPC, 14),
    ("train-strong", "write", errno.ENOSPC, 6),
    ("eval", "fsync", errno.EIO, 4),
    ("report", "write", errno.ENOSPC, 3),
]


def tratree(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command; its working folder and store are ``folder``."""
    command = [sys.executable, "-m", "tratree_cli.app", *words]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TRATREE_STORE": str(folder / "store"), **environment},
    )


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a search and what it was made from."""
    folder = tmp_path_factory.mktemp("micro")
    done = tratree(folder, "mcts", "--recipe", "micro", "--env", "webshop", "--no-stdin")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "kind", "code", "number"), CASES)
def test_a_stage_in_which_a_call_fails_says_so_and_runs_the_next_time(
    stage: str, kind: str, code: int, number: int, _made: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INSTALL)
    store = _made / "store"
    words = [stage, "--recipe", "micro", "--env", "webshop", "--no-stdin"]
    if stage == "report":  # of one evaluation, for all of them take minutes
        made = tratree(_made, "eval", *words[1:])
        words.insert(1, made.stdout.strip())
    fault = f"{store}|{kind}|{code}|{number}|{tmp_path / 'mark'}"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    hurt = tratree(_made, *words, "--force", PYTHONPATH=path, FAULT=fault, FAULT_ROOT=str(ROOT))
    assert (tmp_path / "mark").exists(), "the call was never made"
    assert hurt.returncode in EXPECTED, hurt.stderr
    assert "Traceback" not in hurt.stderr, hurt.stderr
    if hurt.returncode:
        assert hurt.stderr.strip().splitlines()[-1].startswith("tratree: "), hurt.stderr
    report = check(Store(store))
    assert report.clean, report.findings
    again = tratree(_made, *words)
    assert again.returncode == 0, again.stderr
    assert check(Store(store)).clean
