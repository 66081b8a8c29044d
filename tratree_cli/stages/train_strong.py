"""Training the strong model by a method: W2SG tree-DPO (Eq. 6), W2SG MCTS (Eq. 8), and all others.

A method's record says what it learns from, which trainer does it and where that starts; here this
becomes a node of the graph, and the node's inputs become what the trainer reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.pair_rule import pair_rule
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import AS_SEED, AUTO, DpoSection, SftSection, TrainingSection
from tratree_cli.stages import ref_logps, sft, skip_preferred
from tratree_cli.stages.distributed import SINGLE_PROCESS, ProcessGroupParameters, ProcessGroupSpec
from tratree_cli.stages.method_inputs import (
    INPUTS,
    learned_from,
    paths_of_equal_steps,
    trained_method,
    trainer_of,
)
from tratree_cli.stages.pair_settings import section_of
from tratree_cli.stages.plugin_settings import own_settings
from tratree_cli.stages.training_inputs import base_identity, merge_version
from tratree_cli.training.trainer import TRAINERS, Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.stages.run_training import Pairs
    from tratree_cli.training.trainer import Conversations


@dataclass(frozen=True)
class TrainStrongParameters:
    """``training`` is whole for imitation; preference training has a schedule of its own.

    ``data_seed`` orders the rows where it is not ``AS_SEED``.
    ``trainer`` is absent where it follows from the rest: ``preference`` with ``dpo``, else
    ``imitation``. ``settings`` are all settings of a trainer that has its own.
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
    data_seed: int = keyed_unless(AS_SEED)


STAGE = Stage(
    "train-strong", 2, "model", "tratree_cli.stages.train_strong:run", TrainStrongParameters
)


def node(
    config: Config,
    name: str,
    *,
    data: Node | Entry | None = None,
    init: Node | Entry | None = None,
    reference: Node | Entry | None = None,
    processes: ProcessGroupSpec = SINGLE_PROCESS,
) -> Node:
    """The strong model trained by a method; what is not given has its default producer."""
    record = trained_method(name)
    declared = trainer_of(record)
    role, examples = INPUTS[record.learns_from], data or learned_from(config, record)
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
    if role == "pairs":
        start = next(iter(inputs.get("init", ())), None)
        section = config.pairs
        if record.pair_rule:
            section = section_of(config, pair_rule(record.pair_rule))
        examples = skip_preferred.node(config, section, pairs=examples, model=start)
    inputs[role] = (examples,)
    if declared.reference:
        policy = next(iter(inputs.get("init", ())), None)
        inputs |= _reference_inputs(config, record, examples, reference, policy)
    if record.steps_of:
        inputs[ONLY_COUNTED] = (paths_of_equal_steps(config, record),)
    return Node(
        stage=STAGE,
        label=f"strong model, {name}",
        config=config,
        params=_parameters(config, record, declared, processes),
        inputs=inputs,
        models=models,
        files=processes.files,
        locations=Locations(base_models=(config.models.strong,)),
        modules=declared.modules,
        recorded={"role": record.role},
    )


def _parameters(
    config: Config, record: Method, declared: Trainer, processes: ProcessGroupSpec
) -> TrainStrongParameters:
    on_pairs = declared.rows == "pairs"
    implied = "preference" if on_pairs else "imitation"
    return TrainStrongParameters(
        method=record.name,
        seed=config.seed,
        training=config.sft.of("strong").shared if on_pairs else imitation(config),
        dpo=config.dpo if on_pairs else None,
        world=processes.params,
        trainer=None if declared.name == implied else declared.name,
        settings=own_settings(
            TRAINERS,
            declared.name,
            declared.settings,
            config.train.parameters,
            "train.parameters",
        ),
        trainer_version=declared.version,
        merge_version=merge_version(config.sft.of("strong")),
        data_seed=config.train.data_seed,
    )


def imitation(config: Config) -> SftSection:
    """The parameters of imitation: the strong model's SFT, with other epochs and learning rate."""
    section = config.sft.of("strong")
    return replace(
        sft.plain(section),
        epochs=config.train.epochs,
        learning_rate=config.train.learning_rate,
        tree_packing="off" if section.packing else config.train.tree_packing,
    )


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
    if given is None and chosen == "none":
        return {}
    model = given or _reference(config, chosen)
    inputs: dict[str, Sequence[Node | Entry]] = {
        "reference": (ref_logps.node(config, pairs=pairs, reference=model, policy=policy),)
    }
    return {**inputs, "reference_model": (model,)} if config.dpo.explicit_kl else inputs


def _reference(config: Config, chosen: str) -> Node:
    roles = {"weak": "weak", "strong-sft": "strong"}
    if chosen not in roles:
        raise InputError(
            f"dpo.ref must be weak, strong-sft or none here, not '{chosen}'; a model of the store "
            "is named to train-strong itself (--ref)"
        )
    return sft.node(config, roles[chosen])


def run(job: Job[TrainStrongParameters]) -> Result:
    from tratree_cli.stages.run_training import (
        TrainingRun,
        failure_safe,
        run_training,
        starting_point,
    )

    params = job.params
    declared = trainer(params.trainer or ("preference" if params.dpo else "imitation"))
    max_steps = 0
    if ONLY_COUNTED in job.inputs:
        max_steps = _steps_of_paths(job)
        if not max_steps:
            return failure_safe(job, "no path scores above mcts.min_score, so it has no steps")
    examples, reason = _examples(job, declared)
    if not examples:
        return failure_safe(job, reason)
    asked = TrainingRun(
        trainer=declared,
        start=starting_point(job),
        training=params.training,
        dpo=params.dpo,
        max_steps=max_steps,
        data_seed=params.data_seed,
        settings=params.settings or {},
    )
    return run_training(job, asked, examples)


def _examples(
    job: Job[TrainStrongParameters], declared: Trainer
) -> tuple[Conversations | Pairs, str]:
    """What the trainer reads, and what it means where there is none of it."""
    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.training.trainer import Conversations

    (role,) = (role for role in INPUTS.values() if role in job.inputs)
    folder, read = job.one(role).path, declared.load_reader()
    if declared.rows == "pairs":
        pairs = read_pairs(folder)
        return [pair.messages() for pair in pairs.pairs], "no pair is informative"
    if read is not None:
        settings = declared.settings(**job.params.settings or {}) if declared.settings else None
        return read(folder, settings), f"trainer {declared.name} found nothing to learn from"
    if role == "demos":
        return sft.demonstrations_of(job.inputs[role]), "there are no demonstrations"
    paths = read_paths(folder)
    conversations = Conversations([path.messages for path in paths.paths], paths.prefix)
    return conversations, "no path scores above mcts.min_score"


def _steps_of_paths(job: Job[TrainStrongParameters]) -> int:
    """As many optimizer steps as training on these paths takes, so that one compares data alone."""
    from tratree_cli.formats.paths import read_paths

    paths, training = read_paths(job.one(ONLY_COUNTED).path), job.params.training
    assert isinstance(training, SftSection), "imitation has a schedule of its own"
    return steps_on(len(paths.paths), training)


def steps_on(rows: int, training: SftSection) -> int:
    """Optimizer steps that training on ``rows`` rows takes (``trainer_args.total_steps``)."""
    assert training.epochs != AUTO, "imitation has epochs of its own"
    return math.ceil(training.epochs * math.ceil(rows / training.batch_size))
