"""WebShop as a text environment: the original's pages, search and rewards without its servers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratree_cli.envs.protocol import FINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tratree_cli.envs.protocol import Environment
    from tratree_cli.envs.webshop.shop import WebShop

__all__ = ["REWARD_PARTS", "WebShop", "action_kind", "data_files", "open_environment"]

REWARD_PARTS = (replace(FINISHED, name="bought", meaning="ended with a purchase"),)
"""A reward is a purchase times what was bought: either may rise at the other's expense."""


def open_environment(data: str = "embedded", **parameters: Any) -> Environment:
    """Open WebShop on the embedded catalogue or on a folder in the original schema.

    ``parameters``: see :class:`tratree_cli.envs.webshop.environment.Parameters`.
    """
    from tratree_cli.envs.webshop.environment import open_webshop

    return open_webshop(data, **parameters)


def data_files(data: str) -> Sequence[Path]:
    """The files of a folder that are read: products, attributes and human instructions."""
    from pathlib import Path

    from tratree_cli.envs.webshop.files import data_files
    from tratree_cli.errors import InputError

    try:
        return [path for path in data_files(Path(data).expanduser()) if path]
    except InputError:
        return []


def action_kind(action: str) -> str:
    """What an action is about: a search, an item, an option, buying, or moving around."""
    from tratree_cli.envs.webshop.action_kinds import action_kind

    return action_kind(action)


def __getattr__(name: str) -> Any:
    """``WebShop`` on demand: a cached stage only needs the files of this package."""
    if name == "WebShop":
        from tratree_cli.envs.webshop.shop import WebShop

        return WebShop
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
