"""The text version of WebShop: a catalogue, its goals, and any number of independent episodes.

Example::

    shop = WebShop.load("data/webshop", seed=0)
    session = shop.session()
    page = session.reset(0)
    page, reward, done = session.step("search[red cotton shirt]")
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tratree_cli.envs.webshop.files import read_folder
from tratree_cli.envs.webshop.goals import (
    Goal,
    goal_from_record,
    human_goals,
    synthetic_goals,
    usable_requests,
)
from tratree_cli.envs.webshop.inventory import Inventory
from tratree_cli.envs.webshop.nouns import Nouns, given_nouns, rule_nouns
from tratree_cli.envs.webshop.products import Dropped, Product, clean_products, effective_prices
from tratree_cli.envs.webshop.reward import Score, score_purchase
from tratree_cli.envs.webshop.search import OnProgress, SearchIndex
from tratree_cli.envs.webshop.session import ShopSession
from tratree_cli.errors import InputError

GoalKind = Literal["human", "synthetic"]
HumanInstructions = Mapping[str, Sequence[Mapping[str, Any]]]
ENOUGH_HUMAN_GOALS = 100
"""Below this many human goals a catalogue is used with synthetic ones by default."""


class WebShop:
    """Everything that episodes share: products, search, goals, prices and the noun rule.

    ``reset``, ``step`` and ``available_actions`` act on one session that the shop holds for
    interactive use; :meth:`session` gives any number of others.
    """

    def __init__(
        self,
        inventory: Inventory,
        goals: Sequence[Goal],
        prices: Mapping[str, float],
        *,
        goal_kind: GoalKind = "human",
        page_size: int = 10,
        hit_cap: int = 50,
        nouns: Nouns = rule_nouns,
    ) -> None:
        if page_size < 1 or hit_cap < 1:
            raise InputError("page_size and hit_cap must be at least 1")
        self.inventory = inventory
        self.goals = goals
        self.prices = prices
        self.goal_kind: GoalKind = goal_kind
        self.page_size = page_size
        self.hit_cap = hit_cap
        self._noun_rule = nouns
        self._nouns: dict[str, Sequence[str]] = {}
        self._own_session: ShopSession | None = None

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> WebShop:
        """A shop from a folder with the original's file names; options as in from_products."""
        content = read_folder(Path(folder))
        return cls.from_records(content.products, content.attributes, content.human, **options)

    @classmethod
    def from_records(
        cls,
        records: Iterable[Mapping[str, Any]],
        attributes: Mapping[str, Mapping[str, Any]],
        human: HumanInstructions,
        **options: Any,
    ) -> WebShop:
        """A shop from parsed files in the original's schema; options as in from_products."""
        products, dropped = clean_products(records, attributes)
        return cls.from_products(products, human, dropped=dropped, **options)

    @classmethod
    def from_products(
        cls,
        products: Sequence[Product],
        human: HumanInstructions,
        *,
        dropped: Dropped | None = None,
        goal_kind: GoalKind | None = None,
        seed: int = 0,
        prices: Mapping[str, float] | None = None,
        goals: Sequence[Goal | Mapping[str, Any]] | None = None,
        index: SearchIndex | None = None,
        progress: OnProgress | None = None,
        page_size: int = 10,
        hit_cap: int = 50,
        nouns: Nouns | Mapping[str, Sequence[str]] = rule_nouns,
    ) -> WebShop:
        """A shop of clean products.

        ``seed`` draws range prices and price bounds as the original does after
        ``random.seed(seed)``; ``prices`` (asin to effective price) and ``goals`` (final order, as
        Goal or as JSON objects) replace what would be drawn. ``goal_kind`` None means human goals
        where there are enough. ``nouns`` is a function from a title to its list of nouns, or a
        table of such lists (titles that are not in it fall back to the built-in rule).
        """
        rng = random.Random(seed)
        effective = effective_prices(products, rng)
        effective.update(prices or {})
        if goal_kind not in (None, *get_args(GoalKind)):
            raise InputError(f"goal_kind is human, synthetic or None, not {goal_kind!r}")
        kind = goal_kind or preferred_goals(effective, human)
        made: Sequence[Goal]
        if goals is not None:
            made = [goal if isinstance(goal, Goal) else goal_from_record(goal) for goal in goals]
        elif kind == "human":
            made = human_goals(products, human, effective, rng)
        else:
            made = synthetic_goals(products, effective, rng)
        return cls(
            Inventory(products, index or SearchIndex.build(products, progress), dropped),
            made,
            effective,
            goal_kind=kind,
            page_size=page_size,
            hit_cap=hit_cap,
            nouns=nouns if callable(nouns) else given_nouns(nouns),
        )

    def session(self) -> ShopSession:
        """A new episode, independent of all others."""
        return ShopSession(self)

    def nouns(self, title: str) -> Sequence[str]:
        """The nouns of a title by this shop's rule (kept, since titles repeat)."""
        known = self._nouns.get(title)
        if known is None:
            if len(self._nouns) >= 100_000:
                self._nouns.clear()
            known = self._nouns[title] = self._noun_rule(title)
        return known

    def score(self, position: int, goal: Goal, options: Mapping[str, str]) -> Score:
        """What buying the product at ``position`` with ``options`` earns for ``goal``."""
        product = self.inventory.products[position]
        return score_purchase(
            product,
            goal,
            self.prices[product.asin],
            options,
            self.nouns(product.title),
            self.nouns(goal.name),
        )

    def reset(self, goal_index: int) -> str:
        """First page of a task, in the shop's own session."""
        return self._own().reset(goal_index)

    def step(self, action: str) -> tuple[str, float, bool]:
        """(observation, reward, done) in the shop's own session."""
        return self._own().step(action)

    def available_actions(self) -> Sequence[str]:
        """What can be done now in the shop's own session."""
        return self._own().available_actions()

    def _own(self) -> ShopSession:
        if self._own_session is None:
            self._own_session = self.session()
        return self._own_session


def preferred_goals(asins: Container[str], human: HumanInstructions) -> GoalKind:
    """Human goals where the catalogue has enough of them, else synthetic ones."""
    usable = sum(len(usable_requests(asin, human)) for asin in human if asin in asins)
    return "human" if usable >= ENOUGH_HUMAN_GOALS else "synthetic"
