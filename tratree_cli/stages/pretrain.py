"""Pretraining a base model of the embedded family on self-made text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.models.embedded import SHAPES
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pretraining.model import GROWN_FROM, TOKENS


@dataclass(frozen=True)
class PretrainParameters:
    name: str
    tokens: int
    seed: int


STAGE = Stage("pretrain", 4, "model", "tratree_cli.stages.pretrain:run", PretrainParameters)
NAMES = tuple(SHAPES)
RECORD = "training.json"


def node(config: Config, name: str, tokens: int | None = None) -> Node:
    """A base model of the family from nothing, on ``tokens`` tokens (default: as shipped)."""
    if name not in NAMES:
        raise InputError(
            f"there is no size '{name}'{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}"
        )
    tokens = TOKENS[name] if tokens is None else tokens
    if tokens < 1:
        raise InputError(f"--tokens must be at least 1, not {tokens}")
    smaller = GROWN_FROM.get(name)
    return Node(
        stage=STAGE,
        label=f"base model {name}",
        config=config,
        params=PretrainParameters(name, tokens, config.seed),
        inputs={} if smaller is None else {"smaller": [node(config, smaller)]},
    )


def run(job: Job[PretrainParameters]) -> Result:
    """Pretrain and measure the model's competence; both are written beside the weights."""
    from tratree_cli.pretraining.training import GROWING, PretrainConfig, pretrain

    smaller = [entry for entries in job.inputs.values() for entry in entries]
    chosen = asdict(job.params)
    config = replace(GROWING, **chosen) if smaller else PretrainConfig(**chosen)
    scratch = job.scratch({"pretrain": chosen, "from": [entry.object for entry in smaller]})
    folder = smaller[0].path if smaller else None
    facts = pretrain(config, job.out, scratch, job.progress, folder)
    job.progress(facts["tokens"], facts["tokens"], "measuring competence")
    measured = _competence(job.out, SHAPES[job.params.name].text)
    record = {
        "steps": facts["steps"],
        "tokens": facts["tokens"],
        "curves": {"loss": facts["curve"]},
        "facts": measured,
        "parameters": facts["config"],
    }
    (job.out / RECORD).write_bytes(
        orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    )
    return Result(
        {
            "parameters": facts["parameters"],
            "tokens": facts["tokens"],
            "optimizer_steps": facts["steps"],
            "final_loss": facts["curve"][-1][1],
            **measured,
        }
    )


def ship(made: Path, folder: Path) -> None:
    """Copy a base model to ``folder``, without its record; what else lies there is replaced."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns(RECORD))


def _competence(folder: Path, text: str) -> dict[str, Any]:
    from tratree_cli.models.load import load_model, read_tokenizer
    from tratree_cli.pretraining.competence import competence

    return dict(competence(load_model(folder), read_tokenizer(folder), text))
