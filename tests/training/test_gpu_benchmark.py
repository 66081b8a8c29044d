"""The benchmark for GPUs, where there is none: it refuses, and its parts work at a toy's size."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.training import gpu


def test_without_a_gpu_the_benchmark_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = gpu.refusal()
    assert said.startswith("--gpu needs a CUDA device") and "\n" not in said


@pytest.mark.slow
def test_a_toy_of_the_same_architecture_goes_through_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = gpu.Shape(
        hidden=64, inner=96, layers=1, heads=2, vocabulary=8192, rows=2, tokens=80, steps=4, rank=4
    )
    found = gpu.main(shape, tmp_path, device="cpu")
    assert all(figure > 0 for figure in found.values())
    shown = capsys.readouterr().out
    for said in ("sft tratree", "dpo plain TRL", "tokens/s", "pairs/s", "share of a matrix"):
        assert said in shown
