"""Environments by name: entry points of the group ``tratree.environments``, or ``python:module:f``.

A worker process cannot be handed an open environment, so whoever starts workers hands them the
``EnvironmentSpec`` and they open their own. That only works because opening is a pure function of
name, data and parameters; the data digest is compared, so that a folder that changed in between is
noticed instead of mixed in.

Everything else about an environment is optional and found beside its opener, so that a new one can
be a single file: a folder ``templates/`` (its own recipes and prompts, laid out as the project's),
functions ``data_files(data)``, ``action_kind(action)`` and ``lasting_effect(action)``, a sequence
``REWARD_PARTS`` and a submodule ``fetch``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tratree_cli.envs.action_kinds import ActionKind, first_word
from tratree_cli.envs.protocol import FINISHED, Environment, EnvironmentSpec, RewardPart
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.registry import declared
from tratree_cli.resources import templates_dir

GROUP = "tratree.environments"


@dataclass(frozen=True)
class Plugin:
    """The module of an environment's opener; nothing is imported yet."""

    name: str
    module: str
    attribute: str

    def load(self) -> ModuleType:
        """The opener's module; ``InputError`` where it cannot be imported."""
        try:
            return importlib.import_module(self.module)
        except (ImportError, ValueError) as error:
            raise InputError(f"environment {self.name} cannot be loaded: {error}") from error

    def opener(self) -> Callable[..., Environment]:
        """The function ``open_environment(data="embedded", **parameters)`` of the plug-in."""
        try:
            opener: Callable[..., Environment] = getattr(self.load(), self.attribute)
        except AttributeError as error:
            raise InputError(f"environment {self.name} cannot be loaded: {error}") from error
        return opener

    def submodule(self, name: str) -> ModuleType | None:
        """An optional part of the plug-in's package, such as ``fetch``."""
        place = f"{self.module}.{name}"
        try:
            if importlib.util.find_spec(place) is None:
                return None
        except ModuleNotFoundError:
            return None  # the opener's module is a single file
        return importlib.import_module(place)

    def action_kind(self) -> ActionKind:
        """How it tells its actions apart: its own ``action_kind``, or by the first word."""
        own: ActionKind = getattr(self.load(), "action_kind", first_word)
        return own

    def lasting_effect(self) -> Callable[[str], bool] | None:
        """Whether an action changes more than the page it was taken on; None if it says nothing."""
        own: Callable[[str], bool] | None = getattr(self.load(), "lasting_effect", None)
        return own

    def code_files(self) -> Sequence[Path]:
        """The source files of the plug-in: its package's, or its single file."""
        origin = self._origin()
        if origin is None:
            return []
        return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]

    def data_files(self, data: str) -> Iterable[Path]:
        """Files whose size or time differs when the data may: the plug-in's own list, or all."""
        own: Callable[[str], Iterable[Path]] | None = getattr(self.load(), "data_files", None)
        return sorted(own(data) if own is not None else Path(data).glob("*"))

    def reward_parts(self) -> Sequence[RewardPart]:
        """What the plug-in declares of its reward, or that an episode finished."""
        declared_parts: Sequence[RewardPart] = getattr(self.load(), "REWARD_PARTS", (FINISHED,))
        return declared_parts

    def templates(self) -> Path | None:
        """The plug-in's own ``templates/`` folder, if it has one."""
        origin = self._origin()
        folder = origin.parent / "templates" if origin is not None else None
        return folder if folder is not None and folder.is_dir() else None

    def _origin(self) -> Path | None:
        try:
            spec = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):
            return None
        return Path(spec.origin) if spec is not None and spec.origin else None


def environment_names() -> list[str]:
    """The names that ``--env`` accepts, sorted."""
    return sorted({point.name for point in declared(GROUP)})


def find_plugin(name: str) -> Plugin | None:
    """The plug-in that ``--env NAME`` means, or None."""
    if name.startswith("python:"):
        _, module, attribute = [*name.split(":"), "", ""][:3]
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))  # one's own file in the working folder
        return Plugin(name, module, attribute or "open_environment")
    for point in declared(GROUP):
        if point.name == name:
            return Plugin(name, point.module, point.attr)
    return None


def action_kind_of(environment: str) -> ActionKind:
    """How the environment of this name tells its actions apart: by the first word if it has no way.

    Raises InputError where the environment is installed and cannot be loaded.
    """
    registered = find_plugin(environment) if environment else None
    return registered.action_kind() if registered is not None else first_word


def lasting_effect_of(environment: str) -> Callable[[str], bool] | None:
    """Which actions of the environment of this name have lasting effects, if it declares it.

    Raises InputError where the environment is installed and cannot be loaded.
    """
    registered = find_plugin(environment) if environment else None
    return registered.lasting_effect() if registered is not None else None


def plugin(name: str) -> Plugin:
    """The plug-in that ``--env NAME`` means; ``InputError`` names the nearest one."""
    match = find_plugin(name)
    if match is None:
        known = environment_names()
        raise InputError(
            f"there is no environment '{name}'{did_you_mean(name, known)}; "
            f"known are {', '.join(known) or 'none'}"
        )
    return match


def open_environment(
    environment: str | EnvironmentSpec,
    data: str = "embedded",
    parameters: Mapping[str, Any] | None = None,
) -> Environment:
    """Open an environment by name, data and parameters, or again by the spec of an open one.

    Raises ``InputError`` for an unknown name, an unusable one, or data that changed since the spec.
    """
    if isinstance(environment, str):
        return plugin(environment).opener()(data=data, **dict(parameters or {}))
    spec = environment
    opened = plugin(spec.name).opener()(data=spec.data, **dict(spec.parameters))
    if spec.data_digest and opened.spec.data_digest != spec.data_digest:
        opened.close()
        raise InputError(
            f"the data of {spec.name} in {spec.data} changed: their digest is "
            f"{opened.spec.data_digest[:12]} and was {spec.data_digest[:12]}; use the same data"
        )
    return opened


def reward_parts(environment: str) -> tuple[RewardPart, ...]:
    """The parts of its reward that an environment names; of one that is not installed the default.

    A report shows what others evaluated, so it must not need their plug-ins.
    """
    try:
        registered = find_plugin(environment) if environment else None
        return tuple(registered.reward_parts()) if registered is not None else (FINISHED,)
    except InputError:
        return (FINISHED,)


def template_folders(environment: str) -> list[Path]:
    """The project's templates, then those that ``environment`` brings along as a plug-in."""
    registered = find_plugin(environment) if environment else None
    own = registered.templates() if registered is not None else None
    return [templates_dir(), *([own] if own is not None else [])]
