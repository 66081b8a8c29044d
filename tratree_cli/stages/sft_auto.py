"""SFT whose length is chosen on the dev split (``sft.epochs = "auto"``).

The lengths are tried in rising order, each as a training of its own with the whole schedule, since
a cosine to another end is another run. After each the dev tasks are played greedily; it ends when
longer ones bring no gain, and the result is the best model itself. Every training and every
evaluation is an ordinary artifact: what is finished is not done again after a kill, and
``sft.epochs = 40`` finds the model that was tried with 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Locations, Node, Result
from tratree_cli.stages import evaluate, sft
from tratree_cli.stages.sampling import policy_modules
from tratree_cli.stages.sft import SftAutoParameters, SftParameters, on_dev
from tratree_cli.training.convergence import AUTO_LENGTH, LengthSearch, TriedLength

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = sft.AUTO_STAGE


def run(job: Job[SftAutoParameters]) -> Result:
    search = LengthSearch((), job.params.candidates, job.params.evaluation.tasks)
    models: dict[float, Entry] = {}
    played: dict[float, Entry] = {}
    for epochs in search.candidates:
        model = models[epochs] = job.realise(_training(job, epochs))
        entry = played[epochs] = job.realise(_evaluation(job, model, epochs))
        tried = TriedLength(
            epochs=epochs,
            updates=int(model.summary["optimizer_steps"]),
            loss=float(model.summary["final_loss"]),
            reward=float(entry.summary["average_reward"]),
            success=float(entry.summary["success_rate"]),
        )
        search = replace(search, tried=(*search.tried, tried), tasks=int(entry.summary["tasks"]))
        if search.ended(job.params.patience):
            break
    best = search.best.epochs
    chosen = models[best]
    told = [entry for epochs, entry in played.items() if epochs == best or _partial(entry)]
    return Result(
        {**chosen.summary, AUTO_LENGTH: search.record()},
        warnings=_warnings([chosen, *told]),
        adopt=chosen,
        partial=any(map(_partial, played.values())),
    )


def _training(job: Job[SftAutoParameters], epochs: float) -> Node:
    """SFT of this length: the node that ``sft.epochs`` of this value has."""
    params, config = job.params, cast(Config, job.node.config)
    role = job.node.recorded.get("role")
    told = {"sft": {role: {"epochs": epochs}}} if role else {}
    return replace(
        job.node,
        stage=sft.STAGE,
        label=f"{job.node.label}, {epochs:g} epochs",
        config=config.with_values(told, "sft.epochs"),
        params=SftParameters(
            sft=replace(params.sft, epochs=epochs),
            seed=params.seed,
            world=params.world,
            merge_version=params.merge_version,
        ),
        inputs=job.inputs,
        environment=None,
        templates={},
        locations=Locations(base_models=job.node.locations.base_models),
        modules=sft.trainer_modules("diverge_from" in job.inputs),
    )


def _evaluation(job: Job[SftAutoParameters], model: Entry, epochs: float) -> Node:
    """How that model plays the dev tasks: the node that ``tratree eval`` has for it."""
    node, evaluation = job.node, job.params.evaluation
    config = on_dev(cast(Config, node.config), evaluation.tasks)
    return Node(
        stage=evaluate.STAGE,
        label=f"evaluation of {node.label}, {epochs:g} epochs",
        config=config,
        params=evaluation,
        inputs={"policy": (model,)},
        environment=node.environment,
        templates=node.templates,
        locations=Locations(node.locations.environment, node.locations.prompt),
        modules=policy_modules(config, evaluation.policies),
    )


def _partial(entry: Entry) -> bool:
    return bool(entry.provenance.get("partial"))


def _warnings(entries: Sequence[Entry]) -> list[str]:
    """What was recorded with these artifacts, each sentence once."""
    said = [str(text) for entry in entries for text in entry.provenance.get("warnings", ())]
    return list(dict.fromkeys(said))
