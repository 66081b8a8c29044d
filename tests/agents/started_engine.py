"""The program in vLLM's place as tests see it: how it is to behave, and what it noted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).with_name("fake_vllm.py")


@dataclass(frozen=True)
class Engine:
    """The program in vLLM's place, and what it noted."""

    notes: Path
    monkeypatch: pytest.MonkeyPatch

    def behave(self, *how: str) -> None:
        self.monkeypatch.setenv("FAKE_VLLM", ",".join(how))

    def noted(self, name: str) -> list[Any]:
        file = self.notes / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.noted("processes") if is_running(pid)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
