"""ALFWorld as verl-agent's environment managers read it: many games in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tratree_cli.envs.alfworld.engine import Play
from tratree_cli.envs.alfworld.environment import AlfWorldEnvironment
from tratree_cli.envs.alfworld.folder import GAME
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import shared_environment
from tratree_cli.interop.verl_agent_webshop import WON, Info, check_count, check_sizes

LIMIT = 50
"""ALFWorld's own step limit, where its configuration has none."""

SPLITS = {
    "train": "train",
    "eval_in_distribution": "dev",
    "eval_out_of_distribution": "test",
}
TYPES = {
    1: "pick_and_place_simple",
    2: "look_at_obj_in_light",
    3: "pick_clean_then_place_in_recep",
    4: "pick_heat_then_place_in_recep",
    5: "pick_cool_then_place_in_recep",
    6: "pick_two_obj_and_place",
}


class AlfworldEnvs:
    """``env_num`` sequences of games, each played ``group_n`` times side by side."""

    multi_modal = False

    def __init__(
        self,
        environment: AlfWorldEnvironment,
        games: Sequence[str],
        seed: int,
        env_num: int,
        group_n: int,
        max_steps: int = LIMIT,
    ) -> None:
        check_sizes(env_num, group_n)
        self.env_num, self.group_n, self.num_processes = env_num, group_n, env_num * group_n
        self.prev_admissible_commands: list[list[str]] = [[] for _ in range(self.num_processes)]
        self._environment = environment
        self._max_steps = max_steps
        self._games = [_shuffled_cycle(games, seed + group) for group in range(env_num)]
        self._plays: list[tuple[Play, str]] = []
        self._steps = [0] * self.num_processes

    def reset(self, kwargs: Any = None) -> tuple[list[str], None, list[Info]]:
        """The next game of every group; ``kwargs`` are ignored."""
        tasks = [next(games) for games in self._games]
        self._plays = [
            (Play(self._environment.house(task)), task)
            for task in tasks
            for _ in range(self.group_n)
        ]
        self._steps = [0] * self.num_processes
        texts = [play.reset() for play, _ in self._plays]
        return texts, None, [self._info(place, text) for place, text in enumerate(texts)]

    def step(
        self, actions: Sequence[str]
    ) -> tuple[list[str], None, list[float], list[bool], list[Info]]:
        """One action each; a reward of 10 where the game is won, else 0."""
        check_count(actions, self.num_processes)
        if not self._plays:
            raise InputError("reset comes before the first step")
        texts, rewards, dones, infos = [], [], [], []
        for place, action in enumerate(actions):
            play, _ = self._plays[place]
            texts.append(play.step(action))
            self._steps[place] += 1
            rewards.append(WON * float(play.won))
            dones.append(play.won or self._steps[place] >= self._max_steps)
            infos.append(self._info(place, texts[-1]))
        return texts, None, rewards, dones, infos

    @property
    def get_admissible_commands(self) -> list[list[str]]:
        """What has an effect now, for each episode."""
        return self.prev_admissible_commands

    def getobs(self) -> None:
        """No frames."""

    def close(self) -> None:
        """Nothing is held open."""

    def _info(self, place: int, text: str) -> Info:
        play, task = self._plays[place]
        self.prev_admissible_commands[place] = play.commands()
        return {
            "admissible_commands": self.prev_admissible_commands[place],
            "won": play.won,
            "extra.gamefile": self._gamefile(task),
            "observation_text": text,
        }

    def _gamefile(self, task: str) -> str:
        """The game's file; managers look for the type of task in it."""
        data = self._environment.spec.data
        if data == "embedded":
            return f"embedded/{self._environment.task_type(task)}/{task}/{GAME}"
        return self._environment.house(task).game.where


def open_games(config_path: Path | None, wanted: str) -> tuple[AlfWorldEnvironment, list[str], int]:
    """Environment, games and step limit that ALFWorld's configuration file means for ``wanted``
    (``train`` or an ``eval_dataset``); without a file the embedded households."""
    split = SPLITS.get(wanted)
    if split is None:
        raise InputError(f"eval_dataset is one of {', '.join(SPLITS)}, not {wanted!r}")
    config = {} if config_path is None else _read_config(config_path)
    environment = shared_environment("alfworld", _data(config, split))
    if not isinstance(environment, AlfWorldEnvironment):
        raise InputError("the environment named alfworld is not ALFWorld")
    types = {TYPES.get(number) for number in config.get("env", {}).get("task_types", ())}
    games = [
        task
        for task in environment.splits().get(split, ())
        if not types or environment.task_type(task) in types
    ]
    if not games:
        raise InputError(f"{environment.spec.data} has no games of {wanted} of these types")
    limit = config.get("rl", {}).get("training", {}).get("max_nb_steps_per_episode", LIMIT)
    return environment, games, int(limit)


def _read_config(path: Path) -> Mapping[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML ({error.__class__.__name__})") from error
    kind = content.get("env", {}).get("type") if isinstance(content, dict) else None
    if kind != "AlfredTWEnv":
        raise InputError(f"{path}: env.type is AlfredTWEnv here (texts only), not {kind!r}")
    config: Mapping[str, Any] = content
    return config


def _data(config: Mapping[str, Any], split: str) -> str:
    """The folder above the one with the split's games; environment variables are replaced."""

    if not config:
        return "embedded"
    key = {"train": "data_path", "dev": "eval_id_data_path", "test": "eval_ood_data_path"}[split]
    named = config.get("dataset", {}).get(key)
    if not named:
        raise InputError(f"the configuration has no dataset.{key}")
    return str(Path(os.path.expandvars(str(named))).expanduser().parent)


def _shuffled_cycle(games: Sequence[str], seed: int) -> Iterator[str]:
    """The games in a new order each time around."""
    generator, order = np.random.RandomState(seed), list(games)
    while True:
        generator.shuffle(order)
        yield from order
