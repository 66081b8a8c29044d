"""verl-agent's ``build_webshop_envs`` and ``build_alfworld_envs``, without Ray actors and Java.

The signatures, observations, rewards and infos are those that verl-agent's environment managers
(and its forks') read; one process with one catalogue plays all episodes. In a project of that
family one import changes::

    from tratree_cli.interop.verl_agent import build_alfworld_envs, build_webshop_envs

What differs: price bounds are drawn once with ``seed`` (there: in every group with another seed),
the order of goals is always the original authors', and no frames are drawn for ALFWorld.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tratree_cli.interop.verl_agent_alfworld import AlfworldEnvs, open_games
from tratree_cli.interop.verl_agent_webshop import WebshopEnvs

__all__ = ["AlfworldEnvs", "WebshopEnvs", "build_alfworld_envs", "build_webshop_envs"]


def build_webshop_envs(
    seed: int = 0,
    env_num: int = 1,
    group_n: int = 1,
    resources_per_worker: Mapping[str, Any] | bool | None = None,
    is_train: bool | Mapping[str, Any] | None = True,
    env_kwargs: Mapping[str, Any] | None = None,
) -> WebshopEnvs:
    """As verl-agent's; ``resources_per_worker`` (for Ray there) has no effect here.

    ``env_kwargs`` are WebAgentTextEnv's: ``file_path``, ``attr_path``, ``num_products``,
    ``human_goals``. Without ``file_path`` the embedded catalogue is used.
    """
    if isinstance(resources_per_worker, bool):  # the older order, by position
        older = resources_per_worker
        env_kwargs = is_train if isinstance(is_train, Mapping) else env_kwargs
        return WebshopEnvs(seed, env_num, group_n, older, env_kwargs or {})
    return WebshopEnvs(seed, env_num, group_n, bool(is_train), env_kwargs or {})


def build_alfworld_envs(
    alf_config_path: str | Path | None = None,
    seed: int = 0,
    env_num: int = 1,
    group_n: int = 1,
    resources_per_worker: Mapping[str, Any] | bool | None = None,
    is_train: bool | Mapping[str, Any] | None = True,
    env_kwargs: Mapping[str, Any] | None = None,
) -> AlfworldEnvs:
    """As verl-agent's; the games are those that ALFWorld's configuration file names.

    ``alf_config_path=None`` plays the embedded households. ``env_kwargs["eval_dataset"]`` is
    ``eval_in_distribution`` (the default) or ``eval_out_of_distribution``.
    """
    if isinstance(resources_per_worker, bool):
        env_kwargs = is_train if isinstance(is_train, Mapping) else env_kwargs
        is_train = resources_per_worker
    wanted = "train" if is_train else (env_kwargs or {}).get("eval_dataset", "eval_in_distribution")
    config_path = None if alf_config_path is None else Path(alf_config_path)
    environment, games, limit = open_games(config_path, str(wanted))
    return AlfworldEnvs(environment, games, seed, env_num, group_n, limit)
