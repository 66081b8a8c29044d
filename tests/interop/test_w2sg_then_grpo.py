"""The example that goes on with GRPO runs as a user would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "w2sg_then_grpo.py"


@pytest.mark.slow
def test_a_model_after_grpo_stands_in_the_report_beside_the_others(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--recipe", "micro", "--steps", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training episodes: mean score" in done.stderr
    assert (tmp_path / "grpo-model" / "model.safetensors").is_file()
    lines = done.stdout.splitlines()
    assert sum("grpo-model" in line for line in lines) >= 1, done.stdout
