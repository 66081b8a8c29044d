"""The environment of a configuration: its key without opening it, and opening it.

Opening a catalogue may take seconds; a cached stage must answer in a fraction of one. So the spec
of an environment and its splits are remembered in the user's cache folder, under
everything that could change them: name, parameters, and the sizes and times of the data files and
of the environment's own code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from tratree_cli import envs
from tratree_cli.agents.turn_form import TurnForm
from tratree_cli.config import Config, read_toml
from tratree_cli.envs.protocol import EnvironmentSpec, optional
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.pipeline.graph import Locations
from tratree_cli.resources import templates_dir, tree_digest
from tratree_cli.settings import overlay


@dataclass(frozen=True)
class EnvironmentFacts:
    """What is remembered of an environment: spec, splits, those to learn from, sizes, and whether
    its pages or scores are drawn."""

    spec: EnvironmentSpec
    splits: tuple[str, ...]
    training_splits: tuple[str, ...]
    sizes: Mapping[str, int]
    stochastic: bool


def environment_sizes(config: Config) -> Mapping[str, int]:
    """How many tasks each split has (``test tasks``), and what else the environment counts."""
    return _facts(config).sizes


def is_stochastic(config: Config) -> bool:
    """Whether pages or scores depend on an episode's seed, as the environment declares."""
    return _facts(config).stochastic


def environment_spec(config: Config) -> EnvironmentSpec:
    """The spec that enters keys and lineage."""
    return _facts(config).spec


def require_split(config: Config, split: str) -> None:
    """Refuse a split that the environment does not have before anything is made for it."""
    facts = _facts(config)
    if split not in facts.splits:
        raise no_such_split(facts.spec.name, split, facts.splits)


def require_training_split(
    config: Config, split: str, verb: str, *, allowed: bool = False, insist: bool = True
) -> None:
    """Refuse a split that is there to evaluate on, unless the user insists (``--allow-test``).

    Without ``insist`` the sentence does not name that flag, because there is none.

    Which splits are there to learn from, the environment declares (``training_splits``).
    """
    require_split(config, split)
    facts = _facts(config)
    if split not in facts.training_splits and not allowed:
        training = [name for name in facts.training_splits if name in facts.splits]
        instead = f"use {' or '.join(training)}" if training else "it declares none to learn from"
        raise InputError(
            f"refusing to {verb} the split '{split}', which {facts.spec.name} has for evaluation: "
            f"results on it would mean nothing; {instead}"
            + (", or insist with --allow-test" if insist else "")
        )


def no_such_split(environment: str, split: str, splits: Collection[str]) -> InputError:
    return InputError(
        f"{environment} has no split '{split}'{did_you_mean(split, splits)}; "
        f"it has {', '.join(splits)}"
    )


def _facts(config: Config) -> EnvironmentFacts:
    return _remembered(config.env.name, config.env.data, orjson.dumps(config.env.parameters))


@lru_cache(maxsize=8)
def _remembered(name: str, data: str, parameters: bytes) -> EnvironmentFacts:
    """The facts of an environment, from the cache folder or by opening it."""
    remembered = _cache_folder() / f"{_fingerprint(name, data, parameters)}.json"
    try:
        known = orjson.loads(remembered.read_bytes())
        return EnvironmentFacts(
            EnvironmentSpec(**known["spec"]),
            tuple(known["splits"]),
            tuple(known["training_splits"]),
            known["sizes"],
            known["stochastic"],
        )
    except (OSError, TypeError, KeyError, orjson.JSONDecodeError):
        pass
    from tratree_cli.envs.registry import open_environment

    opened = open_environment(name, data, orjson.loads(parameters))
    training = tuple(optional(opened, "training_splits"))
    splits = opened.splits()
    sizes = {f"{name} tasks": len(tasks) for name, tasks in splits.items()}
    sizes |= optional(opened, "sizes")
    stochastic = bool(optional(opened, "stochastic"))
    facts = EnvironmentFacts(opened.spec, tuple(splits), training, sizes, stochastic)
    opened.close()
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        fresh = remembered.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(orjson.dumps(asdict(facts)))
        fresh.replace(remembered)
    except OSError:
        pass  # A cache that cannot be written costs time and nothing else.
    return facts


def _cache_folder() -> Path:
    root = os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree"
    return Path(root) / "environments"


def _fingerprint(name: str, data: str, parameters: bytes) -> str:
    from tratree_cli.envs.registry import plugin

    environment = plugin(name)
    package = Path(envs.__file__).parent
    code = {*package.glob("*.py"), *environment.code_files()}
    files = [*sorted(code), *environment.data_files(data)]
    stamps = [
        f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}" for path in files if (stat := path.stat())
    ]
    text = "\n".join([name, data, parameters.decode(), *stamps])
    return hashlib.sha256(text.encode()).hexdigest()


def environment_key(config: Config) -> dict[str, Any]:
    return environment_spec(config).key()


def locations(config: Config) -> Locations:
    """Where the environment's data and the prompt lie, for the bodies of stages that play."""
    return Locations(environment=environment_spec(config), prompt=prompt_folder(config))


def prompt_folder(config: Config) -> Path:
    """The folder of prompt files: a name that the environment has, or a path.

    ``any`` holds the prompts of environments that bring none of their own.
    """
    name = config.env.name
    from tratree_cli.envs.registry import template_folders

    own = [folder / "prompts" / name for folder in template_folders(name)]
    shipped = [folder for folder in own if folder.is_dir()]
    shipped = shipped or [templates_dir() / "prompts" / "any"]
    for place in shipped:
        if (place / config.env.prompt).is_dir():
            return place / config.env.prompt
    folder = Path(config.env.prompt)
    if not (folder / "prompt.toml").is_file():
        known = sorted(p.name for place in shipped for p in place.glob("*") if p.is_dir())
        raise InputError(
            f"there is no prompt '{config.env.prompt}' for {config.env.name}"
            f"{did_you_mean(config.env.prompt, known)}; shipped: {', '.join(known)}; "
            "or give a folder that holds a prompt.toml"
        )
    return folder


def prompt_templates(config: Config) -> dict[str, str]:
    """The prompt's digest, for a recipe's templates."""
    return {"prompt": tree_digest(prompt_folder(config))}


def read_turn_form(folder: Path) -> TurnForm | None:
    """How the prompt writes every turn by itself (``[turn]``); None for a conversation."""
    path = folder / "prompt.toml"
    values = read_toml(path).get("turn")
    if values is None:
        return None
    if not isinstance(values, Mapping) or not {"first", "later"} <= values.keys():
        raise InputError(f"{path}: [turn] needs the texts first and later")
    form = overlay(TurnForm("", ""), values, str(path), path="turn.")
    try:
        form.message("", "", ("",), ())
        form.message("", "", ("",), (("", ""),))
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{path}: a text of [turn] has a field that is not there: {error}"
        ) from error
    return form


def read_prompt(folder: Path, *, turns: bool = False) -> list[dict[str, str]]:
    """The conversation's prefix: messages before the first observation.

    A prompt that writes every turn by itself is refused unless ``turns``: what is trained on is a
    conversation.
    """
    path = folder / "prompt.toml"
    document = read_toml(path)
    if "turn" in document and not turns:
        raise InputError(
            f"the prompt {folder.name} asks about every turn by itself, which evaluations alone "
            "can play; choose another --prompt here"
        )
    messages = document.get("messages", [])
    whole = isinstance(messages, list) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in messages
    )
    if not whole:
        raise InputError(f"{path}: each of [[messages]] needs a role and a content")
    return [
        {"role": str(message["role"]), "content": str(message["content"])} for message in messages
    ]
