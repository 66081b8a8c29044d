"""The script for GPUs, where there is none: it refuses, and its parts work at a toy's size."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as script
from benchmarks.gpu.context import MODELS, Context, SkippedError, joined

REPOSITORY = Path(__file__).parents[2]


def gpu(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )


def test_without_a_gpu_the_script_says_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert script.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("there is no CUDA device here") and said.count("\n") == 1


def test_the_parts_fit_into_nine_minutes_with_room_for_their_starts() -> None:
    assert sum(part.seconds for part in script.PARTS) <= 580
    assert len({part.name for part in script.PARTS}) == len(script.PARTS)


def test_a_models_pieces_are_joined_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "models" / "SmolLM2-135M"
    source.mkdir(parents=True)
    (source / "config.json").write_text("{}")
    for number in range(12):
        (source / f"model.safetensors.part-{number:02}").write_bytes(bytes([number]) * 3)
    monkeypatch.setenv(MODELS, str(tmp_path / "models"))
    found = Context(tmp_path / "scratch", toy=True).real("smollm2")
    whole = b"".join(bytes([number]) * 3 for number in range(12))
    assert (found / "model.safetensors").read_bytes() == whole
    assert (found / "config.json").read_text() == "{}"


def test_a_missing_piece_or_model_is_a_reason_to_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "model"
    source.mkdir()
    for number in (0, 2):
        (source / f"weights.part{number}").write_bytes(b"1")
    with pytest.raises(SkippedError, match="a piece of weights is missing"):
        joined(source, tmp_path / "scratch")
    monkeypatch.delenv(MODELS, raising=False)
    with pytest.raises(SkippedError, match=MODELS):
        Context(tmp_path, toy=True).real("smollm2")


def test_a_part_that_fails_costs_itself_alone(tmp_path: Path) -> None:
    nothing = script.Part("nothing", 60, "nowhere:run")
    failed = script.run_part(nothing, tmp_path, time.monotonic() + 600, toy=False)
    assert failed["state"] == "failed" and "exit code 1" in failed["reason"]
    late = script.run_part(nothing, tmp_path, time.monotonic(), toy=False)
    assert late["state"] == "skipped" and late["reason"] == "no time was left"


@pytest.mark.slow
def test_a_part_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/child\nwait\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    part = script.Part("hangs", 6, "nowhere:run")
    ended = script.run_part(part, tmp_path, time.monotonic() + 600, toy=False)
    assert ended["state"] == "failed" and ended["reason"].startswith("not done after 6 s")
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    assert not child.exists() or "State:\tZ" in (child / "status").read_text()


@pytest.mark.slow
def test_a_toy_of_the_same_architecture_goes_through_all_parts(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = gpu("--toy", "--minutes", "40", "--out", str(out))
    parts = json.loads(out.read_text())["parts"]
    assert done.returncode == 0, [part for part in parts.values() if part["state"] == "failed"]
    states = {name: part["state"] for name, part in parts.items()}
    assert states.pop("tests") == "skipped"
    assert set(states.values()) == {"ok"}
    for name, figure in (
        ("bf16-merge", "update_kept_bfloat16"),
        ("attention", "sdpa_against_eager"),
        ("fsdp2", "2_processes_against_plain"),
        ("engine-smollm2", "times_batched"),
        ("training-7b", "share_of_a_matrix_product"),
        ("trees-7b", "times_rows"),
    ):
        assert parts[name]["figures"][figure] >= 0
        assert name in done.stdout and figure in done.stdout
