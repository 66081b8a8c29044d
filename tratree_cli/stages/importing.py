"""Trajectories of other programs as artifacts (kinds ``rollouts`` and ``demos``).

The key is the file's content, never its name: importing the same file from elsewhere is a hit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.stages.environments import environment_spec
from tratree_cli.stages.graph import Job, Node, Result, Stage

BODY = "tratree_cli.stages.importing:run"
STAGES = {kind: Stage("import", 1, kind, BODY) for kind in ("rollouts", "demos")}


def node(
    config: Config, path: Path, *, form: str, kind: str = "rollouts", on_error: str = "stop"
) -> Node:
    """The import of ``path`` as ``kind``; raises InputError for a file that cannot be read."""
    if kind not in STAGES:
        raise InputError(
            f"trajectories cannot become '{kind}'{did_you_mean(kind, STAGES)}; "
            f"there are {', '.join(STAGES)}"
        )
    if on_error not in ("stop", "skip"):
        raise InputError(f"--on-error is stop or skip, not '{on_error}'")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return Node(
        stage=STAGES[kind],
        label=f"imported {kind}",
        config=config,
        params={"file": digest, "format": form, "kind": kind, "on_error": on_error},
        inputs={},
        environment=environment_spec(config).key(),
        files={digest: path},
    )


def run(job: Job) -> Result:
    from dataclasses import asdict

    from tratree_cli.formats.importing import import_trajectories
    from tratree_cli.formats.rollouts import write_rollouts
    from tratree_cli.stages.tasks import rollouts_summary

    params = job.params
    path = job.node.files.get(params["file"])
    if path is None:
        raise InputError("the imported file is not known any more; import it again by its path")
    found = import_trajectories(
        path,
        params["format"],
        kind=params["kind"],
        on_error=params["on_error"],
        environment=asdict(environment_spec(job.config)),
    )
    write_rollouts(found.rollouts, job.out)
    trajectories = found.rollouts.trajectories
    summary = rollouts_summary(trajectories, tasks=len({t.task for t in trajectories}))
    skipped = sum(found.skipped.values())
    warnings = [f"{count} skipped: {reason}" for reason, count in found.skipped.items()]
    return Result({**summary, "skipped": skipped}, warnings=warnings)
