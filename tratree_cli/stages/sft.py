"""Supervised fine-tuning on demonstrations (Eq. 4), and the diversity-seeking explorer (Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import AUTO, SFT_ROLES, EvalSection, SftSection
from tratree_cli.stages import demos, evaluate
from tratree_cli.stages.distributed import SINGLE_PROCESS, ProcessGroupParameters, ProcessGroupSpec
from tratree_cli.stages.evaluate import EvalParameters
from tratree_cli.stages.training_inputs import base_of, merge_version
from tratree_cli.training.trainer import Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class SftParameters:
    sft: SftSection
    seed: int
    world: ProcessGroupParameters | None = keyed_unless(None)
    merge_version: int = keyed_unless(1)


@dataclass(frozen=True)
class SftAutoParameters:
    """SFT whose length is chosen: what is tried, and the evaluation on dev that decides.

    ``candidates`` are in rising order, ``versions`` those of the stages ``sft`` and ``eval``.
    """

    sft: SftSection
    seed: int
    candidates: tuple[float, ...]
    patience: int
    evaluation: EvalParameters
    versions: tuple[int, ...]
    world: ProcessGroupParameters | None = keyed_unless(None)
    merge_version: int = keyed_unless(1)


STAGE = Stage(
    "sft",
    3,
    "model",
    "tratree_cli.stages.sft:run",
    SftParameters,
    "tratree_cli.stages.memory_forecast:of_training",
)
AUTO_STAGE = Stage(
    "sft-auto",
    1,
    "model",
    "tratree_cli.stages.sft_auto:run",
    SftAutoParameters,
    "tratree_cli.stages.memory_forecast:of_training",
)
"""Its body is ``stages.sft_auto``; it is declared here, where its nodes are made."""
ROLES = SFT_ROLES


def node(
    config: Config,
    role: str,
    *,
    demonstrations: Sequence[Node | Entry] | None = None,
    diverge_from: Node | Entry | None = None,
    processes: ProcessGroupSpec = SINGLE_PROCESS,
) -> Node:
    """SFT of the weak or the strong base model on the demonstrations.

    Where ``sft.epochs`` is ``auto`` for it, the node is one that chooses the length on dev.
    """
    section = config.sft.of(role)
    inputs: dict[str, Sequence[Node | Entry]] = {
        "demos": tuple(demonstrations or (demos.node(config),))
    }
    if diverge_from is not None:
        inputs["diverge_from"] = (diverge_from,)
    base = config.models.weak if role == "weak" else config.models.strong
    trained = Node(
        stage=STAGE,
        label=f"SFT {role} model" + (" (explorer, Eq. 5)" if diverge_from is not None else ""),
        config=config,
        params=SftParameters(
            sft=section if diverge_from is not None else plain(section),
            seed=config.seed,
            world=processes.params,
            merge_version=merge_version(section, base),
        ),
        inputs=inputs,
        models={"base": base_of(config, role)},
        files=processes.files,
        locations=Locations(base_models=(base,)),
        recorded={"role": role},
        modules=trainer_modules(diverge_from is not None),
    )
    return _of_chosen_length(trained, config, section) if section.epochs == AUTO else trained


def _of_chosen_length(trained: Node, config: Config, section: SftSection) -> Node:
    """The node that tries several lengths of ``trained`` and takes the best on dev."""
    if not section.auto_epochs:
        raise InputError("sft.auto_epochs is empty, so sft.epochs = auto has no length to try")
    for source in trained.inputs["demos"]:
        if (source.stage.name if isinstance(source, Node) else source.stage) == "import":
            raise InputError(
                "sft.epochs = auto plays the dev tasks of the demonstrations' environment, and "
                "conversations of one's own have none; say a number, as in --epochs 24"
            )
    params: SftParameters = trained.params
    played = evaluate.node(on_dev(config, section.auto_tasks), policy=trained)
    return replace(
        trained,
        stage=AUTO_STAGE,
        params=SftAutoParameters(
            sft=params.sft,
            seed=params.seed,
            candidates=tuple(sorted(set(section.auto_epochs))),
            patience=section.auto_patience,
            evaluation=played.params,
            versions=(STAGE.version, evaluate.STAGE.version),
            world=params.world,
            merge_version=params.merge_version,
        ),
        environment=played.environment,
        templates=played.templates,
        locations=replace(played.locations, base_models=trained.locations.base_models),
        modules=(STAGE.module, evaluate.STAGE.module, *trained.modules, *played.modules),
    )


def on_dev(config: Config, tasks: int) -> Config:
    """The configuration in which dev tasks are played greedily, once each."""
    section = EvalSection(split="dev", limit=tasks)
    return replace(config, eval=section)


def plain(section: SftSection) -> SftSection:
    """The section without Eq. 5's term, which is keyed only where it is used."""
    return replace(_packed_once(section), diverge_weight=0.0, diverge_cap=0.0)


def _packed_once(section: SftSection) -> SftSection:
    """Sequences of several conversations are no rows of a tree, whatever is asked for."""
    return replace(section, tree_packing="off") if section.packing else section


def trainer_modules(diverging: bool) -> tuple[str, ...]:
    """The modules of the trainer, which is another one for Eq. 5."""
    return _trainer(diverging).modules


def _trainer(diverging: bool) -> Trainer:
    return trainer("explorer" if diverging else "imitation")


def run(job: Job[SftParameters]) -> Result:
    from tratree_cli.stages.examples import Examples, demonstrations_of
    from tratree_cli.stages.run_training import TrainingRun, run_training, starting_point

    diverge_from = job.maybe("diverge_from")
    return run_training(
        job,
        TrainingRun(
            trainer=_trainer(diverge_from is not None),
            start=starting_point(job),
            training=job.params.sft,
            other=diverge_from.path if diverge_from is not None else None,
        ),
        Examples(demonstrations_of(job.inputs["demos"])),
    )
