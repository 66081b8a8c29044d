"""Training the strong model by a method: W2SG tree-DPO (Eq. 6), W2SG MCTS (Eq. 8), and all others.

A method's record says what it learns from, which trainer does it and where that starts; here this
becomes a node of the graph, and the node's inputs become what the trainer reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.pair_rule import pair_rule
from tratree_cli.methods.registry import method
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import AS_SEED, DpoSection, SftSection, TrainingSection
from tratree_cli.stages import demos, ref_logps, sft, skip_preferred
from tratree_cli.stages.demonstration_share import DEMONSTRATIONS, with_demonstrations
from tratree_cli.stages.distributed import SINGLE_PROCESS, ProcessGroupParameters, ProcessGroupSpec
from tratree_cli.stages.method_inputs import (
    INPUTS,
    learned_from,
    trained_method,
    trainer_of,
)
from tratree_cli.stages.pair_settings import section_of
from tratree_cli.stages.plugin_settings import own_settings
from tratree_cli.stages.run_training import JointParameters
from tratree_cli.stages.schedules import (
    EqualSteps,
    counted_steps,
    demo_share,
    equal_steps,
    imitation,
    path_curriculum,
    preference,
    turn_discount,
)
from tratree_cli.stages.training_inputs import base_identity, held_version, merge_version
from tratree_cli.training.trainer import TRAINERS, Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class TrainStrongParameters:
    """``training`` is whole for imitation; preference training has a schedule of its own.

    ``data_seed`` orders the rows where it is not ``AS_SEED``.
    ``trainer`` is absent where it follows from the rest: ``joint`` with ``joint``, ``preference``
    with ``dpo``, else ``imitation``. ``settings`` are all settings of a trainer that has its own.
    ``steps`` is there for a control at equal steps, ``swapped`` where the sides of pairs are in
    random order, ``basis`` where only pairs of that basis are learnt from. ``demo_share`` is that
    of the paths that are imitated, ``curriculum`` their order.
    """

    method: str
    seed: int
    training: SftSection | TrainingSection
    dpo: DpoSection | None = keyed_unless(None)
    world: ProcessGroupParameters | None = keyed_unless(None)
    trainer: str | None = keyed_unless(None)
    settings: Mapping[str, Any] | None = keyed_unless(None)
    trainer_version: int = keyed_unless(1)
    merge_version: int = keyed_unless(1)
    held_version: int = keyed_unless(1)
    demo_share: float = keyed_unless(0.0)
    data_seed: int = keyed_unless(AS_SEED)
    joint: JointParameters | None = keyed_unless(None)
    steps: EqualSteps | None = keyed_unless(None)
    swapped: bool = keyed_unless(False)
    basis: str | None = keyed_unless(None)
    curriculum: str = keyed_unless("")

    @property
    def trainer_name(self) -> str:
        """The trainer by name."""
        implied = "joint" if self.joint else "preference" if self.dpo else "imitation"
        return self.trainer or implied


STAGE = Stage(
    "train-strong",
    2,
    "model",
    "tratree_cli.stages.train_strong:run",
    TrainStrongParameters,
    "tratree_cli.stages.memory_forecast:of_training",
)


INIT = "init"
"""The ``dpo.ref`` that stands for the model where the training starts."""


def node(
    config: Config,
    name: str,
    *,
    data: Sequence[Node | Entry] = (),
    init: Node | Entry | None = None,
    reference: Node | Entry | None = None,
    explored: Sequence[Node | Entry] = (),
    steps_of: Node | None = None,
    processes: ProcessGroupSpec = SINGLE_PROCESS,
) -> Node:
    """The strong model trained by a method; what is not given has its default producer.

    ``explored`` takes the place of the exploration that is learned from; the training has as many
    optimizer steps as all rounds of ``steps_of`` where that is given. A control that would
    train just as another method does is that method's model.
    """
    record = trained_method(name)
    given = Given(tuple(data), init, reference, tuple(explored), steps_of)
    built = _node(config, record, given, processes)
    if record.same_as:
        other = _node(config, trained_method(record.same_as), given, processes)
        renamed = replace(built, params=replace(built.params, method=record.same_as))
        if renamed.key == other.key:
            return other
    return built


@dataclass(frozen=True)
class Given:
    """What takes the place of a node's default producers (``node``)."""

    data: tuple[Node | Entry, ...]
    init: Node | Entry | None
    reference: Node | Entry | None
    explored: tuple[Node | Entry, ...]
    steps_of: Node | None


def _node(config: Config, record: Method, given: Given, processes: ProcessGroupSpec) -> Node:
    declared = trainer_of(record)
    init, reference, explored = given.init, given.reference, given.explored
    inputs: dict[str, Sequence[Node | Entry]] = {}
    models: dict[str, str] = {}
    if init is not None:
        inputs["init"] = (init,)
    elif config.train.init == "base":
        models["base"] = base_identity(config.models.strong)
    elif config.train.init == "sft":
        inputs["init"] = (sft.node(config, "strong"),)
    else:
        raise InputError(
            f"train.init must be sft or base here, not '{config.train.init}'; a model of the store "
            "is named to train-strong itself (--init)"
        )
    policy = next(iter(inputs.get("init", ())), None)
    data = {_kind(one): one for one in given.data}
    for kind in INPUTS[record.learns_from]:
        inputs[kind] = (data.get(kind) or learned_from(config, record, kind, explored),)
    if "pairs" in inputs:
        inputs["pairs"] = (_not_preferred(config, record, inputs["pairs"][0], policy),)
    if demo_share(config, record):
        inputs[DEMONSTRATIONS] = (demos.node(config),)
    if declared.reference:
        (pairs,) = inputs["pairs"]
        inputs |= _reference_inputs(config, record, pairs, reference, policy)
    params = _parameters(config, record, declared, processes, from_base="base" in models)
    if given.steps_of is not None:
        params = replace(params, steps=EqualSteps(0.0, 0, of_rounds=given.steps_of.key_params))
        inputs[ONLY_COUNTED] = (given.steps_of,)
    elif params.steps is not None and not params.steps.updates:
        counted = method(record.steps_of)
        kind = next((k for k in ("paths", "pairs") if k in INPUTS[counted.learns_from]), "")
        inputs[ONLY_COUNTED] = (
            data.get(kind) or _counted(config, counted, reference, policy, explored),
        )
    return Node(
        stage=STAGE,
        label=f"strong model, {record.name}",
        config=config,
        params=params,
        inputs=inputs,
        models=models,
        files=processes.files,
        locations=Locations(base_models=(config.models.strong,)),
        modules=declared.modules,
        recorded={"role": record.role},
    )


def _kind(given: Node | Entry) -> str:
    return given.stage.kind if isinstance(given, Node) else given.kind


def _not_preferred(
    config: Config, record: Method, pairs: Node | Entry, policy: Node | Entry | None
) -> Node | Entry:
    """The pairs as far as the model that is trained does not prefer them yet, if that is asked."""
    section = section_of(config, pair_rule(record.pair_rule)) if record.pair_rule else config.pairs
    return skip_preferred.node(config, section, pairs=pairs, model=policy)


def _counted(
    config: Config,
    record: Method,
    reference: Node | Entry | None,
    policy: Node | Entry | None,
    explored: Sequence[Node | Entry],
) -> Node | Entry:
    """What has as many rows as ``record`` trains on: its paths, or its pairs as scored."""
    if "paths" in INPUTS[record.learns_from]:
        return learned_from(config, record, "paths", explored)
    mined = learned_from(config, record, "pairs", explored)
    pairs = _not_preferred(config, record, mined, policy)
    scored = (
        _reference_inputs(config, record, pairs, reference, policy)
        if trainer_of(record).reference
        else {}
    )
    return next(iter(scored.get("reference", ())), pairs)


def _parameters(
    config: Config,
    record: Method,
    declared: Trainer,
    processes: ProcessGroupSpec,
    *,
    from_base: bool,
) -> TrainStrongParameters:
    on_pairs = record.learns_from_pairs
    joint = record.learns_from == "pairs and paths"
    params = TrainStrongParameters(
        method=record.name,
        seed=config.seed,
        training=config.sft.of("strong").shared if on_pairs else imitation(config, record),
        dpo=preference(config, record) if on_pairs else None,
        world=processes.params,
        settings=own_settings(
            TRAINERS,
            declared.name,
            declared.settings,
            config.train.parameters,
            "train.parameters",
        ),
        trainer_version=declared.version,
        merge_version=merge_version(
            config.sft.of("strong"), config.models.strong if from_base else ""
        ),
        held_version=1 if from_base else held_version(config.sft.of("strong")),
        demo_share=demo_share(config, record),
        data_seed=config.train.data_seed,
        joint=JointParameters(config.joint.nll_weight, config.joint.updates) if joint else None,
        steps=equal_steps(config, record),
        swapped=record.of_pairs == "swapped",
        basis="mirror" if record.of_pairs == "mirror" else None,
        curriculum=path_curriculum(config, record),
    )
    implied = params.trainer_name == declared.name
    return params if implied else replace(params, trainer=declared.name)


def _reference_inputs(
    config: Config,
    record: Method,
    pairs: Node | Entry,
    given: Node | Entry | None,
    policy: Node | Entry | None,
) -> dict[str, Sequence[Node | Entry]]:
    """The KL reference's scores of the pairs, and the model itself where it is needed live.

    ``policy`` is the model that is trained, where it is no base model.
    """
    chosen = config.dpo.ref or {"weak": "weak"}.get(record.reference, "strong-sft")
    if given is None and (chosen == "none" or (chosen == INIT and policy is None)):
        # The training itself scores the pairs with the model that it starts from.
        return {}
    model = given or (policy if chosen == INIT and policy else _reference(config, chosen))
    by_turn = turn_discount(config, record) > 0
    scores = ref_logps.node(config, pairs=pairs, reference=model, policy=policy, by_turn=by_turn)
    inputs: dict[str, Sequence[Node | Entry]] = {"reference": (scores,)}
    live = config.dpo.explicit_kl and record.of_pairs != "nll"
    return {**inputs, "reference_model": (model,)} if live else inputs


def _reference(config: Config, chosen: str) -> Node:
    roles = {"weak": "weak", "strong-sft": "strong"}
    if chosen not in roles:
        raise InputError(
            f"dpo.ref must be weak, strong-sft, init or none here, not '{chosen}'; a model of the "
            "store is named to train-strong itself (--ref)"
        )
    return sft.node(config, roles[chosen])


def run(job: Job[TrainStrongParameters]) -> Result:
    from tratree_cli.stages.examples import demonstrations_of, examples_of
    from tratree_cli.stages.run_training import (
        TrainingRun,
        failure_safe,
        run_training,
        starting_point,
    )

    params, start = job.params, starting_point(job)
    declared = trainer(params.trainer_name)
    max_steps = params.joint.updates if params.joint else 0
    if params.steps is not None:
        max_steps = counted_steps(job, params.steps, params.training, start.folder)
        if not max_steps:
            return failure_safe(job, "what its steps are counted by is empty, so it has no steps")
    examples, reason = examples_of(job, declared, params.basis)
    if not examples:
        return failure_safe(job, reason)
    mixed_in = {}
    if DEMONSTRATIONS in job.inputs:
        assert examples.conversations is not None, "paths are imitated"
        paths = examples.conversations
        demonstrations = demonstrations_of(job.inputs[DEMONSTRATIONS])
        mixed = with_demonstrations(paths, demonstrations, params.demo_share, params.seed)
        examples = replace(examples, conversations=mixed)
        mixed_in = {"demonstrations_mixed_in": len(mixed) - len(paths)}
    asked = TrainingRun(
        trainer=declared,
        start=start,
        training=params.training,
        dpo=params.dpo,
        joint=params.joint,
        max_steps=max_steps,
        data_seed=params.data_seed,
        settings=params.settings or {},
        swapped=params.swapped,
        curriculum=params.curriculum,
    )
    result = run_training(job, asked, examples)
    return replace(result, summary={**result.summary, **mixed_in})
