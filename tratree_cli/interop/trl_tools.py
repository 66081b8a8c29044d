"""Environments for TRL's ``GRPOTrainer(environment_factory=...)``: one tool for each verb.

TRL makes one object per rollout, calls ``reset`` with the row of the data set and offers every
other public method to the model as a tool::

    trainer = GRPOTrainer(
        model, environment_factory=environment_factory("webshop"), train_dataset=rows, args=config
    )

where ``rows`` is ``Dataset.from_list(tool_rows("webshop", "train", 64))``. The reward of an episode
is its final score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratree_cli.interop.alfworld_tools import AlfWorldTools
from tratree_cli.interop.episode_tools import EpisodeTools
from tratree_cli.interop.opening import EpisodeMaker
from tratree_cli.interop.science_tools import ScienceWorldTools


class WebShopTools(EpisodeTools):
    """WebShop's two verbs."""

    def search(self, keywords: str) -> str:
        """Search the shop.

        Args:
            keywords: What to look for, in a few words.

        Returns:
            The page of results.
        """
        return self._act(f"search[{keywords}]")

    def click(self, value: str) -> str:
        """Click a button, a product or an option that is on the page.

        Args:
            value: The text to click, such as a product's code, an option or buy now.

        Returns:
            The page that follows.
        """
        return self._act(f"click[{value}]")


class ActionTools(EpisodeTools):
    """One tool for any action, for environments whose verbs are not listed here."""

    def act(self, action: str) -> str:
        """Do something.

        Args:
            action: The action, in the environment's own words.

        Returns:
            What is observed.
        """
        return self._act(action)


TOOLS: Mapping[str, type[EpisodeTools]] = {
    "webshop": WebShopTools,
    "alfworld": AlfWorldTools,
    "scienceworld": ScienceWorldTools,
}
"""The verbs of the built-in environments; any other has the one tool ``act``."""


def environment_factory(environment: str = "webshop", **options: Any) -> type[EpisodeTools]:
    """The class to give to ``GRPOTrainer(environment_factory=...)``.

    ``options`` are those of :class:`~tratree_cli.interop.opening.EpisodeMaker` (``data``,
    ``split``, ``max_steps``, ``parameters``). The class is named after its tools, which is how TRL
    logs the reward.
    """
    verbs = TOOLS.get(environment, ActionTools)
    maker = EpisodeMaker(environment, **{"actions": False, **options})
    return type(verbs.__name__, (verbs,), {"_maker": maker, "__doc__": verbs.__doc__})


def tool_rows(
    environment: str = "webshop",
    split: str = "train",
    count: int = 0,
    *,
    system: str = "",
    **options: Any,
) -> list[dict[str, Any]]:
    """Rows for ``Dataset.from_list``: an empty prompt, which ``reset`` fills, and the task.

    ``count`` 0 takes the whole split; ``system`` goes before every prompt.
    """
    maker = EpisodeMaker(environment, **options)
    before = [{"role": "system", "content": system}] if system else []
    return [
        {"prompt": [*before, {"role": "user", "content": ""}], "task": task}
        for task in maker.chooser.tasks(split)[: count or None]
    ]
