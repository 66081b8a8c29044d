"""What ends an exploration is what its user reads, wherever in the engine it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.commands.test_explore import explore
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.shard_player import portable


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRATREE_STORE", raising=False)
    return tmp_path


def explore_until(
    error: BaseException, model: Path, monkeypatch: pytest.MonkeyPatch, reading: str
) -> tuple[int, str]:
    """Exit code and words of an exploration that ``error`` hits in its fourth decoding step."""
    plain, steps = LocalPolicy._sample, [0]

    def sample(policy: Any, part: Any, logits: torch.Tensor) -> Any:
        steps[0] += 1
        if steps[0] == 4:
            raise error
        return plain(policy, part, logits)

    monkeypatch.setattr(LocalPolicy, "_sample", sample)
    way = ("--set", f"explore.reading={reading}")
    code, _, errors = explore("--policy", str(model), "--limit", "4", "-m", "1", *way)
    return code, " ".join(errors.split())


@pytest.mark.parametrize("reading", ["each", "shared"])
def test_ctrl_c_while_a_model_decodes_is_exit_130(
    chatml_model: Path, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    code, said = explore_until(KeyboardInterrupt(), chatml_model, monkeypatch, reading)
    assert code == 130
    assert "inference" not in said.lower()


@pytest.mark.parametrize("reading", ["each", "shared"])
def test_memory_that_runs_out_while_a_model_decodes_is_a_sentence(
    chatml_model: Path, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    code, said = explore_until(error, chatml_model, monkeypatch, reading)
    assert code == 1
    assert "out of memory" in said
    assert "explore.block" in said


def test_a_workers_lack_of_memory_is_a_sentence() -> None:
    assert "fewer workers" in str(portable(MemoryError("no room for 3 GB")))
