"""How many processes train together: torchrun's, or what an accelerate file asks for.

The number of processes decides which rows share a step and in what order gradients are summed, so
it is keyed, and so is the content of the accelerate file; where the file lies is not. A stage that
trains alone has nothing of this in its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job

if TYPE_CHECKING:
    from tratree_cli.training.launch import Task
    from tratree_cli.training.params import TrainingResult


@dataclass(frozen=True)
class World:
    """The processes of one training; ``accelerate`` is the file they were asked for with."""

    processes: int = 1
    accelerate: Path | None = None
    digest: str = ""

    @property
    def params(self) -> dict[str, Any]:
        """What is keyed: nothing for a single process."""
        if self.accelerate is not None:
            return {"world": {"processes": self.processes, "accelerate": self.digest}}
        return {"world": {"processes": self.processes}} if self.processes > 1 else {}

    @property
    def files(self) -> dict[str, Path]:
        return {self.digest: self.accelerate} if self.accelerate is not None else {}


ALONE = World()


def world(processes: int | None, accelerate: Path | None) -> World:
    """The world that ``--processes`` or ``--launch`` asks for; one of them at most."""
    if accelerate is None:
        if processes is not None and processes < 1:
            raise InputError(f"--processes must be at least 1, not {processes}")
        return World(processes or 1)
    from tratree_cli.training.launch import PROCESSES, accelerate_facts

    if processes is not None:
        raise InputError(
            f"--processes and --launch exclude each other; {accelerate} has its own num_processes"
        )
    wanted = int(accelerate_facts(accelerate)[PROCESSES])
    digest = hashlib.sha256(accelerate.read_bytes()).hexdigest()
    return World(wanted, accelerate.resolve(), digest)


def of(params: Mapping[str, Any]) -> int:
    """The number of processes that a training's keyed parameters ask for."""
    return int(params.get("world", {}).get("processes", 1))


def train_in_world(job: Job, task: Task, progress: Any) -> TrainingResult:
    """Run ``task`` in the world that the job's node asks for."""
    from tratree_cli.training.launch import launch

    digest = job.params.get("world", {}).get("accelerate")
    file = job.node.files.get(digest) if digest else None
    if digest and file is None:
        raise InputError(
            "the accelerate file of this training is not known any more; name it with --launch"
        )
    return launch(task, 1 if file else of(job.params), file, progress)
