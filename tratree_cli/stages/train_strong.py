"""Training the strong model: W2SG tree-DPO (Eq. 6), W2SG MCTS (Eq. 8), baselines and controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.reporting.lineage import ONLY_COUNTED
from tratree_cli.stages import demos, mcts, mine_pairs, ref_logps, sft
from tratree_cli.stages.distributed import ALONE, World
from tratree_cli.stages.training_inputs import SINCE, base_identity, keyed

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("train-strong", 1, "model", "tratree_cli.stages.train_strong:run")

PAIR_RULES = {
    "tree-dpo": "tree",
    "unstructured-dpo": "unstructured",
    "eto": "eto",
    "ceiling": "ceiling",
}
"""DPO methods, and the pair rule each of them is trained on."""
PATH_RULES = {"mcts": "", "best-observed": "best-observed"}
"""Imitation methods, and how their paths are selected ('' keeps the configuration's)."""
CONTROLS = ("sft-more",)
OWN_PAIRS = "dpo"
"""DPO on pairs that a person brings along; no report can make them: it is none of ``METHODS``."""
METHODS = (*PAIR_RULES, *PATH_RULES, *CONTROLS)
WEAK_REFERENCE = ("tree-dpo", "unstructured-dpo")
"""Methods whose KL reference is the weak SFT model (Eq. 6); the others use the strong one."""


def check_method(method: str) -> None:
    known = (*METHODS, OWN_PAIRS)
    if method not in known:
        raise InputError(
            f"there is no method '{method}'{did_you_mean(method, known)}; "
            f"there are {', '.join(known)}"
        )


def node(
    config: Config,
    method: str,
    *,
    data: Node | Entry | None = None,
    init: Node | Entry | None = None,
    reference: Node | Entry | None = None,
    processes: World = ALONE,
) -> Node:
    """The strong model trained by ``method``; what is not given has its default producer."""
    check_method(method)
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

    params: dict[str, Any] = {"method": method, "seed": config.seed, **processes.params}
    shared = sft.sft_params(config)
    if method in PAIR_RULES or method == OWN_PAIRS:
        pairs = data or _mined(config, method)
        inputs["pairs"] = (pairs,)
        dpo = keyed(config.dpo)
        chosen = dpo.pop("ref") or ("weak" if method in WEAK_REFERENCE else "strong-sft")
        if reference is not None or chosen != "none":
            model = reference or _reference(config, chosen)
            inputs["reference"] = (ref_logps.node(config, pairs=pairs, reference=model),)
            if config.dpo.explicit_kl:
                inputs["reference_model"] = (model,)
        params["dpo"] = dpo
        params["training"] = {k: v for k, v in shared.items() if k not in (*dpo, "packing")}
    else:
        if method == "sft-more":
            inputs["demos"] = (data or demos.node(config),)
            # As many optimizer steps as W2SG MCTS takes, so that the comparison is one of data.
            inputs[ONLY_COUNTED] = (mcts.node(config),)
        else:
            inputs["paths"] = (data or mcts.node(config, select=PATH_RULES[method]),)
        params["training"] = {**shared, **imitation(config)}
    return Node(
        stage=STAGE,
        label=f"strong model, {method}",
        config=config,
        params=params,
        inputs=inputs,
        models=models,
        files=processes.files,
    )


def _mined(config: Config, method: str) -> Node:
    if method == OWN_PAIRS:
        raise InputError("method 'dpo' trains on pairs of your own; give them with --pairs FILE")
    return mine_pairs.node(config, rule=PAIR_RULES[method])


def imitation(config: Config) -> dict[str, Any]:
    """The parameters in which imitation of paths differs from SFT on demonstrations."""
    section = asdict(config.train)
    section.pop("init")
    return section


def input_kind(method: str) -> str:
    """The kind of artifact that a method is trained on."""
    if method in PAIR_RULES or method == OWN_PAIRS:
        return "pairs"
    return "paths" if method in PATH_RULES else "demos"


def method_of(kind: str, entry: Entry) -> str:
    """The method that a given artifact asks for (paths → mcts, pairs → the rule's method)."""
    if kind == "paths":
        selected = entry.document["params"].get("select")
        return "best-observed" if selected == "best-observed" else "mcts"
    if entry.stage == "import":
        return OWN_PAIRS
    rule = entry.document["params"].get("rule", "tree")
    return next(method for method, known in PAIR_RULES.items() if known == rule)


def _reference(config: Config, chosen: str) -> Node:
    roles = {"weak": "weak", "strong-sft": "strong"}
    if chosen not in roles:
        raise InputError(
            f"dpo.ref must be weak, strong-sft or none here, not '{chosen}'; a model of the store "
            "is named to train-strong itself (--ref)"
        )
    return sft.node(config, roles[chosen])


def run(job: Job) -> Result:
    from tratree_cli.stages.training_inputs import base_folder

    init = job.maybe("init")
    if init is not None:
        folder, identity = init.path, {"object": init.object}
    else:
        folder, identity = base_folder(job, (job.config.models.strong,))
    if "pairs" in job.inputs:
        return _prefer(job, folder, identity)
    return _imitate(job, folder, identity)


def _imitate(job: Job, folder: Path, identity: dict[str, str]) -> Result:
    """Eq. 8: imitation of e* (or of the best observed, or more of the demonstrations)."""
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.stages.training_inputs import imitate

    max_steps = 0
    if job.params["method"] == "sft-more":
        conversations, prefix = demonstrated(job)
        paths = read_paths(job.one(ONLY_COUNTED).path)
        if not paths.paths:
            return _failure_safe(job, "no path scores above mcts.min_score, so it has no steps")
        max_steps = steps_on(len(paths.paths), job.params["training"])
    else:
        paths = read_paths(job.one("paths").path)
        conversations = [path.messages for path in paths.paths]
        prefix = paths.prefix
    if not conversations:
        return _failure_safe(job, "no path scores above mcts.min_score")
    return imitate(
        job,
        base=folder,
        identity=identity,
        conversations=conversations,
        prefix=prefix,
        params=job.params["training"],
        max_steps=max_steps,
    )


def steps_on(rows: int, training: Mapping[str, Any]) -> int:
    """Optimizer steps that training on ``rows`` rows takes (as ``engine.total_steps``)."""
    batches = math.ceil(rows / int(training["batch_size"]))
    return math.ceil(float(training["epochs"]) * batches)


def demonstrated(job: Job) -> tuple[list[Any], int]:
    """The demonstrations as conversations, and the length of their prompt."""
    from tratree_cli.formats.rollouts import conversation, read_rollouts

    rollouts = read_rollouts(job.one("demos").path)
    prefix = rollouts.prompt.get("messages", [])
    return [conversation(rollouts, t, prefix) for t in rollouts.trajectories], len(prefix)


def _prefer(job: Job, folder: Path, identity: dict[str, str]) -> Result:
    """Eq. 6: DPO on pairs, against stored log-probabilities of the reference."""
    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.stages.distributed import train_in_world
    from tratree_cli.stages.training_inputs import (
        checkpoints,
        length_policy,
        length_warnings,
        template_warnings,
        training_arguments,
        training_progress,
        training_summary,
    )
    from tratree_cli.training.data import pair_rows
    from tratree_cli.training.launch import Task
    from tratree_cli.training.params import DPOParams
    from tratree_cli.training.reference import (
        read_logps,
        reference_logps,
        saturation_warning,
        with_reference,
    )

    pairs = read_pairs(job.one("pairs").path)
    if not pairs.pairs:
        return _failure_safe(job, "no pair is informative")
    training, dpo = job.params["training"], job.params["dpo"]
    arguments = training_arguments(job, {**training, **dpo})
    dpo = {**SINCE, **dpo}
    own = ("beta", "nll_weight", "explicit_kl", "loss_type", "label_smoothing")
    config = DPOParams(**arguments, **{name: dpo[name] for name in own})
    tokenizer = load_tokenizer(folder)
    rows, lengths = pair_rows(
        tokenizer, [pair.messages() for pair in pairs.pairs], length_policy(training, folder)
    )
    stored, live = job.maybe("reference"), job.maybe("reference_model")
    if stored is not None:
        rows = with_reference(rows, read_logps(stored.path))
    elif not config.explicit_kl:
        # Without a KL reference, DPO is taken against where the training starts.
        scores = reference_logps(folder, rows, threads=config.threads, config=config)
        rows = with_reference(rows, scores)
    other = live.path if live else (folder if config.explicit_kl else None)
    with checkpoints(job) as work:
        task = Task("dpo", folder, rows, config, job.out, work, other, identity)
        result = train_in_world(job, task, training_progress(job))
    saturated = saturation_warning(result.facts)
    return Result(
        {"pairs": len(rows), **training_summary(result, lengths)},
        warnings=[
            *length_warnings(lengths, len(pairs.pairs), "pairs"),
            *template_warnings(tokenizer),
            *([saturated] if saturated else []),
        ],
    )


def _failure_safe(job: Job, reason: str) -> Result:
    """Nothing to learn from: the result is the initial model itself (section 3.3)."""
    init = job.maybe("init")
    if init is None:
        raise InputError(f"{reason}, and the base model alone is no result; use --init sft")
    return Result(
        {**init.summary, "adopted": init.ref},
        warnings=[f"{reason}; the result is the initial model, unchanged"],
        adopt=init,
    )
