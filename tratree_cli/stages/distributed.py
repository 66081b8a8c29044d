"""How many processes train together: torchrun's, or what an accelerate file asks for.

The number of processes decides which rows share a step and in what order gradients are summed, so
it is keyed, and so is the content of the accelerate file; where the file lies is not. A stage that
trains alone has nothing of this in its key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job
from tratree_cli.pipeline.parameters import keyed_unless

if TYPE_CHECKING:
    from tratree_cli.training.params import TrainingResult
    from tratree_cli.training.trainer import TrainingTask


@dataclass(frozen=True)
class ProcessGroupParameters:
    """What is keyed of several processes: their number, and the accelerate file's digest."""

    processes: int
    accelerate: str = keyed_unless("")


@dataclass(frozen=True)
class ProcessGroupSpec:
    """The processes of one training; ``accelerate`` is the file they were asked for with."""

    processes: int = 1
    accelerate: Path | None = None
    digest: str = ""

    @property
    def params(self) -> ProcessGroupParameters | None:
        """What is keyed: nothing for a single process."""
        if self.accelerate is not None:
            return ProcessGroupParameters(self.processes, self.digest)
        return ProcessGroupParameters(self.processes) if self.processes > 1 else None

    @property
    def files(self) -> dict[str, Path]:
        return {self.digest: self.accelerate} if self.accelerate is not None else {}


SINGLE_PROCESS = ProcessGroupSpec()


def process_group(processes: int | None, accelerate: Path | None) -> ProcessGroupSpec:
    """The processes that ``--processes`` or ``--launch`` asks for; one of them at most."""
    if accelerate is None:
        if processes is not None and processes < 1:
            raise InputError(f"--processes must be at least 1, not {processes}")
        return ProcessGroupSpec(processes or 1)
    from tratree_cli.training.launch import PROCESSES, accelerate_facts

    if processes is not None:
        raise InputError(
            f"--processes and --launch exclude each other; {accelerate} has its own num_processes"
        )
    wanted = int(accelerate_facts(accelerate)[PROCESSES])
    digest = hashlib.sha256(accelerate.read_bytes()).hexdigest()
    return ProcessGroupSpec(wanted, accelerate.resolve(), digest)


def process_count(group: ProcessGroupParameters | None) -> int:
    """The number of processes that a training's keyed parameters ask for."""
    return 1 if group is None else group.processes


def train_distributed(job: Job[Any], task: TrainingTask[Any, Any], progress: Any) -> TrainingResult:
    """Run ``task`` in the processes that the job's node asks for."""
    from tratree_cli.training.launch import launch

    group: ProcessGroupParameters | None = job.params.world
    digest = "" if group is None else group.accelerate
    file = job.node.files.get(digest) if digest else None
    if digest and file is None:
        raise InputError(
            "the accelerate file of this training is not known any more; name it with --launch"
        )
    return launch(task, 1 if file else process_count(group), file, progress)
