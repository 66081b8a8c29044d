"""What a help page adds to a command's own words: examples, and what holds where nothing is given.

The recipe that would be used here (a flag beside ``--help``, ``tratree.toml``, else ``quick``)
decides the defaults of most options, so they are read from it when the page is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tratree_cli.commands.examples import EXAMPLES
from tratree_cli.commands.output import print_text

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "sft": {
        "epochs": "sft.epochs",
        "learning_rate": "sft.learning_rate",
        "diverge_weight": "sft.diverge_weight",
    },
    "explore": {
        "samples": "explore.m",
        "temperature": "explore.temperature",
        "top_p": "explore.top_p",
        "split": "explore.split",
        "limit": "explore.limit",
        "explorer": "explore.explorer",
    },
    "build-tree": {
        "merge": "tree.merge",
        "threshold": "tree.threshold",
        "embedder": "tree.embedder",
    },
    "mine-pairs": {
        "rule": "pairs.rule",
        "select": "pairs.select",
        "min_gap": "pairs.min_gap",
        "per_task": "pairs.per_task",
        "level": "pairs.level",
    },
    "mcts": {"rollouts": "mcts.rollouts", "gamma": "mcts.gamma", "select": "mcts.select"},
    "train-strong": {"explorer": "explore.explorer", "init": "train.init", "beta": "dpo.beta"},
    "eval": {
        "split": "eval.split",
        "limit": "eval.limit",
        "samples": "eval.samples",
        "temperature": "eval.temperature",
    },
}
"""Command → its option's name → the parameter that decides where the option is not given."""
COMMON = {"env": "env.name", "prompt": "env.prompt", "seed": "seed"}


def complete(name: str, command: Any) -> None:
    """Let the pages of ``command`` (and of the commands in it) be completed when they are shown."""
    shown = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        _tell_defaults(name, command)
        shown(ctx, formatter)
        if lines := EXAMPLES.get(name, ()):
            print_text("\n".join([" Examples:", *(f"   {line}" for line in lines), "", ""]))

    command.format_help = format_help
    for inner, subcommand in getattr(command, "commands", {}).items():
        complete(f"{name} {inner}", subcommand)


def _tell_defaults(name: str, command: Any) -> None:
    known = {param.name: param for param in command.params if getattr(param, "help", None)}
    if name in DEFAULTS or "recipe" in known:
        recipe, values = _effective(sys.argv)
        for option, key in {**COMMON, **DEFAULTS.get(name, {})}.items():
            if option in known and values.get(key):
                _add(known[option], f"({recipe}: {values[key]})")
    _list_choices(known)


def _list_choices(known: Mapping[str, Any]) -> None:
    from tratree_cli.config import recipes
    from tratree_cli.envs.registry import environment_names

    if "env" in known:
        _add(known["env"], f"One of {', '.join(environment_names())}, python:MODULE:OBJECT.")
    if "recipe" in known:
        _add(known["recipe"], f"Shipped are {', '.join(recipes())}.")


def _add(param: Any, words: str) -> None:
    if words not in param.help:
        param.help = f"{param.help} {words}"


def _effective(words: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """The recipe's name and its parameters as texts; nothing where it cannot be read."""
    from tratree_cli.commands.configuration import configured
    from tratree_cli.commands.options import CommonOptions
    from tratree_cli.errors import TratreeError

    try:
        options = CommonOptions(
            recipe=_after(words, "--recipe", "-r"), env=_after(words, "--env", "-e")
        )
        config = configured(options, (), {})
    except TratreeError:
        return "", {}
    role = _after(words, "--role") or "weak"
    values = {"seed": str(config.seed)}
    for section in ("env", "explore", "tree", "pairs", "mcts", "train", "dpo", "eval"):
        for key, value in vars(getattr(config, section)).items():
            values[f"{section}.{key}"] = _text(value)
    if role in ("weak", "strong"):
        values |= {f"sft.{key}": _text(value) for key, value in vars(config.sft.of(role)).items()}
    return config.recipe, values


def _after(words: Sequence[str], *flags: str) -> str | None:
    """The value that stands behind one of ``flags``, or behind its equals sign."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in flags:
            return following or None
        flag, equals, value = word.partition("=")
        if equals and flag in flags:
            return value
    return None


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
