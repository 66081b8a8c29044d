"""Too little memory, for real: the command in a process that may map only so much more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_models import make_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as Linux does"),
]

LIMITED = """
import resource, sys
import tratree_cli.training.imitation  # what the libraries map differs from machine to machine
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv.pop(1)) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from tratree_cli.app import main
main()
"""
ROOM = 256
"""MiB beyond the libraries: many times what one conversation takes, a part of what sixty do."""


def tratree(folder: Path, *words: str, room: int | None = None) -> subprocess.CompletedProcess[str]:
    command = ["-c", LIMITED, str(room)] if room is not None else ["-m", "tratree_cli.app"]
    return subprocess.run(
        [sys.executable, *command, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_a_training_that_runs_out_of_memory_says_what_to_lower_and_lowering_it_helps(
    tmp_path: Path,
) -> None:
    make_model(tmp_path / "model", width=64)
    page = "Page 1 [SEP] " + "B0123 [SEP] Red shirt " * 18
    talks = [
        [
            {"role": "user", "content": f"Instruction: find shirt {number} [SEP] {page}"},
            {"role": "assistant", "content": "Action: click[b0123]"},
        ]
        for number in range(60)
    ]
    lines = [json.dumps({"messages": talk}) + "\n" for talk in talks]
    (tmp_path / "demos.jsonl").write_text("".join(lines))
    settings = {"epochs": 1, "batch_size": 60, "lora_r": 0, "attention": "eager"}
    words = ["sft", "--demos", "demos.jsonl", "--model", "model", "--no-stdin"]
    words += [w for key, value in settings.items() for w in ("--set", f"sft.{key}={value}")]

    done = tratree(tmp_path, *words, room=ROOM)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.startswith("tratree: ")]
    assert len(said) == 1, done.stderr
    assert "not enough memory to train; lower sft.micro_batch" in said[0]
    assert "Traceback" not in done.stderr

    listed = tratree(tmp_path, "store", "ls", "model", "--json")
    assert (listed.returncode, listed.stdout) == (0, ""), listed.stderr
    assert tratree(tmp_path, "store", "fsck").returncode == 0

    helped = tratree(tmp_path, *words, "--set", "sft.micro_batch=2", room=ROOM)
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.startswith("model:")
