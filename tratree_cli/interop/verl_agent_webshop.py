"""WebShop as verl-agent's managers read it: many sessions of one shop in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tratree_cli.envs.webshop.session import ShopSession
from tratree_cli.errors import InputError
from tratree_cli.interop.webshop_text_env import available_actions, open_server

WON = 10.0
TEST_GOALS = 500
"""Goals 0 to 499 are for evaluation, the rest for training."""

Info = dict[str, Any]


class WebshopEnvs:
    """``env_num`` goals, each played ``group_n`` times side by side."""

    def __init__(
        self, seed: int, env_num: int, group_n: int, is_train: bool, env_kwargs: Mapping[str, Any]
    ) -> None:
        check_sizes(env_num, group_n)
        if not is_train and group_n != 1:
            raise InputError("group_n is 1 where is_train is False")
        if env_kwargs.get("observation_mode", "text") != "text":
            raise InputError("observation_mode is text here")
        self.env_num, self.group_n, self.is_train = env_num, group_n, is_train
        self.num_processes = env_num * group_n
        kwargs = {"seed": seed, **env_kwargs}
        self.server = open_server(kwargs.get("file_path"), kwargs.get("attr_path"), kwargs)
        goals = len(self.server.chosen)
        self.goal_idxs = range(TEST_GOALS, goals) if is_train else range(min(TEST_GOALS, goals))
        if len(self.goal_idxs) < env_num:
            raise InputError(
                f"{env_num} different goals are needed and there are {len(self.goal_idxs)} "
                f"({'from number 500 on' if is_train else 'below number 500'})"
            )
        self._rng = np.random.RandomState(seed)
        self._sessions = [ShopSession(self.server.shop) for _ in range(self.num_processes)]

    def reset(self, kwargs: Any = None) -> tuple[list[str], list[Info]]:
        """Other goals for all; ``kwargs`` (newer managers pass some) are ignored."""
        drawn = self._rng.choice(self.goal_idxs, size=self.env_num, replace=False)
        places = np.repeat(drawn, self.group_n).tolist()
        texts = [
            session.reset(self.server.chosen[place])
            for session, place in zip(self._sessions, places, strict=True)
        ]
        infos = [
            {"available_actions": available_actions(session), "won": False}
            for session in self._sessions
        ]
        return texts, infos

    def step(self, actions: Sequence[str]) -> tuple[list[str], list[float], list[bool], list[Info]]:
        """One action each; ``won`` and a reward of 10 where the purchase scores 1, else 0."""
        check_count(actions, self.num_processes)
        texts, rewards, dones, infos = [], [], [], []
        for session, action in zip(self._sessions, actions, strict=True):
            text, score, done = session.step(action)
            won = done and score == 1.0
            texts.append(text)
            rewards.append(WON if won else 0.0)
            dones.append(done)
            infos.append(
                {
                    "available_actions": available_actions(session),
                    "task_score": score,
                    "won": won,
                }
            )
        return texts, rewards, dones, infos

    def render(self, mode: str = "text", env_idx: int | None = None) -> Any:
        """Nothing for each episode, as in the original."""
        return None if env_idx is not None else [None] * self.num_processes

    def close(self) -> None:
        """Nothing is held open."""


def check_sizes(env_num: int, group_n: int) -> None:
    """``InputError`` unless both are at least 1."""
    if env_num < 1 or group_n < 1:
        raise InputError("env_num and group_n are at least 1")


def check_count(actions: Sequence[str], count: int) -> None:
    """``InputError`` unless there is one action for each episode."""
    if len(actions) != count:
        raise InputError(f"expected {count} actions, got {len(actions)}")
