"""Everything that only a GPU can show, in one run of at most nine minutes; one JSON at the end.

python -m benchmarks.gpu [--out gpu.json] [--only PART ...] [--minutes 9]
python -m benchmarks.gpu --toy      on a CPU: the same parts at a size that measures nothing

Each part is a process of its own with a share of the time, so that one that fails, hangs or runs
out of memory costs itself alone. A part ends as ok, failed or skipped (with the reason). Exit 0:
none failed; 1: at least one did; 2: there is no CUDA device. Real models lie where
``TRATREE_GPU_MODELS`` says (``context``); without them their parts are skipped.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class Part:
    """``body`` is ``module:function`` of ``benchmarks.gpu``: a context in, figures out."""

    name: str
    seconds: int
    body: str


PARTS = (
    Part("bf16-merge", 45, "checks:bf16_merge"),
    Part("attention", 40, "checks:attention"),
    Part("fsdp2", 60, "fsdp2:run"),
    Part("engine-smollm2", 60, "engine:smollm2"),
    Part("engine-7b", 75, "engine:seven"),
    Part("training-7b", 110, "training:run"),
    Part("trees-1b", 45, "trees:one"),
    Part("trees-7b", 60, "trees:seven"),
    Part("tests", 75, "checks:tests"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="on a CPU, at a toy's size")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the results")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS])
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts together")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return one_part(options.part, options.folder, options.out, toy=options.toy)
    device = "a toy on the CPU" if options.toy else gpu_name()
    if not device:
        print("there is no CUDA device here; --toy runs every part on the CPU", file=sys.stderr)
        return 2
    print(f"on {device}", flush=True)
    ends = time.monotonic() + 60 * options.minutes
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for part in PARTS:
            if not options.only or part.name in options.only:
                results[part.name] = run_part(part, Path(scratch), ends, toy=options.toy)
                shown(part.name, results[part.name])
    document = {"device": device, "toy": options.toy, **versions(), "parts": results}
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"results: {options.out}", flush=True)
    return int(any(result["state"] == "failed" for result in results.values()))


def run_part(part: Part, scratch: Path, ends: float, *, toy: bool) -> dict[str, Any]:
    """One part in a process group of its own, ended with all its children when its time is over."""
    left = min(ends - time.monotonic(), part.seconds * (6 if toy else 1))
    if left < 5:
        return {"state": "skipped", "reason": "no time was left", "seconds": 0.0}
    answer = scratch / f"{part.name}.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", part.name]
    command += ["--folder", str(scratch), "--out", str(answer), *(["--toy"] if toy else [])]
    started = time.monotonic()
    log = scratch / f"{part.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(left)
            reason = f"exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"not done after {left:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    seconds = round(time.monotonic() - started, 1)
    if answer.is_file():
        return {**json.loads(answer.read_text("utf-8")), "seconds": seconds}
    last = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
    return {"state": "failed", "reason": f"{reason}: {' | '.join(last)}", "seconds": seconds}


def one_part(name: str, folder: Path, out: Path, *, toy: bool) -> int:
    """The body of a part, in this process; its answer goes into ``out``."""
    from benchmarks.gpu.context import Context, SkippedError
    from tratree_cli.models.library_logging import silence_libraries

    (part,) = (part for part in PARTS if part.name == name)
    module, _, function = part.body.partition(":")
    body = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)
    try:
        with silence_libraries():
            answer = {"state": "ok", "figures": body(Context(folder, toy))}
    except SkippedError as reason:
        answer = {"state": "skipped", "reason": str(reason)}
    except AssertionError as error:
        answer = {"state": "failed", "reason": str(error) or "a check failed"}
    out.write_text(json.dumps(answer), encoding="utf-8")
    return 0


def shown(name: str, result: dict[str, Any]) -> None:
    """A part for people: its state, and its figures a line each."""
    print(f"{name:<16} {result['state']:<8} {result['seconds']:6.1f} s", flush=True)
    if "reason" in result:
        print(f"  {result['reason']}", flush=True)
    for key, value in result.get("figures", {}).items():
        print(f"  {key:<44} {value:.6g}" if isinstance(value, float) else f"  {key:<44} {value}")


def gpu_name() -> str:
    """The first CUDA device's name, empty without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def versions() -> dict[str, str]:
    from importlib import metadata

    names = ("torch", "transformers", "trl", "peft", "accelerate")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


if __name__ == "__main__":
    raise SystemExit(main())
