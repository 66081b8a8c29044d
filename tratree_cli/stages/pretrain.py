"""Pretraining a base model of the embedded family on self-made text."""

from __future__ import annotations

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.stages.graph import Job, Node, Result, Stage

STAGE = Stage("pretrain", 1, "model", "tratree_cli.stages.pretrain:run")
NAMES = ("tratree-s", "tratree-m", "tratree-l")


def node(config: Config, name: str, tokens: int) -> Node:
    """A base model of the family from nothing, on ``tokens`` tokens."""
    if name not in NAMES:
        raise InputError(
            f"there is no size '{name}'{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}"
        )
    if tokens < 1:
        raise InputError(f"--tokens must be at least 1, not {tokens}")
    return Node(
        stage=STAGE,
        label=f"base model {name}",
        config=config,
        params={"name": name, "tokens": tokens, "seed": config.seed},
    )


def run(job: Job) -> Result:
    from tratree_cli.pretraining.training import PretrainConfig, pretrain

    config = PretrainConfig(**job.params)
    facts = pretrain(config, job.out, job.scratch({"pretrain": dict(job.params)}), job.progress)
    return Result(
        {
            "parameters": facts["parameters"],
            "tokens": facts["tokens"],
            "optimizer_steps": facts["steps"],
            "final_loss": facts["curve"][-1][1],
        }
    )
