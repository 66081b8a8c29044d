"""The methods of the paper's tables, each as one graph: what is made to get its policy.

What a method is called lies in ``evaluation.methods``; adding one is adding an entry to both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.evaluation.methods import title
from tratree_cli.pipeline.graph import Node
from tratree_cli.stages import build_tree, evaluate, explore, sft, train_strong


@dataclass(frozen=True)
class Method:
    """``policy`` builds the node (or names the scripted policy) that is evaluated."""

    policy: Callable[[Config], Node | str]
    best_of: int = 1


def _strong(config: Config) -> Node:
    return sft.node(config, "strong")


METHODS: dict[str, Method] = {
    "expert": Method(lambda config: "expert"),
    "random": Method(lambda config: "random"),
    "sft-weak": Method(lambda config: sft.node(config, "weak")),
    "sft-strong": Method(_strong),
    "best-of-n": Method(_strong, best_of=8),
    **{name: Method(partial(train_strong.node, method=name)) for name in train_strong.METHODS},
}


def method(name: str) -> Method:
    if name not in METHODS:
        raise InputError(
            f"there is no method '{name}'{did_you_mean(name, METHODS)}; "
            f"there are {', '.join(METHODS)}"
        )
    return METHODS[name]


def evaluation(config: Config, name: str) -> Node:
    """The evaluation of a method, with everything below it."""
    chosen = method(name)
    return evaluate.node(
        config, policy=chosen.policy(config), label=title(name), best_of=chosen.best_of
    )


def tree(config: Config) -> Node:
    """The forest that the report shows: the weak model's exploration."""
    return build_tree.node(config, rollouts=(explore.node(config),))
