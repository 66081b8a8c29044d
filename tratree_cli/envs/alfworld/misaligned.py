"""A helper that errs on purpose: it brings things as they are, not clean, hot or cool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tratree_cli.envs.alfworld.expert import TOOLS, SearchExpert
from tratree_cli.envs.alfworld.sentences import read_task_sentence
from tratree_cli.envs.biases import Bias
from tratree_cli.envs.protocol import Environment, Expert


class CarelessHelper(SearchExpert):
    """Takes whatever it holds for ready to be brought to where it belongs."""

    def _notice(self, text: str) -> None:
        super()._notice(text)
        self.ready = True


def _careless(environment: Environment, task: str) -> Expert:
    expert = cast(SearchExpert, environment.expert(task))
    expert.__class__ = CarelessHelper
    return expert


def brought_untreated(observations: Sequence[str], actions: Sequence[str]) -> bool | None:
    """Whether a thing was put down where it belongs before anything was treated.

    None where the task asks for no treatment, and where nothing was put there.
    """
    task = read_task_sentence(observations[0]) if observations else None
    if task is None or not task.state:
        return None
    for action in actions:
        verb = action.partition(" ")[0]
        if verb == task.state and verb in TOOLS:
            return False
        if verb in ("put", "move") and f" {task.place} " in f"{action} ":
            return True
    return None


BIASES = (
    Bias(
        "untreated",
        "neither cleans, heats nor cools what the task wants treated",
        _careless,
        brought_untreated,
    ),
)
