"""The settings of pair rules and trainers that other packages bring, as a configuration holds them.

They stand under the name of what they belong to (``pairs.parameters.RULE.SETTING``), so that one
study can compare several plug-ins. A name that nothing has is refused: it would set nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.registry import Registry
from tratree_cli.settings import read_settings


def own_settings(
    registry: Registry[Any],
    name: str,
    settings: type[Any] | None,
    parameters: Mapping[str, Any],
    path: str,
) -> dict[str, Any] | None:
    """All settings of ``name``, those of ``parameters`` and defaults; None where it has none.

    ``path`` is where ``parameters`` stands in a configuration.
    """
    for owner, values in parameters.items():
        if owner not in registry:
            raise InputError(
                f"{path}.{owner}: there is no {registry.noun} '{owner}'"
                f"{did_you_mean(owner, registry.names())}"
            )
        if not isinstance(values, Mapping):
            raise InputError(f"{path}.{owner} must be settings of it, not {values!r}")
    given = parameters.get(name, {})
    if settings is None:
        if given:
            raise InputError(f"{path}.{name}: the {registry.noun} {name} has no settings")
        return None
    return asdict(read_settings(settings, given, f"the {registry.noun} {name}", f"{path}.{name}"))
