"""Supervised fine-tuning on demonstrations (Eq. 4), and the diversity-seeking explorer (Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import SftSection
from tratree_cli.stages import demos
from tratree_cli.stages.distributed import SINGLE_PROCESS, ProcessGroupParameters, ProcessGroupSpec
from tratree_cli.stages.training_inputs import base_identity, merge_version
from tratree_cli.training.trainer import Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.training.trainer import Conversations


@dataclass(frozen=True)
class SftParameters:
    sft: SftSection
    seed: int
    world: ProcessGroupParameters | None = keyed_unless(None)
    merge_version: int = keyed_unless(1)


STAGE = Stage("sft", 2, "model", "tratree_cli.stages.sft:run", SftParameters)
ROLES = ("weak", "strong")


def node(
    config: Config,
    role: str,
    *,
    demonstrations: Sequence[Node | Entry] | None = None,
    diverge_from: Node | Entry | None = None,
    processes: ProcessGroupSpec = SINGLE_PROCESS,
) -> Node:
    """SFT of the weak or the strong base model on the demonstrations."""
    inputs: dict[str, Sequence[Node | Entry]] = {
        "demos": tuple(demonstrations or (demos.node(config),))
    }
    if diverge_from is not None:
        inputs["diverge_from"] = (diverge_from,)
    base = config.models.weak if role == "weak" else config.models.strong
    return Node(
        stage=STAGE,
        label=f"SFT {role} model" + (" (explorer, Eq. 5)" if diverge_from is not None else ""),
        config=config,
        params=SftParameters(
            sft=config.sft if diverge_from is not None else plain(config.sft),
            seed=config.seed,
            world=processes.params,
            merge_version=merge_version(config.sft, base),
        ),
        inputs=inputs,
        models={"base": base_identity(base)},
        files=processes.files,
        locations=Locations(base_models=(base,)),
        recorded={"role": role},
        modules=_trainer(diverge_from is not None).modules,
    )


def plain(section: SftSection) -> SftSection:
    """The section without Eq. 5's term, which is keyed only where it is used."""
    return replace(_packed_once(section), diverge_weight=0.0, diverge_cap=0.0)


def _packed_once(section: SftSection) -> SftSection:
    """Sequences of several conversations are no rows of a tree, whatever is asked for."""
    return replace(section, tree_packing="off") if section.packing else section


def _trainer(diverging: bool) -> Trainer:
    return trainer("explorer" if diverging else "imitation")


def run(job: Job[SftParameters]) -> Result:
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
        demonstrations_of(job.inputs["demos"]),
    )


def demonstrations_of(entries: Sequence[Entry]) -> Conversations:
    """The demonstrations of several artifacts as conversations; all have one prompt's length."""
    from tratree_cli.formats.rollouts import conversation, read_rollouts
    from tratree_cli.training.trainer import Conversations

    messages: list[Any] = []
    prefix: list[dict[str, str]] = []
    for entry in entries:
        rollouts = read_rollouts(entry.path)
        before = rollouts.prompt.get("messages", [])
        if messages and len(before) != len(prefix):
            raise InputError(
                f"{entry.ref[:20]} has a prompt of {len(before)} messages, the demonstrations "
                f"before it one of {len(prefix)}; train on one kind at a time"
            )
        prefix = before
        messages += [conversation(rollouts, t, prefix) for t in rollouts.trajectories]
    return Conversations(messages, len(prefix))
