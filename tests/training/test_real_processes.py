"""Training as people start it: killed, on several processes, watched on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, run_tratree
from tests.tiny_models import digests

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "tratree_cli.app"]


@pytest.fixture
def folder(tmp_path: Path, conversations: Any, pair_documents: Any) -> Path:
    for name, records in (
        ("demos", [{"messages": c} for c in conversations]),
        ("pairs", pair_documents),
    ):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


def tratree(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_tratree(folder, *words, "--no-stdin", timeout=600, **options)


def files(folder: Path, answer: str) -> dict[str, str]:
    """sha256 of the files of the artifact that ``--json`` described."""
    return digests(folder / json.loads(answer)["path"])


@pytest.mark.parametrize("packing", ["off", "on"])
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_training_killed_with_sigkill_resumes_to_the_same_artifact(
    folder: Path, policy: Path, method: str, packing: str
) -> None:
    words = ["sft", "--demos", "demos.jsonl"]
    if method == "dpo":
        words = ["train-strong", "--pairs", "pairs.jsonl", "--set", "dpo.epochs=60"]
    words += ["--model", str(policy), *QUICK, "--set", "sft.checkpoint_every=3", "--json"]
    words += ["--set", "sft.epochs=40"] if method == "sft" else []
    words += ["--set", f"{method}.tree_packing={packing}"]
    whole = tratree(folder, *words, "--store", "whole")
    assert whole.returncode == 0, whole.stderr
    assert ("sharing_ratio" in json.loads(whole.stdout)["summary"]) == (packing == "on")
    killed = subprocess.Popen(
        [*COMMAND, *words, "--store", "cut", "--no-stdin"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    state = "checkpoints/checkpoint-*/trainer_state.json"
    while killed.poll() is None and not list((folder / "cut").rglob(state)):
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    left = list((folder / "cut" / "entries").rglob("*.json"))
    assert all('"kind":"model"' not in path.read_text() for path in left)
    resumed = tratree(folder, *words, "--store", "cut")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["object"] == json.loads(whole.stdout)["object"]
    assert files(folder, resumed.stdout) == files(folder, whole.stdout)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_two_processes_train_and_are_part_of_the_key(
    folder: Path, policy: Path, method: str
) -> None:
    words = ["sft", "--demos", "demos.jsonl"]
    if method == "dpo":
        words = ["train-strong", "--pairs", "pairs.jsonl"]
    words += ["--model", str(policy), *QUICK, "--json"]
    both = tratree(folder, *words, "--processes", "2")
    assert both.returncode == 0, both.stderr
    made = json.loads(both.stdout)
    assert (made["summary"]["processes"], made["summary"]["strategy"]) == (2, "MULTI_CPU")
    alone = json.loads(tratree(folder, *words).stdout)
    assert made["recipe"] != alone["recipe"]
    # The effective batch is the same, divided among the processes.
    assert made["summary"]["optimizer_steps"] == alone["summary"]["optimizer_steps"]
    again = tratree(folder, *words, "--processes", "2", "--force")
    assert json.loads(again.stdout)["object"] == made["object"]


def test_adapters_do_not_depend_on_the_hash_seed(folder: Path, policy: Path) -> None:
    """Sets of module names come out in another order in every process."""
    lora = ["--set", "sft.lora_r=4", "--set", "sft.lora_merge=false"]
    words = ["sft", "--demos", "demos.jsonl", "--model", str(policy), *QUICK, *lora, "--json"]
    made = [
        tratree(folder, *words, "--store", seed, environment={"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]
    assert [one.returncode for one in made] == [0, 0], made[0].stderr
    assert len({json.loads(one.stdout)["object"] for one in made}) == 1


def test_a_launcher_that_starts_fewer_processes_publishes_nothing(
    folder: Path, policy: Path
) -> None:
    """accelerate starts one process on a CPU, whatever its file says."""
    (folder / "two.yaml").write_text(
        "distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n"
    )
    words = ["sft", "--demos", "demos.jsonl", "--model", str(policy), *QUICK]
    done = tratree(folder, *words, "--launch", "two.yaml")
    assert done.returncode == 1, done.stderr
    assert "2 processes were asked for but 1 train together" in done.stderr
    assert tratree(folder, "show", "model@latest").returncode == 2


def test_a_strategy_that_is_not_achieved_publishes_nothing(folder: Path, policy: Path) -> None:
    (folder / "fsdp.yaml").write_text(
        "distributed_type: FSDP\nnum_processes: 1\nuse_cpu: true\nfsdp_config:\n  fsdp_version: 2\n"
    )
    words = ["sft", "--demos", "demos.jsonl", "--model", str(policy), *QUICK]
    done = tratree(folder, *words, "--launch", "fsdp.yaml")
    assert done.returncode == 1, done.stderr
    assert "FSDP" in done.stderr and "Traceback" not in done.stderr
    assert tratree(folder, "show", "model@latest").returncode == 2


def test_the_line_on_a_terminal_shows_steps_loss_margin_speed_and_the_time_left(
    folder: Path, policy: Path
) -> None:
    words = ["train-strong", "--pairs", "pairs.jsonl", "--model", str(policy), *QUICK]
    main, terminal = pty.openpty()
    running = subprocess.Popen(
        [*COMMAND, *words, "--set", "dpo.epochs=60", "--no-stdin"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm"},
    )
    os.close(terminal)
    seen = b""
    while select.select([main], [], [], 300)[0]:
        try:
            part = os.read(main, 65536)
        except OSError:  # Linux's word for the end of a terminal
            break
        if not part:
            break
        seen += part
    assert running.wait() == 0, seen[-2000:]
    shown = seen.decode(errors="replace")
    for measure in ("/120", "loss", "margin", "accuracy", "tokens/s", "0:0"):
        assert measure in shown, shown[-2000:]
