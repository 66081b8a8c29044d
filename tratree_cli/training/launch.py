"""One training on several processes: torchrun for ``processes``, or an accelerate file.

The stage stays one process; it writes the task into the work folder, starts the launcher, follows
the first worker's progress through a file, and gets back what the trainer would have returned.
Launchers are known to start fewer processes than asked for without a word, so every worker checks
with how many it trains before it does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError, StageError
from tratree_cli.training.data import PairRow, SFTRow
from tratree_cli.training.params import (
    LOWER,
    LoraParams,
    Progress,
    Sharing,
    TrainingResult,
    silent,
)
from tratree_cli.training.trainer import TrainingTask, trainer

STRATEGIES = ("FSDP", "DEEPSPEED", "MULTI_GPU")
"""Strategies of accelerate that workers insist on, by its own names."""
SHARDED = ("FSDP", "DEEPSPEED")
"""Strategies under which no process holds whole weights, so that adapters cannot be merged."""
PROCESSES = "TRATREE_PROCESSES"
STRATEGY = "TRATREE_STRATEGY"
"""Environment variables of the workers: how many processes, and which strategy, they must find."""
POLL = 0.2
"""Seconds between two looks at the workers' progress."""


def write_task(task: TrainingTask[Any, Any], path: Path) -> None:
    """Write ``task`` for the workers to read."""
    document = {
        **asdict(task),
        "rows": [asdict(row) for row in task.rows],
        "pairs": [asdict(row) for row in task.pairs],
    }
    path.write_text(json.dumps(document, default=str), encoding="utf-8")


def read_task(path: Path) -> TrainingTask[Any, Any]:
    """The task that ``write_task`` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    declared = trainer(document["trainer"])
    row = PairRow if declared.rows == "pairs" else SFTRow
    config = dict(document["config"], track=tuple(document["config"]["track"]))
    if config["lora"] is not None:
        targets = config["lora"]["targets"]
        targets = targets if isinstance(targets, str) else tuple(targets)
        config["lora"] = LoraParams(**{**config["lora"], "targets": targets})
    return TrainingTask(
        trainer=declared.name,
        model=Path(document["model"]),
        rows=[row(**values) for values in document["rows"]],
        config=declared.params(**config),
        out=Path(document["out"]),
        work=Path(document["work"]),
        other=Path(document["other"]) if document["other"] else None,
        base=document["base"],
        settings=declared.settings(**document["settings"]) if declared.settings else None,
        pairs=[PairRow(**values) for values in document["pairs"]],
    )


def train(task: TrainingTask[Any, Any], progress: Progress = silent) -> TrainingResult:
    """Run ``task`` in this process."""
    return trainer(task.trainer).load()(task, progress)


def launch(
    task: TrainingTask[Any, Any],
    processes: int = 1,
    accelerate: Path | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Run ``task`` on ``processes`` processes, or as the ``accelerate`` YAML file says.

    Raises what the workers raised: ``InputError`` or ``StageError``. Nothing is left in
    ``task.out`` when fewer processes, or another strategy, than asked for would have trained.
    """
    if processes < 1:
        raise InputError(f"--processes must be at least 1, not {processes}")
    if processes == 1 and accelerate is None:
        return train(task, progress)
    if accelerate is not None:
        task = unmerged(task, accelerate_facts(accelerate).get(STRATEGY, ""))
    task.work.mkdir(parents=True, exist_ok=True)
    for name in ("result.json", "error.json"):
        (task.work / name).unlink(missing_ok=True)
    (task.work / "progress.jsonl").write_bytes(b"")
    write_task(task, task.work / "task.json")
    command, environment = _command(task, processes, accelerate)
    log = task.work / "workers.log"
    with log.open("wb") as output:
        workers = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=_end_with_the_stage,
        )
        try:
            _follow(workers, task.work / "progress.jsonl", progress)
        finally:
            if workers.poll() is None:
                workers.terminate()
                workers.wait()
    result = _outcome(task.work, workers.returncode, log)
    if str(result.processes) != environment[PROCESSES]:
        raise StageError(
            f"{environment[PROCESSES]} processes were asked for but {result.processes} trained; "
            "nothing is published"
        )
    return result


def _end_with_the_stage() -> None:
    """The launcher ends when this process is killed: no orphan goes on training."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def unmerged(task: TrainingTask[Any, Any], strategy: str) -> TrainingTask[Any, Any]:
    """``task`` with its adapter kept apart where the strategy leaves nobody with whole weights."""
    lora = task.config.lora
    if strategy not in SHARDED or lora is None:
        return task
    return replace(task, config=replace(task.config, lora=replace(lora, merge=False)))


def _command(
    task: TrainingTask[Any, Any], processes: int, accelerate: Path | None
) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line, and what the workers must insist on."""
    worker = ["-m", "tratree_cli.training.worker", str(task.work / "task.json")]
    if accelerate is None:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        return (
            [*torchrun, f"--nproc-per-node={processes}", *worker],
            {PROCESSES: str(processes), "OMP_NUM_THREADS": str(task.config.threads)},
        )
    wanted = accelerate_facts(accelerate)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    return [*launcher, str(accelerate), *worker], wanted


def accelerate_facts(path: Path) -> dict[str, str]:
    """How many processes, and which strategy, an accelerate configuration asks for."""
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--launch {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--launch {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "num_processes" not in content:
        raise InputError(f"--launch {path} is no accelerate configuration: it has no num_processes")
    wanted = content["num_processes"]
    if not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"--launch {path}: num_processes is {wanted!r}, not a number of processes")
    strategy = str(content.get("distributed_type", ""))
    facts = {PROCESSES: str(wanted)}
    return {**facts, STRATEGY: strategy} if strategy in STRATEGIES else facts


def _follow(workers: subprocess.Popen[bytes], path: Path, progress: Progress) -> None:
    """Pass on what the first worker reports until all have ended."""
    half = ""
    with path.open(encoding="utf-8") as reports:
        while True:
            ended = workers.poll() is not None
            # The last line may be half written yet.
            *lines, half = (half + reports.read()).split("\n")
            for line in lines:
                report = json.loads(line)
                progress(report["done"], report["total"], report["facts"])
            if ended:
                return
            time.sleep(POLL)


def _outcome(work: Path, code: int, log: Path) -> TrainingResult:
    error, result = work / "error.json", work / "result.json"
    if error.is_file():
        failure = json.loads(error.read_text(encoding="utf-8"))
        kind = InputError if failure["kind"] == "InputError" else StageError
        raise kind(failure["message"])
    if code != 0 or not result.is_file():
        output = log.read_text(encoding="utf-8", errors="replace")
        if "SIGKILL" in output:
            raise StageError(
                "one of the training processes was killed (SIGKILL), as a system does where memory "
                f"runs out; {LOWER} (see {log})"
            )
        last = output.strip().splitlines()[-1:]
        raise StageError(
            f"the training processes ended with code {code} ({' '.join(last)}); see {log}"
        )
    document = json.loads(result.read_text(encoding="utf-8"))
    document["curves"] = {
        name: [(int(step), float(value)) for step, value in curve]
        for name, curve in document["curves"].items()
    }
    document["remarks"] = tuple(document["remarks"])
    if document["sharing"] is not None:
        document["sharing"] = Sharing(**document["sharing"])
    return TrainingResult(**document)
