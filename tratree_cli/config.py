"""The effective configuration: recipes, ``tratree.toml`` and flags laid over the defaults.

A recipe (TOML) overrides the defaults of ``sections``, the working folder's ``tratree.toml``
overrides the recipe, and the command line (``--set section.key=value`` and the named flags)
overrides both. The paper's settings live in ``templates/recipes/paper-*.toml``.

The trade-off: one flat dataclass per section is longer than a free dictionary, but an unknown or
ill-typed key is caught before anything runs.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.resources import templates_dir
from tratree_cli.sections import (
    SFT_ROLES,
    ChainSection,
    DemosSection,
    DpoSection,
    EnvSection,
    EvalSection,
    ExploreSection,
    JointSection,
    MctsSection,
    ModelsSection,
    PairsSection,
    ReportSection,
    RoundsSection,
    SftByRole,
    SftSection,
    TrainSection,
    TreeSection,
)
from tratree_cli.settings import note, overlay


@dataclass(frozen=True)
class Config:
    """The effective configuration: what a recipe, the project file and the flags add up to."""

    recipe: str = "quick"
    seed: int = note(0, "decides every draw", least=0, most=2**32 - 1)
    env: EnvSection = field(default_factory=EnvSection)
    models: ModelsSection = field(default_factory=ModelsSection)
    demos: DemosSection = field(default_factory=DemosSection)
    sft: SftByRole = field(default_factory=SftByRole)
    explore: ExploreSection = field(default_factory=ExploreSection)
    tree: TreeSection = field(default_factory=TreeSection)
    pairs: PairsSection = field(default_factory=PairsSection)
    mcts: MctsSection = field(default_factory=MctsSection)
    train: TrainSection = field(default_factory=TrainSection)
    dpo: DpoSection = field(default_factory=DpoSection)
    joint: JointSection = field(default_factory=JointSection)
    rounds: RoundsSection = field(default_factory=RoundsSection)
    chain: ChainSection = field(default_factory=ChainSection)
    eval: EvalSection = field(default_factory=EvalSection)
    report: ReportSection = field(default_factory=ReportSection)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def with_values(self, values: Mapping[str, Any], origin: str) -> Config:
        """A copy with nested ``values`` laid over it; ``origin`` names them in errors."""
        return overlay(self, with_present_names(values), origin, known=all_keys())


FORMER_NAMES = {f"{section}.tasks": f"{section}.limit" for section in ("demos", "explore", "eval")}
"""Parameter as it was called once → its name, the one of the option. Both are read; artifacts that
were made before record the former."""


def with_present_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nested ``values`` with every parameter under its present name."""
    named = dict(values)
    for former, present in FORMER_NAMES.items():
        section, key = former.split(".")
        inner = named.get(section)
        if isinstance(inner, Mapping) and key in inner:
            rest = {name: value for name, value in inner.items() if name != key}
            named[section] = {present.split(".")[1]: inner[key], **rest}
    return named


def from_dict(document: Mapping[str, Any], origin: str) -> Config:
    """The configuration stored in an artifact's provenance."""
    return Config().with_values(document, origin)


def recipes() -> list[str]:
    """Names of the recipes that ship with tratree."""
    return sorted(path.stem for path in (templates_dir() / "recipes").glob("*.toml"))


def load_recipe(name: str, environment: str = "") -> Config:
    """A shipped recipe by name, or a TOML file by path, for ``environment`` if one is named.

    An environment may have a version of a recipe of its own, which its name then means:
    ``quick`` for ``alfworld`` is ``quick-alfworld.toml``. Otherwise the recipe serves every
    environment, without what its ``[env]`` section says about another one.
    """
    path = _recipe_path(name, environment)
    document = read_toml(path)
    about = document.get("env", {})
    if environment and isinstance(about, dict):
        same = about.get("name", environment) == environment
        document["env"] = {**(about if same else {}), "name": environment}
    config = Config().with_values(document, f"recipe {path}")
    return dataclasses.replace(config, recipe=name)


def _recipe_path(name: str, environment: str) -> Path:
    from tratree_cli.envs.registry import template_folders

    folders = [folder / "recipes" for folder in template_folders(environment)]
    for file in (f"{name}-{environment}.toml", f"{name}.toml"):
        for folder in folders:
            if (folder / file).is_file():
                return folder / file
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        hint = did_you_mean(name, recipes())
        raise InputError(
            f"there is no recipe '{name}'{hint}; shipped recipes: {', '.join(recipes())}; "
            "or give the path of a .toml file"
        )
    return path


def read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """``section.key=value`` as a nested mapping; the value is TOML, or else a plain string."""
    path, equals, raw = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"--set {text}: expected section.key=value")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = raw
    nested: Any = value
    for part in reversed(path.strip().split(".")):
        nested = {part: nested}
    return typing.cast(dict[str, Any], nested)


def all_keys() -> list[str]:
    """``section.key`` of every parameter, for messages and the documentation."""
    keys = []
    for section in fields(Config):
        if section.name in ("recipe", "seed"):
            keys.append(section.name)
        else:
            keys += [f"{section.name}.{key.name}" for key in fields(_section_type(section.name))]
    return keys


def keys_of_one_role() -> list[str]:
    """``sft.weak.key`` and ``sft.strong.key`` of every parameter of SFT, for completion."""
    return [f"sft.{role}.{key.name}" for role in SFT_ROLES for key in fields(SftSection)]


def of_one_role(values: Mapping[str, Any]) -> bool:
    """Whether nested ``values`` speak of the SFT of one model alone (``sft.weak.epochs``)."""
    said = values.get("sft")
    return isinstance(said, Mapping) and bool(said) and set(said) <= set(SFT_ROLES)


def _section_type(name: str) -> Any:
    return typing.get_type_hints(Config)[name]
