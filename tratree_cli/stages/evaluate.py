"""Evaluation of any policy on a split: the same tasks, seeds and order for every policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages.environments import (
    environment_key,
    locations,
    prompt_templates,
    require_split,
)
from tratree_cli.stages.evaluation_protocol import (
    FULL_SCORE,
    ProtocolSetting,
    load_protocol,
    numbered,
    require_best_of,
    under_protocol,
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
    shown_policy,
    with_template_arguments,
)

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.rollouts import Trajectory

EVALUATION_SEED = 0
"""Sampling seeds of an evaluation do not follow the training seed, so that runs can be paired."""

EVALUATED = "evaluated"
"""The one role of all evaluated policies, so that each of them is played with the same draws."""

PAPER_SPLITS: Mapping[str, Mapping[str, str]] = {
    "alfworld": {"unseen": "test", "seen": "test-seen"},
    "scienceworld": {"unseen": "test", "seen": "dev"},
}
"""What the paper's Table 9 calls its sets, and the splits that they are (keyed by these names)."""


@dataclass(frozen=True)
class EvalParameters:
    """``policies`` is the one policy: ``model`` for the input model, else a policy's name.

    ``protocol`` is the name and version of the protocol, ``numbers`` the range of its task numbers
    where they are not a split, ``success`` what counts as success where it is not the
    environment's own definition.
    """

    split: str
    tasks: int
    samples: int
    temperature: float
    top_p: float
    best_of: int
    engine: EngineParameters
    policies: tuple[str, ...]
    protocol: str = keyed_unless("")
    numbers: str = keyed_unless("")
    success: str = keyed_unless("")


STAGE = Stage(
    "eval",
    2,
    "evaluation",
    "tratree_cli.stages.evaluate:run",
    EvalParameters,
    "tratree_cli.stages.memory_forecast:of_playing",
)


def node(config: Config, *, policy: Node | Entry | str, label: str = "", best_of: int = 1) -> Node:
    """``label`` is for people only; the key knows the policy by its object.

    ``best_of`` N > 1 samples N episodes per task and scores the best of them (section 4.1).
    """
    if best_of > 1:
        require_best_of(config)
    asked, config = config, under_protocol(config)
    section = config.eval
    protocol = load_protocol(section.protocol) if section.protocol else None
    setting = protocol.setting(config.env.name) if protocol else ProtocolSetting()
    numbers = setting.tasks
    split = split_named(config, section.split)
    if not numbers:
        require_split(config, split)
    name = with_template_arguments(config, policy) if isinstance(policy, str) else MODEL
    params = EvalParameters(
        split=split,
        tasks=section.limit,
        samples=best_of if best_of > 1 else section.samples,
        temperature=(section.temperature or 1.0) if best_of > 1 else section.temperature,
        top_p=section.top_p,
        best_of=best_of,
        engine=engine_parameters(config, (name,)),
        policies=(name,),
        protocol=protocol.identity if protocol else "",
        numbers=numbers,
        success=setting.success,
    )
    return Node(
        stage=STAGE,
        label=f"evaluation of {shown_policy(label or name)}",
        # As it was asked for: what is made from here on names the protocol, not what it sets.
        config=asked,
        params=params,
        inputs={} if isinstance(policy, str) else {"policy": (policy,)},
        environment=environment_key(config),
        templates=prompt_templates(config),
        locations=locations(config),
        modules=policy_modules(config, (name,)),
    )


def _strict(trajectory: Trajectory) -> Trajectory:
    """The trajectory with success where its score is 1."""
    return replace(trajectory, success=trajectory.score is not None and trajectory.score >= 1.0)


def split_named(config: Config, name: str) -> str:
    """The split that ``seen`` or ``unseen`` means here; any other name is its own."""
    split = PAPER_SPLITS.get(config.env.name, {}).get(name, name)
    # The official games have no second test set: their seen rooms are the split that one tunes on.
    return "dev" if split == "test-seen" != name and config.env.data != "embedded" else split


def run(job: Job[EvalParameters]) -> Result:
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.evaluation.artifact import Descriptor, write_evaluation
    from tratree_cli.evaluation.metrics import summarise
    from tratree_cli.evaluation.results import episode_results
    from tratree_cli.formats.rollouts import write_rollouts

    params = job.params
    rollouts = sample(
        job,
        policies=params.policies,
        roles=(EVALUATED,),
        engine=params.engine,
        split=params.split,
        tasks=params.tasks,
        names=numbered(params.numbers),
        of_split=not params.numbers,
        turns=True,
        samples=params.samples,
        temperatures=[params.temperature],
        top_ps=[params.top_p],
        # The same tasks, seeds and order for every policy and training seed: paired comparisons.
        seed=EVALUATION_SEED,
    )
    if params.success == FULL_SCORE:
        rollouts = replace(rollouts, trajectories=[*map(_strict, rollouts.trajectories)])
    environment = open_environment(job.environment)
    types = {t.task: environment.task_type(t.task) for t in rollouts.trajectories}
    environment.close()
    best_of = params.best_of if params.best_of > 1 else None
    metrics = summarise(rollouts, types, best_of=best_of, seed=EVALUATION_SEED)
    (policy,) = params.policies
    # Only what is keyed may be written here: who calls the policy what is the report's business.
    descriptor = Descriptor(
        label=policy,
        method=policy,
        environment=job.environment.name,
        split=params.split,
        best_of=best_of,
        protocol=params.protocol,
        warnings=("decoding was restricted to available actions",)
        if params.engine.constrain
        else (),
    )
    # The episodes' texts stay with the figures: `show --task` puts policies side by side.
    write_rollouts(rollouts, job.out)
    write_evaluation(job.out, metrics, episode_results(rollouts, types), descriptor)
    summary = rollouts_summary(rollouts.trajectories, tasks=len(types))
    if metrics.reward and metrics.success and metrics.perfect:
        summary["average_reward"] = round(metrics.reward.value, 2)
        summary["interval"] = [metrics.reward.low, metrics.reward.high]
        # As the reward counts them: of the best of N, where that was asked for.
        summary["success_rate"] = round(metrics.success.value, 2)
        summary["strict_success_rate"] = round(metrics.perfect.value, 2)
    summary.update(external(params.policies, params.engine))
    failed = failures(summary)
    hints = playing_warnings(job, job.params.policies, job.params.engine, rollouts)
    return Result(summary, warnings=[*failed, *hints], partial=bool(failed))
