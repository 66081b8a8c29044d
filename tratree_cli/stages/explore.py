"""Exploration: a policy plays training tasks M times each (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import sft
from tratree_cli.stages.environments import environment_key, prompt_templates, require_split
from tratree_cli.stages.sampling import (
    engine_params,
    external,
    failures,
    refuse_test_split,
    rollouts_summary,
    sample,
)

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.rollouts import Rollouts
    from tratree_cli.pipeline.runtime import Runtime

STAGE = Stage("explore", 1, "rollouts", "tratree_cli.stages.explore:run")


def node(
    config: Config,
    *,
    policies: Sequence[Node | Entry | str] | None = None,
    explorer: str = "",
    allow_test: bool = False,
) -> Node:
    """Exploration by the SFT model of ``explorer`` (default: the configuration's), or by policies.

    A policy is a model (a node or an artifact) or the name of a scripted or served one.
    """
    section = config.explore
    refuse_test_split(section.split, "explore", allowed=allow_test)
    require_split(config, section.split)
    role = explorer or section.explorer
    given = tuple(policies) if policies else (sft.node(config, role),)
    models = [policy for policy in given if not isinstance(policy, str)]
    params: dict[str, Any] = {
        "m": section.m,
        "temperature": section.temperature,
        "top_p": section.top_p,
        "split": section.split,
        "tasks": section.tasks,
        "engine": engine_params(config),
        "seed": config.seed,
    }
    if section.task_ids:
        params["task_ids"] = list(section.task_ids)
    params["policies"] = [policy if isinstance(policy, str) else "model" for policy in given]
    who = "strong" if policies is None and role == "strong" else ""
    return Node(
        stage=STAGE,
        label="exploration" + (f" by the {who} model" if who else ""),
        config=config,
        params=params,
        inputs={"policy": tuple(models)} if models else {},
        environment=environment_key(config),
        templates=prompt_templates(config),
    )


def run(job: Job) -> Result:
    from tratree_cli.formats.rollouts import write_rollouts

    rollouts = played(job)
    write_rollouts(rollouts, job.out)
    tasks = len({t.task for t in rollouts.trajectories})
    summary = rollouts_summary(rollouts.trajectories, tasks=tasks)
    warnings = failures(summary)
    summary.update(external(job.params["policies"]))
    return Result(summary, warnings=warnings, partial=bool(warnings))


def played(job: Job, part: tuple[int, int] | None = None) -> Rollouts:
    """The node's rollouts, or the i-th of n parts of them; finished shards are kept."""
    section = job.config.explore
    return sample(
        job,
        split=section.split,
        tasks=section.tasks,
        samples=section.m,
        temperatures=section.temperature,
        top_ps=section.top_p,
        seed=job.config.seed,
        part=part,
        names=section.task_ids,
    )


def play_part(runtime: Runtime, chosen: Node, part: tuple[int, int]) -> int:
    """Play one part of an exploration into the shared shards; returns its number of episodes.

    Nothing is published and the recipe is not locked, so that many machines may do this at once.
    """
    inputs = {
        role: [source if not isinstance(source, Node) else runtime.realise(source) for source in s]
        for role, s in chosen.inputs.items()
    }
    runtime.reporter.started(chosen.label, f"part {part[0]}/{part[1]}")
    job = Job(
        node=chosen,
        inputs=inputs,
        out=runtime.store_root,
        store_root=runtime.store_root,
        scratch=runtime.store.partial,
        options=runtime.options,
        progress=lambda done, total, note: runtime.reporter.progress(
            chosen.label, done, total, note
        ),
    )
    return len(played(job, part).trajectories)
