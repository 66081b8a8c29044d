"""gymnasium's ``VectorEnv`` over any of the environments: many episodes in one process.

Nothing is copied between processes and nothing is loaded twice: the episodes share one catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from tratree_cli.envs.agent_episode import AgentEpisode, AgentState
from tratree_cli.envs.protocol import Environment
from tratree_cli.errors import InputError
from tratree_cli.interop.gymnasium_env import LONGEST_ACTION, LONGEST_OBSERVATION, AnyText
from tratree_cli.interop.opening import EpisodeMaker, Information

Texts = tuple[str, ...]
Flags = NDArray[np.bool_]
OBJECTS = ("task", "instruction", "available_actions")
"""Information in arrays of objects; the rest in arrays of numbers."""


class TextVectorEnv(VectorEnv[Texts, Texts, NDArray[np.float64]]):
    """``num_envs`` episodes side by side.

    Observations are tuples of texts, rewards increments of the score. ``group_size`` neighbours
    play the same task, as group-relative methods want. ``reset(options=...)`` names tasks by
    ``tasks`` or ``indices``, one for each group, and a ``split``; otherwise they are drawn without
    repeats while there are enough. ``autoreset_mode`` is gymnasium's: in ``disabled``,
    ``reset(options={"reset_mask": mask})`` begins the masked episodes again. The rest as in
    :class:`~tratree_cli.interop.gymnasium_env.TextEnv`.
    """

    def __init__(
        self,
        environment: str | Environment = "webshop",
        num_envs: int = 1,
        *,
        group_size: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        data: str = "embedded",
        split: str = "",
        max_steps: int = 0,
        react: bool = False,
        actions: bool = True,
        parameters: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1 or group_size < 1 or num_envs % group_size:
            raise InputError("num_envs is a multiple of group_size and both are at least 1")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {"render_modes": ["ansi"], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = AnyText(LONGEST_OBSERVATION)
        self.single_action_space = AnyText(LONGEST_ACTION)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._group_size = group_size
        self._maker = EpisodeMaker(
            environment,
            data=data,
            split=split,
            max_steps=max_steps,
            react=react,
            actions=actions,
            parameters=parameters,
        )
        self._episodes: list[AgentEpisode] = []
        self._split: str | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Texts, Information]:
        """Begin all episodes; one seed draws all tasks, a list of them one task each."""
        wanted = dict(options or {})
        mask = wanted.pop("reset_mask", None)
        if mask is not None and self._episodes:
            for place in np.flatnonzero(np.asarray(mask, dtype=bool)):
                self._renew(int(place))
        else:
            self._begin(seed, wanted)
        return self._texts(), self._gathered(self._states())

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Texts, NDArray[np.float64], Flags, Flags, Information]:
        """One output for each episode; ended ones are begun again as ``autoreset_mode`` sets."""
        if len(actions) != self.num_envs or not self._episodes:
            raise InputError(f"reset first, then give {self.num_envs} actions")
        states: list[AgentState] = []
        final: dict[int, tuple[str, Information]] = {}
        for place, action in enumerate(actions):
            episode = self._episodes[place]
            if self._over(episode) and self.autoreset_mode is AutoresetMode.NEXT_STEP:
                states.append(self._renew(place))
                continue
            state = episode.step(str(action))
            if state.done and self.autoreset_mode is AutoresetMode.SAME_STEP:
                final[place] = (state.text, self._maker.information(episode, state))
                self._renew(place)
            states.append(state)
        rewards = np.array([state.reward for state in states], dtype=np.float64)
        terminated = np.array([state.terminated for state in states], dtype=np.bool_)
        truncated = np.array([state.truncated for state in states], dtype=np.bool_)
        infos = self._gathered(self._states())
        if final:
            self._add_final(infos, final)
        return self._texts(), rewards, terminated, truncated, infos

    def _begin(self, seed: int | Sequence[int | None] | None, wanted: dict[str, Any]) -> None:
        self._split = split = wanted.pop("split", None)
        groups = self.num_envs // self._group_size
        tasks, indices = wanted.pop("tasks", None), wanted.pop("indices", None)
        if wanted:
            raise InputError(f"options are tasks, indices, split and reset_mask, not {[*wanted]}")
        chosen: list[dict[str, Any]]
        if tasks is not None:
            chosen = [{"task": task} for task in tasks]
        elif indices is not None:
            chosen = [{"index": index} for index in indices]
        elif seed is not None and not isinstance(seed, int):
            chosen = [{"seed": number} for number in seed]
        else:
            if seed is not None:
                self._np_random = np.random.default_rng(seed)
            chosen = [{"task": task} for task in self._drawn(split, groups)]
        if len(chosen) == self.num_envs != groups:
            chosen = chosen[:: self._group_size]
        if len(chosen) != groups:
            raise InputError(f"{groups} tasks are needed, not {len(chosen)}")
        self._episodes = [
            self._maker.episode(split=split, **choice)
            for choice in chosen
            for _ in range(self._group_size)
        ]
        for episode in self._episodes:
            episode.reset()

    def _drawn(self, split: str | None, count: int) -> list[str]:
        """Tasks without repeats; with repeats only where the split has too few."""
        tasks = self._maker.chooser.tasks(split)
        order = self.np_random.choice(len(tasks), size=count, replace=count > len(tasks))
        return [tasks[int(place)] for place in order]

    def _renew(self, place: int) -> AgentState:
        """Another task for one episode; the group's other members keep theirs."""
        [task] = self._drawn(self._split, 1)
        self._episodes[place] = self._maker.episode(task=task)
        return self._episodes[place].reset()

    def _over(self, episode: AgentEpisode) -> bool:
        return episode.state is not None and episode.state.done

    def _states(self) -> list[AgentState]:
        return [episode.state or episode.reset() for episode in self._episodes]

    def _texts(self) -> Texts:
        return tuple(state.text for state in self._states())

    def _gathered(self, states: Sequence[AgentState]) -> Information:
        """Arrays by name, each with gymnasium's mask ``_name`` beside it."""
        every = np.ones(self.num_envs, dtype=np.bool_)
        infos: Information = {
            "score": np.array([state.score for state in states], dtype=np.float64),
            "success": np.array([state.success for state in states], dtype=np.bool_),
            "valid": np.array([state.valid for state in states], dtype=np.bool_),
            "steps": np.array([state.steps for state in states], dtype=np.int64),
            "task": _objects([episode.task for episode in self._episodes]),
            "instruction": _objects([episode.instruction for episode in self._episodes]),
        }
        if self._maker.actions:
            offered = [episode.available_actions() for episode in self._episodes]
            infos["available_actions"] = _objects(offered)
        infos.update({f"_{name}": every for name in tuple(infos)})
        return infos

    def _add_final(self, infos: Information, final: Mapping[int, tuple[str, Information]]) -> None:
        ended = np.zeros(self.num_envs, dtype=np.bool_)
        ended[list(final)] = True
        texts: list[Any] = [None] * self.num_envs
        information: list[Any] = [None] * self.num_envs
        for place, (text, last) in final.items():
            texts[place], information[place] = text, last
        infos.update(final_obs=_objects(texts), final_info=_objects(information))
        infos.update(_final_obs=ended, _final_info=ended)


def _mode(mode: str | AutoresetMode) -> AutoresetMode:
    """A mode by its value (``NextStep``) or name (``next_step``)."""
    for known in AutoresetMode:
        if mode in (known, known.value, known.name.lower()):
            return known
    names = ", ".join(known.name.lower() for known in AutoresetMode)
    raise InputError(f"autoreset_mode is one of {names}, not {mode!r}")


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """An array of objects; numpy would make a matrix of lists of equal length."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array
