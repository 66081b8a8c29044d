"""One training on several processes: torchrun for ``processes``, or an accelerate file.

The stage stays one process; it writes the task into the work folder, starts the launcher, follows
the first worker's progress through a file, and gets back what ``train_sft`` or ``train_dpo`` would
have returned. Launchers are known to start fewer processes than asked for without a word, so every
worker checks the world it finds itself in before it trains.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError, StageError
from tratree_cli.training.data import PairRow, SFTRow
from tratree_cli.training.params import (
    LOWER,
    DPOParams,
    LoraParams,
    Progress,
    SFTParams,
    TrainingResult,
    silent,
)

STRATEGIES = ("FSDP", "DEEPSPEED", "MULTI_GPU")
"""Strategies of accelerate that workers insist on, by its own names."""
SHARDED = ("FSDP", "DEEPSPEED")
"""Strategies under which no process holds whole weights, so that adapters cannot be merged."""
PROCESSES = "TRATREE_PROCESSES"
STRATEGY = "TRATREE_STRATEGY"
"""Environment variables of the workers: what world, and which strategy, they must find."""
POLL = 0.2
"""Seconds between two looks at the workers' progress."""


@dataclass(frozen=True)
class Task:
    """A training to run elsewhere.

    ``method`` is ``sft``, ``dpo`` or ``explorer``; ``other`` is the explorer's frozen model or
    DPO's live reference; everything else as in ``train_sft`` and ``train_dpo``.
    """

    method: str
    model: Path
    rows: Sequence[SFTRow] | Sequence[PairRow]
    config: SFTParams | DPOParams
    out: Path
    work: Path
    other: Path | None = None
    base: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        document = {**asdict(self), "rows": [asdict(row) for row in self.rows]}
        path.write_text(json.dumps(document, default=str), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Task:
        document = json.loads(path.read_text(encoding="utf-8"))
        preference = document["method"] == "dpo"
        rows: Any = [(PairRow if preference else SFTRow)(**row) for row in document["rows"]]
        config = dict(document["config"], track=tuple(document["config"]["track"]))
        if config["lora"] is not None:
            targets = config["lora"]["targets"]
            config["lora"] = LoraParams(
                **{
                    **config["lora"],
                    "targets": targets if isinstance(targets, str) else tuple(targets),
                }
            )
        return Task(
            method=document["method"],
            model=Path(document["model"]),
            rows=rows,
            config=(DPOParams if preference else SFTParams)(**config),
            out=Path(document["out"]),
            work=Path(document["work"]),
            other=Path(document["other"]) if document["other"] else None,
            base=document["base"],
        )


def train(task: Task, progress: Progress = silent) -> TrainingResult:
    """Run ``task`` in this process."""
    common = (task.config, task.out, task.work, progress)
    if task.method == "sft":
        from tratree_cli.training.imitation import train_sft

        return train_sft(task.model, task.rows, *common, task.base)  # type: ignore[arg-type]
    if task.method == "explorer":
        from tratree_cli.training.explorer import train_explorer

        return train_explorer(task.model, task.rows, task.other, *common, task.base)  # type: ignore[arg-type]
    from tratree_cli.training.preference import train_dpo

    return train_dpo(task.model, task.rows, *common, task.other, task.base)  # type: ignore[arg-type]


def launch(
    task: Task,
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
    task.write(task.work / "task.json")
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
    """The launcher is told to end when this process is killed: no orphan goes on training."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def unmerged(task: Task, strategy: str) -> Task:
    """``task`` with its adapter kept apart where the strategy leaves nobody with whole weights."""
    lora = task.config.lora
    if strategy not in SHARDED or lora is None:
        return task
    return replace(task, config=replace(task.config, lora=replace(lora, merge=False)))


def _command(
    task: Task, processes: int, accelerate: Path | None
) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line and what the workers are told to insist on."""
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
        said = json.loads(error.read_text(encoding="utf-8"))
        raise (InputError if said["kind"] == "InputError" else StageError)(said["message"])
    if code != 0 or not result.is_file():
        said_last = log.read_text(encoding="utf-8", errors="replace")
        if "SIGKILL" in said_last:
            raise StageError(
                "one of the training processes was killed (SIGKILL), as a system does where memory "
                f"runs out; {LOWER} (see {log})"
            )
        last = said_last.strip().splitlines()[-1:]
        raise StageError(
            f"the training processes ended with code {code} ({' '.join(last)}); see {log}"
        )
    document = json.loads(result.read_text(encoding="utf-8"))
    document["curves"] = {
        name: [(int(step), float(value)) for step, value in curve]
        for name, curve in document["curves"].items()
    }
    return TrainingResult(**document)
