"""Free memory as the system tells it, and the device that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tratree_cli.models import free_memory

MEMINFO = "MemTotal: 64000 kB\nMemFree: 1000 kB\nMemAvailable: 32000 kB\n"


def group(folder: Path, limit: str, used: int, cache: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    return folder


def test_what_is_available_counts_and_not_what_is_unused(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert free_memory.main_memory(tmp_path / "meminfo", tmp_path) == 32000 * 1024


def test_a_container_has_no_more_than_its_limit_leaves(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    group(tmp_path, "10000000", 4000000, 1000000)
    assert free_memory.main_memory(tmp_path / "meminfo", tmp_path) == 7_000_000
    group(tmp_path, "max", 4000000, 1000000)
    assert free_memory.main_memory(tmp_path / "meminfo", tmp_path) == 32000 * 1024


def test_the_driver_tells_what_the_visible_gpus_have_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '80000\\n70000\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert free_memory.device_memory("auto") == free_memory.DeviceMemory("cuda:0", 80000 << 20)
    assert free_memory.device_memory("cuda:1").free == 70000 << 20
    assert free_memory.device_memory("cpu").device == "cpu"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert free_memory.device_memory("auto").device == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert free_memory.gpu_memory() == []
