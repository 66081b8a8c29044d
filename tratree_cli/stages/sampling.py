"""What the stages that play episodes share: tasks, engine settings, progress, and the summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.envs.protocol import Environment
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.pipeline.graph import Job
from tratree_cli.stages.environments import no_such_split

if TYPE_CHECKING:
    from tratree_cli.agents.rollout import Progress
    from tratree_cli.agents.shards import Source
    from tratree_cli.formats.rollouts import Rollouts, Trajectory


SERVED, BASE, HUMAN = "openai:", "base:", "human"
"""How the names of served models, of models outside the store and of people begin in a recipe."""


def choose_tasks(environment: Environment, split: str, limit: int) -> Sequence[str]:
    """The first ``limit`` tasks of a split in its fixed order (0: all of them)."""
    splits = environment.splits()
    if split not in splits:
        raise no_such_split(environment.spec.name, split, splits)
    tasks = splits[split]
    return tasks[:limit] if limit else tasks


def chosen_by_name(environment: Environment, split: str, names: Sequence[str]) -> Sequence[str]:
    """The named tasks of a split, in the split's order; each must be there."""
    known = choose_tasks(environment, split, 0)
    wanted = set(names)
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no task '{name}' in the split '{split}'{did_you_mean(name, known)}; "
                f"`tratree env show {environment.spec.name}` lists them"
            )
    return [task for task in known if task in wanted]


def refuse_test_split(split: str, verb: str, *, allowed: bool = False) -> None:
    """Training on what is evaluated is refused unless the user insists (``--allow-test``)."""
    if split.startswith("test") and not allowed:
        raise InputError(
            f"refusing to {verb} the split '{split}': results on it would mean nothing; "
            "use train or dev, or insist with --allow-test"
        )


def engine_params(config: Config) -> dict[str, Any]:
    """The settings of the engine that change an episode, and so are keyed."""
    section = config.explore
    return {
        "max_new_tokens": section.max_new_tokens,
        "max_context": section.max_context,
        "constrain": section.constrain,
        "block": section.block,
    }


def sample(
    job: Job,
    *,
    split: str,
    tasks: int,
    samples: int,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    seed: int,
    part: tuple[int, int] | None = None,
    names: Sequence[str] = (),
) -> Rollouts:
    """Play ``samples`` episodes of every task with the node's policies, resuming finished shards.

    ``names`` are tasks by name, of which ``tasks`` takes the first (0: all). ``part=(i, n)`` plays
    only the i-th of n parts and returns that. What enters a shard's key is what changes an episode;
    the number of samples and of tasks does not, so asking for more later plays only the difference.
    """
    from tratree_cli.agents.sampling_plan import SamplingPlan, setting_grid
    from tratree_cli.agents.shards import explore
    from tratree_cli.stages.environments import environment_spec, open_environment, read_prompt

    environment = open_environment(job.config)
    if names:
        chosen = chosen_by_name(environment, split, names)[: tasks or None]
    else:
        chosen = choose_tasks(environment, split, tasks)
    environment.close()
    engine = job.params["engine"]
    sources = _sources(job)
    alone = HUMAN in job.params["policies"]
    constrain = {"constrain": True} if engine["constrain"] else {}
    prompt = read_prompt(job.config)
    plan = SamplingPlan(
        tasks=chosen,
        m=samples,
        settings=[{**setting, **constrain} for setting in setting_grid(temperatures, top_ps)],
        seed=seed,
        # A person plays one episode after the other, and none is lost when they stop.
        block=1 if alone else engine["block"],
        sources=[source.name for source in sources],
        context={
            "environment": dict(job.node.environment or {}),
            "prompt": prompt,
            "max_new_tokens": engine["max_new_tokens"],
            "max_context": engine["max_context"],
        },
    )
    return explore(
        environment_spec(job.config),
        sources,
        plan,
        work=job.scratch({"shards": 1}),
        prompt=prompt,
        split=split,
        # Only this process has the terminal.
        workers=1 if alone else job.options.workers,
        engine="local" if alone else job.options.engine,
        address=job.options.address,
        part=part,
        progress=episodes_progress(job),
    )


def _sources(job: Job) -> list[Source]:
    from tratree_cli.agents.shards import Source

    engine = job.params["engine"]
    limits = {
        "max_new_tokens": engine["max_new_tokens"],
        "max_context": engine["max_context"],
        "device": job.options.device,
    }
    models = iter(job.inputs.get("policy", ()))
    sources = []
    for name in job.params["policies"]:
        if name == "model":
            entry = next(models)
            sources.append(Source(entry.object, str(entry.path), limits))
        elif name.startswith(BASE):
            sources.append(Source(name, _place(job, name), limits))
        elif name.startswith(SERVED):
            served = {"max_new_tokens": engine["max_new_tokens"]}
            sources.append(Source(name, _place(job, name), served))
        else:
            sources.append(Source(name, name))
    return sources


def _place(job: Job, name: str) -> str:
    """Where the policy that a recipe knows by name (and never by place) is to be found now."""
    place = job.options.policies.get(name, name if "#" in name else "")
    if not place:
        raise InputError(
            f"nobody says where the policy {name} is; name its address or folder with --policy"
        )
    return place


def external(policies: Sequence[str]) -> dict[str, bool]:
    """``{"external": True}`` for a summary, if a policy's episodes cannot be made again here."""
    outside = (SERVED, "python:", HUMAN)
    return {"external": True} if any(name.startswith(outside) for name in policies) else {}


def episodes_progress(job: Job) -> Callable[[Progress], None]:
    """Episodes done, running and failed, their mean score and tokens per second, as progress."""
    began = time.monotonic()

    def show(now: Progress) -> None:
        parts = [] if now.mean_score is None else [f"mean {100 * now.mean_score:.1f}"]
        parts.append(f"{now.running} running")
        if now.failed:
            parts.append(f"{now.failed} failed")
        if now.tokens:
            seconds = max(time.monotonic() - began, 1e-3)
            parts.append(f"{now.tokens / seconds:,.0f} tokens/s")
        job.progress(now.done, now.total, "  ".join(parts))

    return show


def rollouts_summary(trajectories: Sequence[Trajectory], *, tasks: int) -> dict[str, Any]:
    """Counts and means over trajectories that count (a crash is not a zero)."""
    scores = [t.score for t in trajectories if t.counted and t.score is not None]
    endings: dict[str, int] = {}
    for t in trajectories:
        endings[t.end] = endings.get(t.end, 0) + 1
    n = max(len(scores), 1)
    details = Counter(t.detail for t in trajectories if t.detail)
    return {
        "tasks": tasks,
        "trajectories": len(trajectories),
        "average_reward": round(100 * sum(scores) / n, 2),
        "success_rate": round(100 * sum(t.success for t in trajectories if t.counted) / n, 2),
        "strict_success_rate": round(100 * sum(score >= 1.0 for score in scores) / n, 2),
        "steps": sum(t.steps for t in trajectories),
        "tokens": sum(len(turn) for t in trajectories for turn in t.tokens),
        "endings": dict(sorted(endings.items())),
        **({"reasons": dict(details.most_common(3))} if details else {}),
    }


def failures(summary: Mapping[str, Any]) -> list[str]:
    """A sentence when some episodes ended through no doing of the agent."""
    bad = {
        end: count
        for end, count in summary["endings"].items()
        if end in ("environment-error", "policy-error")
    }
    if not bad:
        return []
    spoken = ", ".join(f"{count} by {end}" for end, count in bad.items())
    reasons = "".join(
        f"; {count} times: {why}" for why, count in summary.get("reasons", {}).items()
    )
    left_out = f"{sum(bad.values())} episodes have no score and are left out of statistics"
    return [f"{left_out} ({spoken}){reasons}"]
