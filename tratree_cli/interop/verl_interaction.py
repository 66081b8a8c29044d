"""verl's ``BaseInteraction`` over any of the environments (verl up to 0.7, which has interactions).

In verl's interaction file::

    interaction:
      - name: webshop
        class_name: tratree_cli.interop.verl_interaction.TratreeInteraction
        config: {environment: webshop, split: train}

and in each row of the data: ``interaction_kwargs: {"name": "webshop", "task": "12"}``. The prompt
of the row holds the first observation, since verl asks an
interaction for the first time after the agent's first output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from verl.interactions.base import BaseInteraction

from tratree_cli.envs.agent_episode import AgentEpisode
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import EpisodeMaker

TASK_FIELDS = ("task", "index", "seed", "split")
OPENING_FIELDS = ("data", "split", "max_steps", "react", "actions", "parameters")


class TratreeInteraction(BaseInteraction):
    """Any number of episodes by instance id.

    ``config`` names the ``environment`` and what
    :class:`~tratree_cli.interop.opening.EpisodeMaker` takes; agents write ``Action: `` unless
    ``react`` is off.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(dict(config))
        options = {name: config[name] for name in OPENING_FIELDS if name in config}
        self._maker = EpisodeMaker(
            str(config.get("environment", "webshop")),
            **{"react": True, "actions": False, **options},
        )
        self._episodes: dict[str, AgentEpisode] = {}

    async def start_interaction(self, instance_id: str | None = None, **kwargs: Any) -> str:
        """Begin the episode of the row's ``task``, ``index`` or ``seed``; its id."""
        wanted = {name: kwargs[name] for name in TASK_FIELDS if kwargs.get(name) is not None}
        if not wanted.keys() - {"split"}:
            raise InputError("interaction_kwargs need a task, an index or a seed")
        name = instance_id or str(uuid4())
        episode = self._maker.episode(**wanted)
        episode.reset()
        self._episodes[name] = episode
        return name

    async def generate_response(
        self, instance_id: str, messages: Sequence[Mapping[str, Any]], **kwargs: Any
    ) -> tuple[bool, str, float, dict[str, Any]]:
        """``(over, text, reward, information)`` after the agent's newest message.

        verl adds the rewards of the turns up: each is the increment of the score.
        """
        episode = self._episode(instance_id)
        reply = next((m for m in reversed(messages) if m.get("role") == "assistant"), None)
        if reply is None:
            raise InputError("there is no message of the agent yet")
        state = episode.step(str(reply.get("content") or ""))
        return state.done, state.text, state.reward, self._maker.information(episode, state)

    async def calculate_score(self, instance_id: str, **kwargs: Any) -> float:
        """The score so far."""
        state = self._episode(instance_id).state
        return state.score if state else 0.0

    async def finalize_interaction(self, instance_id: str, **kwargs: Any) -> None:
        """Forget the episode; safe to call twice."""
        self._episodes.pop(instance_id, None)

    def _episode(self, instance_id: str) -> AgentEpisode:
        episode = self._episodes.get(instance_id)
        if episode is None:
            raise InputError(f"there is no interaction {instance_id}; start it first")
        return episode
