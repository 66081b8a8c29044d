"""Demonstrations: an expert plays training tasks (D_expert, section 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tratree_cli.agents.registry import backend_of
from tratree_cli.config import Config
from tratree_cli.envs.protocol import Environment, optional
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages.environments import (
    environment_key,
    locations,
    prompt_templates,
    read_prompt,
    require_training_split,
)
from tratree_cli.stages.sampling import (
    choose_tasks,
    episodes_progress,
    policy_modules,
    rollouts_summary,
)


@dataclass(frozen=True)
class DemosParameters:
    policy: str
    split: str
    tasks: int
    min_score: float
    policy_version: int = keyed_unless(1)


STAGE = Stage("demos", 2, "demos", "tratree_cli.stages.demos:run", DemosParameters)


def node(config: Config) -> Node:
    section = config.demos
    require_training_split(config, section.split, "demonstrate on")
    backend = backend_of(section.policy)
    return Node(
        stage=STAGE,
        label="demonstrations",
        config=config,
        params=DemosParameters(
            section.policy,
            section.split,
            section.limit,
            section.min_score,
            backend.version if backend is not None else 1,
        ),
        environment=environment_key(config),
        templates=prompt_templates(config),
        locations=locations(config),
        modules=policy_modules(config, (section.policy,)),
    )


def run(job: Job[DemosParameters]) -> Result:
    from tratree_cli.agents.registry import open_policy
    from tratree_cli.agents.rollout import EpisodeRequest, play
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.formats.rollouts import Rollouts, write_rollouts

    params = job.params
    environment = open_environment(job.environment)
    prompt = read_prompt(job.prompt)
    tasks = choose_tasks(environment, params.split, params.tasks)
    missing = _missing(job, environment, tasks) if params.policy == "expert" else {}
    trajectories, texts = play(
        environment,
        open_policy(params.policy),
        [
            EpisodeRequest(task=task, sample=0, setting=0, seed=0)
            for task in tasks
            if task not in missing
        ],
        prompt=prompt,
        batch=optional(environment, "concurrent_episodes"),
        progress=episodes_progress(job),
    )
    environment.close()
    kept = [t for t in trajectories if t.counted and (t.score or 0.0) >= params.min_score]
    if not kept:
        raise InputError(
            f"no demonstration of {len(trajectories)} scores at least {params.min_score}; "
            "lower demos.min_score"
        )
    demos = Rollouts(
        texts=texts,
        trajectories=kept,
        settings=[{}],
        sources=[params.policy],
        environment=job.environment.key(),
        split=params.split,
        prompt={"messages": prompt},
    )
    write_rollouts(demos, job.out)
    return Result(
        {
            "demonstrations": len(kept),
            "left_out": len(trajectories) - len(kept),
            **({"not_demonstrated": dict(Counter(missing.values()))} if missing else {}),
            **rollouts_summary(kept, tasks=len(tasks)),
        },
        warnings=_warnings(missing, len(tasks)),
    )


def _missing(
    job: Job[DemosParameters], environment: Environment, tasks: Sequence[str]
) -> dict[str, str]:
    """Tasks that the expert knows it cannot show, and why; most environments have none."""
    reason: Callable[[str], str] = optional(environment, "no_demonstration")
    missing: dict[str, str] = {}
    for done, task in enumerate(tasks, 1):
        if why := reason(task):
            missing[task] = why
        job.progress(done, len(tasks), f"solutions checked  {len(missing)} missing")
    return missing


def _warnings(missing: Mapping[str, str], tasks: int) -> list[str]:
    if not missing:
        return []
    reasons = ", ".join(f"{count} {why}" for why, count in Counter(missing.values()).items())
    return [f"{len(missing)} of {tasks} tasks have no demonstration ({reasons})"]
