"""Chains: each model's W2SG model explores for the next one (the paper's bootstrapping).

A link is the method as it is, on the next two models of the chain, with one exchange: in the place
of the weak SFT model stands the model that the same method made of it in the link before. So does
it as the KL reference of Eq. 6, since that is the weak model.
"""

from __future__ import annotations

from dataclasses import replace

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.registry import method
from tratree_cli.pipeline.graph import Node
from tratree_cli.stages import explore, sft, train_strong


def links(config: Config) -> int:
    """How many links the chain has up to this configuration's strong model."""
    return len(config.chain.models) - 1


def link(config: Config, number: int) -> Config:
    """The configuration of link ``number``, from 1: its two models, and the chain up to them.

    Raises ``InputError`` for a chain of less than two models, and for one that is there twice.
    """
    models = config.chain.models
    if len(models) < 2:
        raise InputError("a chain needs two models or more, the smallest first: --chain A,B,C")
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"--chain: the model {name} is there twice")
    weak, strong = models[number - 1 : number + 1]
    return config.with_values(
        {
            "models": {"weak": weak, "strong": strong},
            "chain": {"models": models[: number + 1]},
        },
        "--chain",
    )


def node(config: Config, name: str) -> Node:
    """The last model of the chain, trained by the method with its predecessor as the weak model."""
    number = links(config)
    config = link(config, number)
    if number == 1:
        return train_strong.node(config, name)
    if config.explore.explorer == "strong":
        raise InputError(
            "in a chain the model before explores for the next one, but explore.explorer is "
            "strong; use weak or both"
        )
    supervisor = node(link(config, number - 1), name)
    policies = [
        supervisor if role == "weak" else sft.node(config, role)
        for role in explore.explorers(config.explore.explorer)
    ]
    # With the draws of the weak model, whose place it takes.
    roles = explore.explorers(config.explore.explorer)
    explored = explore.node(config, policies=policies, roles=roles)
    return train_strong.node(
        config,
        f"{name}/chain",
        reference=supervisor if _weak_reference(config, method(name)) else None,
        explored=(replace(explored, label="exploration by the model before"),),
    )


def _weak_reference(config: Config, record: Method) -> bool:
    return (config.dpo.ref or record.reference) == "weak"
