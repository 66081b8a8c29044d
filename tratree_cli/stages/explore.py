"""Exploration: a policy plays training tasks M times each (section 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.agents.registry import backend_of
from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages import sft
from tratree_cli.stages.environments import (
    environment_key,
    locations,
    prompt_templates,
    require_training_split,
)
from tratree_cli.stages.sampling import (
    MODEL,
    EngineParameters,
    engine_parameters,
    external,
    failures,
    playing_warnings,
    policy_modules,
    rollouts_summary,
    sample,
)

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.rollouts import Rollouts
    from tratree_cli.pipeline.runtime import Runtime


@dataclass(frozen=True)
class ExploreParameters:
    """``policies`` has ``model`` for each input model, else the name of a policy.

    ``roles`` are what the policies are in the experiment: ``weak``, ``strong``, the name of a
    policy that is no model, or empty where it is not known. Seeds follow them.
    """

    m: int
    temperature: tuple[float, ...]
    top_p: tuple[float, ...]
    split: str
    tasks: int
    engine: EngineParameters
    seed: int
    policies: tuple[str, ...]
    roles: tuple[str, ...]
    task_ids: tuple[str, ...] = keyed_unless(())


STAGE = Stage(
    "explore",
    2,
    "rollouts",
    "tratree_cli.stages.explore:run",
    ExploreParameters,
    "tratree_cli.stages.memory_forecast:of_playing",
)


def node(
    config: Config,
    *,
    policies: Sequence[Node | Entry | str] | None = None,
    explorer: str = "",
    roles: Sequence[str] = (),
    allow_test: bool = False,
) -> Node:
    """Exploration by the SFT model of ``explorer`` (default: the configuration's), or by policies.

    ``both`` are the weak and the strong one in one exploration, so that whatever is made of it is
    made of both; their episodes are those that each plays alone, and are shared with these. A
    policy is a model (a node or an artifact) or the name of a scripted or served one. ``roles`` are
    theirs where their own are not what the experiment knows them by.
    """
    section = config.explore
    require_training_split(config, section.split, "explore", allowed=allow_test)
    role = explorer or section.explorer
    given = tuple(policies) if policies else default_policies(config, role)
    models = [policy for policy in given if not isinstance(policy, str)]
    names = tuple(policy if isinstance(policy, str) else MODEL for policy in given)
    params = ExploreParameters(
        m=section.m,
        temperature=tuple(section.temperature),
        top_p=tuple(section.top_p),
        split=section.split,
        tasks=section.limit,
        engine=engine_parameters(config, names),
        seed=config.seed,
        policies=names,
        roles=tuple(roles) or distinct_roles(given),
        task_ids=tuple(section.task_ids),
    )
    who = {"strong": " by the strong model", "both": " by both models"}.get(role, "")
    return Node(
        stage=STAGE,
        label="exploration" + ("" if policies else who),
        config=config,
        params=params,
        inputs={"policy": tuple(models)} if models else {},
        environment=environment_key(config),
        templates=prompt_templates(config),
        locations=locations(config),
        modules=policy_modules(config, names),
    )


def default_policies(config: Config, role: str) -> tuple[Node | str, ...]:
    """Who explores where nobody is named: SFT models, or ``explore.policy`` for the weak one."""
    policy = config.explore.policy
    if not policy:
        return tuple(sft.node(config, one) for one in explorers(role))
    backend = backend_of(policy)
    if backend is None or backend.kind != "scripted":
        raise InputError(
            f"explore.policy = '{policy}' is no scripted policy; hand models and servers to "
            "explore as arguments or with --policy"
        )
    return tuple(policy if one == "weak" else sft.node(config, one) for one in explorers(role))


def explorers(explorer: str) -> tuple[str, ...]:
    """The roles of the SFT models that explore."""
    return sft.ROLES if explorer == "both" else (explorer,)


def distinct_roles(policies: Sequence[Node | Entry | str]) -> tuple[str, ...]:
    """The role of each policy; the second of the same role has a number, for draws of its own."""
    seen = Counter[str]()
    roles = []
    for policy in policies:
        role = _role(policy)
        seen[role] += 1
        roles.append(role if seen[role] == 1 else f"{role}-{seen[role]}")
    return tuple(roles)


def _role(policy: Node | Entry | str) -> str:
    if isinstance(policy, str):
        return policy
    if isinstance(policy, Node):
        return str(policy.recorded.get("role", ""))
    return str(policy.provenance.get("role", ""))


def run(job: Job[ExploreParameters]) -> Result:
    from tratree_cli.formats.rollouts import write_rollouts

    rollouts = played(job)
    write_rollouts(rollouts, job.out)
    tasks = len({t.task for t in rollouts.trajectories})
    summary = rollouts_summary(rollouts.trajectories, tasks=tasks)
    failed = failures(summary)
    hints = playing_warnings(job, job.params.policies, job.params.engine, rollouts)
    summary.update(external(job.params.policies, job.params.engine))
    return Result(summary, warnings=[*failed, *hints], partial=bool(failed))


def played(job: Job[ExploreParameters], part: tuple[int, int] | None = None) -> Rollouts:
    """The node's rollouts, or the i-th of n parts of them; finished shards are kept."""
    params = job.params
    return sample(
        job,
        policies=params.policies,
        roles=params.roles,
        engine=params.engine,
        split=params.split,
        tasks=params.tasks,
        samples=params.m,
        temperatures=params.temperature,
        top_ps=params.top_p,
        seed=params.seed,
        part=part,
        names=params.task_ids,
    )


def play_part(runtime: Runtime, chosen: Node, part: tuple[int, int]) -> int:
    """Play one part of an exploration into the shared shards; returns its number of episodes.

    Nothing is published and the recipe is not locked, so that many machines may do this at once.
    """
    for source in chosen.upstream():
        runtime.realise(source)
    run = runtime.prepared(chosen)
    assert run is not None, "its inputs were just made"
    runtime.reporter.started(chosen.label, f"part {part[0]}/{part[1]}")
    job = run.job(runtime.store_root, runtime.store, runtime.reporter)
    return len(played(job, part).trajectories)
