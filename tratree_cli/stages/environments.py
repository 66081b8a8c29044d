"""The environment of a configuration: its key without opening it, and opening it.

Opening a catalogue may take seconds; a cached stage must answer in a fraction of one. So the spec
of an environment and the names of its splits are remembered in the user's cache folder, under
everything that could change them: name, parameters, and the sizes and times of the data files and
of the environment's own code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from tratree_cli import envs
from tratree_cli.config import Config, read_toml
from tratree_cli.envs.protocol import Environment, EnvironmentSpec
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.resources import template_folders, templates_dir, tree_digest


def environment_spec(config: Config) -> EnvironmentSpec:
    """The spec that enters keys and lineage."""
    return _known(config)[0]


def require_split(config: Config, split: str) -> None:
    """Refuse a split that the environment does not have before anything is made for it."""
    spec, splits = _known(config)
    if split not in splits:
        raise no_such_split(spec.name, split, splits)


def no_such_split(environment: str, split: str, splits: Collection[str]) -> InputError:
    return InputError(
        f"{environment} has no split '{split}'{did_you_mean(split, splits)}; "
        f"it has {', '.join(splits)}"
    )


def _known(config: Config) -> tuple[EnvironmentSpec, tuple[str, ...]]:
    return _remembered(config.env.name, config.env.data, orjson.dumps(config.env.parameters))


@lru_cache(maxsize=8)
def _remembered(name: str, data: str, parameters: bytes) -> tuple[EnvironmentSpec, tuple[str, ...]]:
    """The spec and the names of the splits, from the cache folder or by opening the environment."""
    remembered = _cache_folder() / f"{_fingerprint(name, data, parameters)}.json"
    try:
        known = orjson.loads(remembered.read_bytes())
        return EnvironmentSpec(**known["spec"]), tuple(known["splits"])
    except (OSError, TypeError, KeyError, orjson.JSONDecodeError):
        pass
    from tratree_cli.envs.registry import open_environment

    opened = open_environment(name, data, orjson.loads(parameters))
    spec, splits = opened.spec, tuple(opened.splits())
    opened.close()
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        fresh = remembered.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(orjson.dumps({"spec": asdict(spec), "splits": splits}))
        fresh.replace(remembered)
    except OSError:
        pass  # A cache that cannot be written costs time and nothing else.
    return spec, splits


def _cache_folder() -> Path:
    root = os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree"
    return Path(root) / "environments"


def _fingerprint(name: str, data: str, parameters: bytes) -> str:
    from tratree_cli.envs.registry import plugin

    found = plugin(name)
    package = Path(envs.__file__).parent
    code = {*package.glob("*.py"), *found.code_files()}
    files = [*sorted(code), *found.data_files(data)]
    stamps = [
        f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}" for path in files if (stat := path.stat())
    ]
    text = "\n".join([name, data, parameters.decode(), *stamps])
    return hashlib.sha256(text.encode()).hexdigest()


def environment_key(config: Config) -> dict[str, Any]:
    return environment_spec(config).key()


def open_environment(config: Config) -> Environment:
    from tratree_cli.envs.registry import open_environment

    return open_environment(environment_spec(config))


def prompt_folder(config: Config) -> Path:
    """The folder of prompt files: a name that the environment has, or a path.

    ``any`` holds the prompts of environments that bring none of their own.
    """
    name = config.env.name
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


def read_prompt(config: Config) -> list[dict[str, str]]:
    """The conversation's prefix: messages before the first observation."""
    path = prompt_folder(config) / "prompt.toml"
    messages = read_toml(path).get("messages", [])
    whole = isinstance(messages, list) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in messages
    )
    if not whole:
        raise InputError(f"{path}: each of [[messages]] needs a role and a content")
    return [
        {"role": str(message["role"]), "content": str(message["content"])} for message in messages
    ]
