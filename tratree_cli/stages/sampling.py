"""What the stages that play episodes share: tasks, engine settings, progress, and the summary."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.agents.extra_body import require_extra_body
from tratree_cli.agents.registry import LOCAL, backend_of, engine_backend
from tratree_cli.config import Config
from tratree_cli.envs.protocol import Environment
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.models.template_arguments import arguments_of, files_of
from tratree_cli.pipeline.graph import Job
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import AUTO
from tratree_cli.stages.environments import no_such_split
from tratree_cli.stages.training_inputs import base_of

if TYPE_CHECKING:
    from tratree_cli.agents.rollout import RolloutProgress
    from tratree_cli.agents.shard_player import PolicySource
    from tratree_cli.agents.turn_form import TurnForm
    from tratree_cli.formats.rollouts import Rollouts, Trajectory


MODEL, BASE = "model", "base:"
"""A policy that is an input model, and how the name of a model outside the store begins."""
SHOWN_HEX = 8
"""So many digits of a digest are shown to people."""
SHOWN_REF = len("model:") + SHOWN_HEX


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
    chosen = set(names)
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no task '{name}' in the split '{split}'{did_you_mean(name, known)}; "
                f"it has {len(known)}, the first are {', '.join(known[:3])}"
            )
    return [task for task in known if task in chosen]


@dataclass(frozen=True)
class EngineParameters:
    """The settings that change an episode.

    ``backend`` is the engine that plays the models, if any plays; ``versions`` are those of the
    policies' backends, as far as they are above 1. ``extra_body`` are the further fields of the
    requests of served policies, if any plays.
    """

    max_new_tokens: int
    max_context: int
    constrain: bool
    block: int
    backend: str = keyed_unless(LOCAL)
    versions: Mapping[str, int] | None = keyed_unless(None)
    dtype: str = keyed_unless("auto")
    shard: int = keyed_unless(0)
    reading: str = keyed_unless("each")
    extra_body: Mapping[str, Any] | None = keyed_unless(None)


def engine_parameters(config: Config, policies: Sequence[str]) -> EngineParameters:
    """The parameters with which ``policies`` (by their names in a recipe) are played."""
    section = config.explore
    assert section.block != AUTO, "a command resolves it before there is a node"
    engine = engine_backend(section.backend)
    if section.constrain and engine.external:
        raise InputError(
            f"explore.constrain needs the local engine: {engine.name} samples any token; "
            "use --engine local"
        )
    backends = [backend_of(name) or engine for name in policies]
    versions = {backend.name: backend.version for backend in backends if backend.version > 1}
    local = engine.name == LOCAL and engine in backends
    require_extra_body(section.extra_body, "explore.extra_body")
    served = any(backend.kind == "served" for backend in backends)
    return EngineParameters(
        max_new_tokens=section.max_new_tokens,
        max_context=section.max_context,
        constrain=section.constrain,
        block=section.block,
        backend=engine.name if engine in backends else LOCAL,
        versions=versions or None,
        dtype=section.dtype,
        shard=section.shard if section.shard > section.block else 0,
        reading=section.reading if local else "each",
        extra_body=(section.extra_body if served else None) or None,
    )


def with_template_arguments(config: Config, name: str) -> str:
    """The name of a policy, with its template's arguments where it is a base model that has some.

    A trained model has in its template what it was trained with.
    """
    if not name.startswith(BASE):
        return name
    found = set()
    for role in ("weak", "strong"):
        if config.models.chat_template_kwargs(role):
            identity = base_of(config, role)
            if files_of(identity) == name.removeprefix(BASE):
                found.add(identity)
    if len(found) > 1:
        raise InputError(
            f"the weak and the strong model are both {shown_policy(name)}, with other "
            "chat_template_kwargs each; say with --set which are meant"
        )
    return BASE + found.pop() if found else name


def policy_modules(config: Config, policies: Sequence[str]) -> tuple[str, ...]:
    """The modules of the backends that play ``policies``."""
    engine = engine_backend(config.explore.backend)
    bodies = [(backend_of(name) or engine).body for name in policies]
    return tuple(dict.fromkeys(body.partition(":")[0] for body in bodies))


def sample(
    job: Job[Any],
    *,
    policies: Sequence[str],
    roles: Sequence[str],
    engine: EngineParameters,
    split: str,
    tasks: int,
    samples: int,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    seed: int,
    part: tuple[int, int] | None = None,
    names: Sequence[str] = (),
    of_split: bool = True,
    turns: bool = False,
) -> Rollouts:
    """Play ``samples`` episodes of every task with the node's policies, resuming finished shards.

    ``roles`` are what the seeds of each policy's episodes follow. ``names`` are tasks by name, of
    which ``tasks`` takes the first (0: all); they are of the split unless ``of_split`` is False.
    ``turns`` allows a prompt that asks models about every turn by itself. ``part=(i, n)`` plays
    only the i-th of n parts and returns that. What enters a shard's key is what changes an episode;
    the number of samples and of tasks does not, so asking for more later plays only the difference.
    """
    from tratree_cli.agents.sampling_plan import SamplingPlan, setting_grid
    from tratree_cli.agents.shards import explore
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.stages.environments import read_prompt, read_turn_form

    environment = open_environment(job.environment)
    if not of_split:
        chosen = names
        for name in names:
            environment.max_steps(name)  # refuses a task that is not there
    elif names:
        chosen = chosen_by_name(environment, split, names)[: tasks or None]
    else:
        chosen = choose_tasks(environment, split, tasks)
    environment.close()
    prompt, form = read_prompt(job.prompt, turns=turns), read_turn_form(job.prompt)
    sources = _sources(job, policies, engine, form)
    by_person = is_interactive(policies)
    constrain = {"constrain": True} if engine.constrain else {}
    plan = SamplingPlan(
        tasks=chosen,
        m=samples,
        settings=[{**setting, **constrain} for setting in setting_grid(temperatures, top_ps)],
        seed=seed,
        # A person plays one episode after the other, and none is lost when they stop.
        block=1 if by_person else engine.shard or engine.block,
        at_once=0 if by_person else engine.block,
        sources=[source.name for source in sources],
        roles=roles,
        context={
            "environment": dict(job.node.environment or {}),
            "prompt": prompt,
            **({"turn": asdict(form)} if form else {}),
            "max_new_tokens": engine.max_new_tokens,
            "max_context": engine.max_context,
            **({"backend": engine.backend} if engine.backend != LOCAL else {}),
            **({"versions": dict(engine.versions)} if engine.versions else {}),
            **({"dtype": engine.dtype} if engine.dtype != "auto" else {}),
            **({"reading": engine.reading} if engine.reading != "each" else {}),
            **({"extra_body": dict(engine.extra_body)} if engine.extra_body else {}),
        },
    )
    return explore(
        job.environment,
        sources,
        plan,
        work=job.scratch({"shards": 1}),
        prompt=prompt,
        split=split,
        # Only this process has the terminal.
        workers=1 if by_person else job.options.workers,
        engine="local" if by_person else job.options.engine,
        address=job.options.address,
        part=part,
        progress=episodes_progress(job),
    )


def _sources(
    job: Job[Any], policies: Sequence[str], engine: EngineParameters, form: TurnForm | None
) -> list[PolicySource]:
    from tratree_cli.agents.shard_player import PolicySource

    limits = {
        "max_new_tokens": engine.max_new_tokens,
        "max_context": engine.max_context,
        "device": job.options.device,
        **({"dtype": engine.dtype} if engine.dtype != "auto" else {}),
        **({"reading": engine.reading} if engine.reading != "each" else {}),
    }
    models = iter(job.inputs.get("policy", ()))
    sources = []
    for name in policies:
        backend = backend_of(name)
        if name == MODEL:
            entry = next(models)
            sources.append(
                PolicySource(entry.object, str(entry.path), limits, engine.backend, form)
            )
        elif backend is None:
            arguments = arguments_of(name)
            options = {**limits, "chat_template_kwargs": arguments} if arguments else limits
            sources.append(PolicySource(name, _location(job, name), options, engine.backend, form))
        elif backend.kind == "served":
            served = {
                "max_new_tokens": engine.max_new_tokens,
                **({"extra_body": dict(engine.extra_body)} if engine.extra_body else {}),
            }
            sources.append(PolicySource(name, _location(job, name), served, form=form))
        else:
            sources.append(PolicySource(name, name))
    return sources


def playing_warnings(
    job: Job[Any], policies: Sequence[str], engine: EngineParameters, rollouts: Rollouts
) -> list[str]:
    """What is said about models that read less than was asked for, and about hopeless episodes."""
    from tratree_cli.models.load import context_length
    from tratree_cli.stages import episode_warnings

    entries = iter(job.inputs.get("policy", ()))
    models = []
    for name in policies:
        if name == MODEL:
            entry = next(entries)
            models.append((entry.ref[:SHOWN_REF], entry.path))
        elif backend_of(name) is None:
            models.append((shown_policy(name), Path(_location(job, name))))

    def precision() -> str:
        from tratree_cli.models import devices

        return devices.precision(job.options.device, engine.dtype)

    local = models if engine.backend == LOCAL else []
    return [
        *episode_warnings.shorter_contexts(models, engine.max_context, context_length),
        *episode_warnings.lost_in_bfloat16(local, precision),
        *episode_warnings.hopeless_episodes(rollouts, engine.max_context),
    ]


def shown_policy(name: str) -> str:
    """A policy as people read it: a model outside the store without most of its digest."""
    if not name.startswith(BASE):
        return name
    arguments = "".join(f" {key}={json.dumps(v)}" for key, v in arguments_of(name).items())
    if arguments:
        return shown_policy(files_of(name)) + arguments
    kind, _, rest = name.removeprefix(BASE).partition(":")
    if kind == "hub":
        model, _, commit = rest.partition("@")
        return f"{model}@{commit[:SHOWN_HEX]}"
    return f"{BASE}{rest[:SHOWN_HEX]}"


def _location(job: Job[Any], name: str) -> str:
    """The address or folder of a policy that a recipe knows by its name alone."""
    location = job.options.policies.get(files_of(name), name if "#" in name else "")
    if not location:
        raise InputError(f"the policy {name} has no address or folder here; name it with --policy")
    return location


def external(policies: Sequence[str], engine: EngineParameters) -> dict[str, Any]:
    """``external`` for a summary, if a policy's episodes cannot be made again here.

    With it ``engine``: the name of a serving engine that played models and the version that ran.
    """
    from tratree_cli.agents.engines import noted_version

    player = engine_backend(engine.backend)
    models_played = any(backend_of(name) is None for name in policies)
    backends = [backend_of(name) or player for name in policies]
    summary: dict[str, Any] = {}
    if any(backend.external for backend in backends):
        summary["external"] = True
    if models_played and player.external:
        summary["engine"] = {"name": player.name, "version": noted_version(player.name)}
    return summary


def is_interactive(policies: Sequence[str]) -> bool:
    """Whether a person plays at the terminal."""
    backends = [backend_of(name) for name in policies]
    return any(backend is not None and backend.interactive for backend in backends)


def episodes_progress(job: Job[Any]) -> Callable[[RolloutProgress], None]:
    """Episodes done, running and failed, their mean score and tokens per second, as progress."""
    began = time.monotonic()

    def show(now: RolloutProgress) -> None:
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
        "tokens": sum(t.sampled_tokens for t in trajectories),
        "endings": dict(sorted(endings.items())),
        **({"reasons": dict(details.most_common(3))} if details else {}),
    }


def failures(summary: Mapping[str, Any]) -> list[str]:
    """A sentence when some episodes ended through no doing of the agent."""
    unscored = {
        end: count
        for end, count in summary["endings"].items()
        if end in ("environment-error", "policy-error")
    }
    if not unscored:
        return []
    by_ending = ", ".join(f"{count} by {end}" for end, count in unscored.items())
    reasons = "".join(
        f"; {count} times: {why}" for why, count in summary.get("reasons", {}).items()
    )
    left_out = f"{sum(unscored.values())} episodes have no score and are left out of statistics"
    return [f"{left_out} ({by_ending}){reasons}"]
