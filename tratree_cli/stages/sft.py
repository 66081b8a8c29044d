"""Supervised fine-tuning on demonstrations (Eq. 4), and the diversity-seeking explorer (Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import demos
from tratree_cli.stages.distributed import ALONE, World
from tratree_cli.stages.training_inputs import base_identity, keyed

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("sft", 1, "model", "tratree_cli.stages.sft:run")
ROLES = ("weak", "strong")


def node(
    config: Config,
    role: str,
    *,
    demonstrations: Sequence[Node | Entry] | None = None,
    diverge_from: Node | Entry | None = None,
    processes: World = ALONE,
) -> Node:
    """SFT of the weak or the strong base model on the demonstrations."""
    inputs: dict[str, Sequence[Node | Entry]] = {
        "demos": tuple(demonstrations or (demos.node(config),))
    }
    if diverge_from is not None:
        inputs["diverge_from"] = (diverge_from,)
    return Node(
        stage=STAGE,
        label=f"SFT {role} model" + (" (explorer, Eq. 5)" if diverge_from is not None else ""),
        config=config,
        params={
            "sft": sft_params(config, diverging=diverge_from is not None),
            "seed": config.seed,
            **processes.params,
        },
        inputs=inputs,
        models={"base": base_identity(getattr(config.models, role))},
        files=processes.files,
    )


def sft_params(config: Config, *, diverging: bool = False) -> dict[str, Any]:
    """The keyed training parameters; Eq. 5's only where it is used."""
    params = keyed(config.sft)
    params.pop("diverge_from")
    if not diverging:
        params.pop("diverge_weight")
        params.pop("diverge_cap")
    return params


def run(job: Job) -> Result:
    from tratree_cli.formats.rollouts import conversation, read_rollouts
    from tratree_cli.stages.training_inputs import base_folder, imitate

    conversations: list[Any] = []
    prefix: list[dict[str, str]] = []
    for entry in job.inputs["demos"]:
        rollouts = read_rollouts(entry.path)
        before = rollouts.prompt.get("messages", [])
        if conversations and len(before) != len(prefix):
            raise InputError(
                f"{entry.ref[:20]} has a prompt of {len(before)} messages, the demonstrations "
                f"before it one of {len(prefix)}; train on one kind at a time"
            )
        prefix = before
        conversations += [conversation(rollouts, t, prefix) for t in rollouts.trajectories]
    diverge = job.maybe("diverge_from")
    models = job.config.models
    folder, identity = base_folder(job, (models.weak, models.strong))
    return imitate(
        job,
        base=folder,
        identity=identity,
        conversations=conversations,
        prefix=len(prefix),
        params=job.params["sft"],
        diverge_from=diverge.path if diverge else None,
    )
