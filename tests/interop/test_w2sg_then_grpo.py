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
    table = done.stdout.split("Average reward on WebShop")[1].split("Reward times 100")[0]
    for policy in ("SFT strong", "W2SG MCTS ", "W2SG MCTS, then GRPO"):
        assert policy in table, table
    assert "GRPO read the rewards of 64" in " ".join(done.stdout.split())
