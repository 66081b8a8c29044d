"""Whether a recipe fits the models that it is to train.

The recipes of the embedded models (half a million weights) train all weights at a learning rate a
hundred times that of a real model, drop conversations beyond 1,024 tokens and give no instructions.
A real model comes out of that ruined, without a word of warning from anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tratree_cli.config import Config, load_recipe, recipes
from tratree_cli.errors import InputError
from tratree_cli.models.embedded import SHAPES

TINY_BYTES = 40_000_000
"""Weights of a folder up to this size are a model like the embedded ones."""
LARGE_BILLIONS = 2.0
LARGE_BYTES = 5_000_000_000
"""From here on the recipe ``large`` is named; half a model of two billion weights in float32."""
FROM_STORE = ("model:", "model@")


def require_fitting_recipe(config: Config, command: Sequence[str]) -> None:
    """``InputError`` where a recipe of the embedded models meets another one.

    ``command`` is the command line without the program's name, which the error gives corrected.
    """
    named = (config.models.weak, config.models.strong)
    others = [name for name in named if name not in SHAPES and not _tiny(name)]
    if not others or not _of_the_embedded(config):
        return
    recipe = "large" if any(map(_large, others)) else "small"
    raise InputError(
        f"recipe '{config.recipe}' is made for the embedded models (learning rate "
        f"{config.sft.learning_rate:g}, prompt '{config.env.prompt}'), not for {others[0]}; type: "
        f"tratree {shlex.join(_with_recipe(command, recipe))}"
    )


def _of_the_embedded(config: Config) -> bool:
    if config.recipe not in recipes() and not Path(config.recipe).is_file():
        return False
    own = load_recipe(config.recipe, config.env.name).models
    return own.weak in SHAPES and own.strong in SHAPES


def _tiny(name: str) -> bool:
    """A model of the store was trained by a recipe already; a folder is known by its size."""
    if name.startswith(FROM_STORE):
        return True
    return Path(name).is_dir() and _weights(Path(name)) <= TINY_BYTES


def _large(name: str) -> bool:
    if Path(name).is_dir():
        return _weights(Path(name)) > LARGE_BYTES
    sizes = re.findall(r"(\d+(?:\.\d+)?)b\b", name.lower())
    return any(float(size) > LARGE_BILLIONS for size in sizes)


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _with_recipe(command: Sequence[str], recipe: str) -> list[str]:
    words, skip = [], False
    for word in command:
        if skip or word.startswith("--recipe="):
            skip = False
        elif word == "--recipe":
            skip = True
        else:
            words.append(word)
    return [*words, "--recipe", recipe]
