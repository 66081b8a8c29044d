"""Environments by name: entry points of the group ``tratree.environments``, or ``python:module:f``.

A worker process cannot be handed an open environment, so whoever starts workers hands them the
``EnvironmentSpec`` and they open their own. That only works because opening is a pure function of
name, data and parameters; the data digest is compared, so that a folder that changed in between is
noticed instead of mixed in.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from tratree_cli.envs.protocol import Environment, EnvironmentSpec
from tratree_cli.errors import InputError, did_you_mean

GROUP = "tratree.environments"


def environment_names() -> list[str]:
    """The names that ``--env`` knows, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def open_environment(
    environment: str | EnvironmentSpec,
    data: str = "embedded",
    parameters: Mapping[str, Any] | None = None,
) -> Environment:
    """Open an environment by name, data and parameters, or again by the spec of an open one.

    Raises ``InputError`` for an unknown name, an unusable one, or data that changed since the spec.
    """
    if isinstance(environment, str):
        return _opener(environment)(data=data, **dict(parameters or {}))
    spec = environment
    opened = _opener(spec.name)(data=spec.data, **dict(spec.parameters))
    if spec.data_digest and opened.spec.data_digest != spec.data_digest:
        opened.close()
        raise InputError(
            f"the data of {spec.name} in {spec.data} changed: their digest is "
            f"{opened.spec.data_digest[:12]} and was {spec.data_digest[:12]}; use the same data"
        )
    return opened


def _opener(name: str) -> Callable[..., Environment]:
    if name.startswith("python:"):
        _, module, attribute = [*name.split(":"), "", ""][:3]
        try:
            opener: Callable[..., Environment] = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"the environment '{name}' cannot be imported: {error}") from error
        return opener
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                loaded: Callable[..., Environment] = point.load()
            except (ImportError, AttributeError) as error:
                raise InputError(f"environment {name} cannot be loaded: {error}") from error
            return loaded
    known = environment_names()
    raise InputError(
        f"there is no environment '{name}'{did_you_mean(name, known)}; "
        f"known are {', '.join(known) or 'none'}"
    )
