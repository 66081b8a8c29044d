"""The command line for tests: as a process of its own (``run_tratree``), or inside this one.

Inside (``Folder``) it is what a shell would call, without importing torch anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result


def invoke(app: Any, words: Sequence[str], **options: Any) -> Result:
    """``words`` given to a typer application or one of its commands, inside this process.

    What the command settles for its own process (``--trust-remote-code``) ends with the call.
    """
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, list(words), **options)
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class Answer:
    """What a call ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        return json.loads(self.out)  # type: ignore[no-any-return]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refused(self, *words: str, code: int = 2) -> None:
        """One sentence on stderr with these words, nothing on stdout."""
        assert self.code == code, self.err
        complaints = [line for line in self.err.splitlines() if line.startswith("tratree: ")]
        assert len(complaints) == 1, self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in complaints[0], complaints[0]
        assert self.out == ""


PLAIN = ("show", "store", "export")
"""Commands that read no reference from stdin."""


class Folder:
    """A working folder in which the command is called."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.monkeypatch = monkeypatch

    def __call__(self, *words: str) -> Answer:
        from tratree_cli.app import app

        self.monkeypatch.chdir(self.path)
        self.monkeypatch.setattr("sys.argv", ["tratree", *words])
        done = invoke(app, [*words, *([] if words[0] in PLAIN else ["--no-stdin"])])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

    def write(self, name: str, records: Iterable[Mapping[str, Any] | str]) -> str:
        """A file of JSON lines; a text goes in as it is."""
        lines = [line if isinstance(line, str) else json.dumps(line) for line in records]
        (self.path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return name


QUICK = (
    "--set", "sft.epochs=1", "--set", "sft.batch_size=4", "--set", "dpo.batch_size=4",
    "--set", "dpo.nll_weight=0",
)  # fmt: skip
"""Settings under which a tiny model trains within a second."""


def run_tratree(
    folder: Path,
    *words: str,
    stdin: str | None = None,
    environment: dict[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """``tratree words...`` in ``folder``; without ``stdin`` there is nothing to read from."""
    return subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *words],
        cwd=folder,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
        check=False,
    )
