"""Trajectories and pairs of other programs as artifacts (``rollouts``, ``demos``, ``pairs``).

The key is the file's content, never its name: importing the same file from elsewhere is a hit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages.environments import environment_spec

Kind = Literal["rollouts", "demos", "pairs"]
OnError = Literal["stop", "skip"]
BODY = "tratree_cli.stages.importing:run"


@dataclass(frozen=True)
class ImportParameters:
    """``file`` is the digest of the file's content; pairs have one format only and name none."""

    file: str
    kind: Kind
    on_error: OnError
    format: str = keyed_unless("")


STAGES = {
    kind: Stage("import", 2, kind, BODY, ImportParameters)
    for kind in ("rollouts", "demos", "pairs")
}


def node(
    config: Config,
    path: Path,
    *,
    form: str = "",
    kind: str = "rollouts",
    on_error: str = "stop",
) -> Node:
    """The import of ``path`` as ``kind``; raises InputError for a file that cannot be read.

    Without a ``form`` the first record decides; pairs have only one.
    """
    if kind not in STAGES:
        raise InputError(
            f"files cannot become '{kind}'{did_you_mean(kind, STAGES)}; "
            f"there are {', '.join(STAGES)}"
        )
    if on_error not in ("stop", "skip"):
        raise InputError(f"--on-error is stop or skip, not '{on_error}'")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if kind == "pairs":
        form = ""
    elif not form:
        from tratree_cli.formats.importing import guess_format

        form = guess_format(path)
    environment = environment_spec(config)
    return Node(
        stage=STAGES[kind],
        label=f"imported {kind}",
        config=config,
        params=ImportParameters(digest, cast(Kind, kind), cast(OnError, on_error), form),
        inputs={},
        environment=environment.key(),
        locations=Locations(environment=environment),
        files={digest: path},
    )


def run(job: Job[ImportParameters]) -> Result:
    from dataclasses import asdict

    from tratree_cli.formats.importing import import_trajectories
    from tratree_cli.formats.rollouts import write_rollouts
    from tratree_cli.stages.sampling import rollouts_summary

    params = job.params
    path = job.node.files.get(params.file)
    if path is None:
        raise InputError("the imported file is not known any more; import it again by its path")
    if params.kind == "pairs":
        return _pairs(job, path)
    imported = import_trajectories(
        path,
        params.format,
        kind=params.kind,
        on_error=params.on_error,
        environment=asdict(job.environment),
    )
    write_rollouts(imported.rollouts, job.out)
    trajectories = imported.rollouts.trajectories
    summary = rollouts_summary(trajectories, tasks=len({t.task for t in trajectories}))
    result = _result(summary, imported.skipped)
    return replace(result, warnings=[*result.warnings, *_lost(imported.dropped)])


def _pairs(job: Job[ImportParameters], path: Path) -> Result:
    from tratree_cli.formats.importing_pairs import RULE, import_pairs
    from tratree_cli.formats.pairs import write_pairs

    imported = import_pairs(path, on_error=job.params.on_error)
    write_pairs(imported.pairs, job.out, meta={"rule": RULE, "dropped": dict(imported.skipped)})
    return _result({"pairs": len(imported.pairs)}, imported.skipped)


def _lost(dropped: Mapping[str, int]) -> list[str]:
    return [
        f"'{name}' was dropped {count} times: an agent acts by its words here, so write calls into "
        "the message's text to keep them"
        for name, count in dropped.items()
    ]


def _result(summary: Mapping[str, Any], skipped: Mapping[str, int]) -> Result:
    return Result(
        {**summary, "skipped": sum(skipped.values())},
        warnings=[f"{count} skipped: {reason}" for reason, count in skipped.items()],
    )
