"""Demonstrations: an expert plays training tasks (D_expert, section 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from tratree_cli.config import Config
from tratree_cli.envs.protocol import Environment, optional
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages.environments import (
    environment_key,
    open_environment,
    prompt_templates,
    read_prompt,
)
from tratree_cli.stages.sampling import (
    choose_tasks,
    episodes_progress,
    refuse_test_split,
    rollouts_summary,
)

STAGE = Stage("demos", 1, "demos", "tratree_cli.stages.demos:run")


def node(config: Config) -> Node:
    refuse_test_split(config.demos.split, "demonstrate on")
    return Node(
        stage=STAGE,
        label="demonstrations",
        config=config,
        params={**asdict(config.demos)},
        environment=environment_key(config),
        templates=prompt_templates(config),
    )


def run(job: Job) -> Result:
    from tratree_cli.agents.policy import open_policy
    from tratree_cli.agents.rollout import EpisodeRequest, play
    from tratree_cli.formats.rollouts import Rollouts, write_rollouts

    config = job.config
    environment = open_environment(config)
    prompt = read_prompt(config)
    tasks = choose_tasks(environment, config.demos.split, config.demos.tasks)
    missing = _missing(job, environment, tasks) if config.demos.policy == "expert" else {}
    trajectories, texts = play(
        environment,
        open_policy(config.demos.policy),
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
    kept = [t for t in trajectories if t.counted and (t.score or 0.0) >= config.demos.min_score]
    if not kept:
        raise InputError(
            f"no demonstration of {len(trajectories)} scores at least {config.demos.min_score}; "
            "lower demos.min_score"
        )
    demos = Rollouts(
        texts=texts,
        trajectories=kept,
        settings=[{}],
        sources=[config.demos.policy],
        environment=environment_key(config),
        split=config.demos.split,
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
        warnings=_spoken(missing, len(tasks)),
    )


def _missing(job: Job, environment: Environment, tasks: Sequence[str]) -> dict[str, str]:
    """Tasks that the expert knows it cannot show, and why; most environments have none."""
    reason: Callable[[str], str] = optional(environment, "no_demonstration")
    missing: dict[str, str] = {}
    for done, task in enumerate(tasks, 1):
        if why := reason(task):
            missing[task] = why
        job.progress(done, len(tasks), f"solutions checked  {len(missing)} missing")
    return missing


def _spoken(missing: Mapping[str, str], tasks: int) -> list[str]:
    if not missing:
        return []
    reasons = ", ".join(f"{count} {why}" for why, count in Counter(missing.values()).items())
    return [f"{len(missing)} of {tasks} tasks have no demonstration ({reasons})"]
