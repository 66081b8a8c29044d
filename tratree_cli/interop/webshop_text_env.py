"""WebShop's ``WebAgentTextEnv`` without Flask, BeautifulSoup, Lucene and Java.

The constructor, ``reset``, ``step`` and ``get_available_actions`` are the original's, and so are
the texts (``docs/webshop.md`` gives the exceptions). What differs: only the text observation is
made, the files are read once per process, and without ``file_path`` the catalogue is tratree's own.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from tratree_cli.envs.webshop.goals import Goal
from tratree_cli.envs.webshop.nouns import Nouns, rule_nouns
from tratree_cli.envs.webshop.session import ShopSession
from tratree_cli.envs.webshop.shop import WebShop
from tratree_cli.errors import InputError
from tratree_cli.interop.shop_files import open_shop

SEPARATOR = " [SEP] "
INSTRUCTION = "Instruction: "
GoalRecord = dict[str, Any]
"""A goal under the original's key names."""

_UNKNOWN_HERE = ("get_image", "show_attrs")


class ShopServer:
    """What the environments of one catalogue share: its shop, and goals as the original lists them.

    ``goals`` may be a selection of the shop's; ``sessions`` maps a session to its goal.
    """

    def __init__(
        self,
        shop: WebShop,
        filter_goals: Callable[[int, GoalRecord], bool] | None = None,
        limit_goals: int = -1,
    ) -> None:
        self.shop = shop
        chosen = list(range(len(shop.goals)))
        if filter_goals is not None:
            chosen = [i for i in chosen if filter_goals(i, self._record(i))]
        if 0 <= limit_goals < len(chosen):
            picked: dict[int, None] = {}
            bounds = _bounds([shop.goals[i] for i in chosen])
            while len(picked) < limit_goals:
                picked[_draw(bounds)] = None
            chosen = [chosen[place] for place in picked]
        self.chosen: Sequence[int] = chosen
        self.sessions: dict[str, int] = {}
        self._bounds = _bounds([shop.goals[i] for i in chosen])
        self._goals: list[GoalRecord] | None = None

    @property
    def goals(self) -> list[GoalRecord]:
        """The goals in their order, made when first used."""
        if self._goals is None:
            self._goals = [self._record(i) for i in self.chosen]
        return self._goals

    def _record(self, number: int) -> GoalRecord:
        return goal_record(self.shop.goals[number], self.shop.goal_kind == "synthetic")

    def place(self, session: str, number: int | None) -> int:
        """The place among ``goals`` of a session: the one it has, ``number``, or a drawn one."""
        if session not in self.sessions:
            place = _draw(self._bounds) if number is None else number
            if not 0 <= place < len(self.chosen):
                raise InputError(f"there is no goal {place}; goals are 0 to {len(self.chosen) - 1}")
            self.sessions[session] = place
        return self.sessions[session]


class WebAgentTextEnv:
    """One episode at a time. ``kwargs``: filter_goals, limit_goals, num_products, human_goals,
    session, session_prefix, num_prev_obs, num_prev_actions, seed, and ``nouns`` (a function from a
    title to its nouns; the rule ``closed-words`` by default).
    """

    def __init__(
        self,
        observation_mode: str = "text",
        file_path: str | None = None,
        attr_path: str | ShopServer | None = None,
        server: ShopServer | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(attr_path, ShopServer):
            # The original's third argument, which verl-agent's copy moved behind attr_path.
            attr_path, server = None, attr_path
        if observation_mode != "text":
            raise InputError(f"observation_mode is text here, not {observation_mode!r}")
        for name in _UNKNOWN_HERE:
            if kwargs.get(name):
                raise InputError(f"{name} is not to be had here: only texts are made")
        self.observation_mode = observation_mode
        self.kwargs = kwargs
        self.server = server or open_server(file_path, attr_path, kwargs)
        self.session: Any = kwargs.get("session")
        self.session_prefix: str | None = kwargs.get("session_prefix")
        self.num_prev_obs = int(kwargs.get("num_prev_obs", 0))
        self.num_prev_actions = int(kwargs.get("num_prev_actions", 0))
        self._shop_session = ShopSession(self.server.shop)
        self.reset()

    def reset(
        self, session: int | str | None = None, instruction_text: str | None = None
    ) -> tuple[str, None]:
        """Begin the goal of this number, or of a session (drawn by weight for a new one)."""
        number = session if isinstance(session, int) else None
        if session is None:
            session = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=10))
        self.session = f"{self.session_prefix or ''}{session}"
        place = self.server.place(self.session, number)
        self.observation = self._shop_session.reset(self.server.chosen[place])
        self.instruction_text = instruction_text or self.get_instruction_text()
        self.prev_obs = [self.observation]
        self.prev_actions: list[str] = []
        return self.observation, None

    def step(self, action: str) -> tuple[str, float, bool, None]:
        """``(observation, reward, done, None)``; an unknown action changes nothing."""
        self.observation, reward, done = self._shop_session.step(action)
        self.prev_actions.append(action)
        parts = [self.observation]
        for back in range(1, 1 + max(self.num_prev_obs, self.num_prev_actions)):
            if back <= min(self.num_prev_actions, len(self.prev_actions)):
                parts.append(self.prev_actions[-back])
            if back <= min(self.num_prev_obs, len(self.prev_obs)):
                parts.append(self.prev_obs[-back])
        self.prev_obs.append(self.observation)
        return SEPARATOR.join(reversed(parts)), reward, done, None

    def get_available_actions(self) -> dict[str, Any]:
        """``has_search_bar`` and ``clickables``, in the original's order."""
        return available_actions(self._shop_session)

    def get_instruction_text(self) -> str:
        """The instruction with the word that stands before it on the page."""
        return INSTRUCTION + self._shop_session.goal.instruction

    @property
    def state(self) -> Mapping[str, str]:
        """The original's state, without the page's address and source."""
        return {"url": "", "html": "", "instruction_text": self.instruction_text}

    def render(self, mode: str = "human") -> None:
        """Nothing, as in the original."""

    def close(self) -> None:
        """Nothing is held open."""


def open_server(
    file_path: str | None, attr_path: str | None, kwargs: Mapping[str, Any]
) -> ShopServer:
    """The goals and shop that the original's keyword arguments mean."""
    nouns: Nouns = kwargs.get("nouns") or rule_nouns
    shop = open_shop(
        None if file_path is None else str(file_path),
        None if attr_path is None else str(attr_path),
        kwargs.get("num_products"),
        bool(kwargs.get("human_goals")),
        int(kwargs.get("seed") or 0),
        nouns,
    )
    return ShopServer(shop, kwargs.get("filter_goals"), int(kwargs.get("limit_goals", -1)))


def available_actions(session: ShopSession) -> dict[str, Any]:
    """What can be done now, in the original's form."""
    return {"has_search_bar": session.has_search_bar, "clickables": list(session.clickables())}


def goal_record(goal: Goal, synthetic: bool) -> GoalRecord:
    """A goal under the original's key names; the options of a synthetic one are an object."""
    # Synthetic goals ask for pairs of a group and a value, human ones for values.
    options: Any = dict(goal.options) if synthetic else list(goal.options)  # type: ignore[arg-type]
    return {
        "asin": goal.asin,
        "category": goal.category,
        "query": goal.query,
        "name": goal.name,
        "product_category": goal.product_category,
        "instruction_text": goal.instruction,
        "attributes": list(goal.attributes),
        "price_upper": goal.price_upper,
        "goal_options": options,
        "weight": goal.weight,
    }


def _bounds(goals: Sequence[Goal]) -> list[float]:
    return [0.0, *accumulate(goal.weight for goal in goals)]


def _draw(bounds: Sequence[float]) -> int:
    """A place by weight, with the original's shift by one: the first goal is never drawn."""
    position = random.uniform(0, bounds[-1])
    return min(bisect(bounds, position), len(bounds) - 2)
