"""A method as a graph: what is made to get its policy, and the evaluation of that policy."""

from __future__ import annotations

from tratree_cli.config import Config
from tratree_cli.methods.registry import method
from tratree_cli.pipeline.graph import Node
from tratree_cli.stages import build_tree, chains, evaluate, explore, rounds, sft, train_strong


def policy(config: Config, name: str) -> Node | str:
    """The node of the model that a method trains, or the name of the scripted policy it plays."""
    record = method(name)
    if record.policy:
        return record.policy
    if record.supervised:
        return sft.node(config, record.role)
    if record.init == "base":
        config = config.with_values({"train": {"init": "base"}}, f"method {name}")
    base = name.partition("/")[0]
    if record.beyond == "rounds":
        return rounds.node(config, base)
    if record.beyond == "at-once":
        every = rounds.more_samples(config, config.rounds.number)
        return train_strong.node(every, name, steps_of=rounds.node(config, base))
    if record.beyond == "chain":
        return chains.node(config, base)
    if record.beyond == "restart-more":
        return train_strong.node(rounds.more_samples(config, chains.links(config)), name)
    return train_strong.node(config, name)


def evaluation(config: Config, name: str) -> Node:
    """The evaluation of a method, with everything below it."""
    record, played = method(name), policy(config, name)
    label = record.title if isinstance(played, str) else method(_made_as(name, played)).title
    return evaluate.node(config, policy=played, label=label, best_of=record.best_of)


def played_as(name: str, evaluation: Node) -> str:
    """The method whose row this is: a control may be what another method is as well."""
    played = next(evaluation.upstream(), None)
    return name if played is None else _made_as(name, played)


def _made_as(name: str, policy: Node) -> str:
    same = method(name).same_as
    return same if same and policy.params.method == same else name


def tree(config: Config) -> Node:
    """The forest that the report shows: the weak model's exploration, a chain's smallest one's."""
    if config.chain.models:
        config = chains.link(config, 1)
    return build_tree.node(config, rollouts=(explore.node(config),))
