"""One visit to the shop: the state machine behind search, results, item, sub-page and purchase.

The state is explicit (which page, which hits, which product, which options); the original guesses
the page kind from the words of a URL, which causes its irregularities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from tratree_cli.envs.webshop import pages
from tratree_cli.envs.webshop.actions import parse_action
from tratree_cli.envs.webshop.goals import Goal
from tratree_cli.envs.webshop.inventory import Inventory
from tratree_cli.envs.webshop.reward import Score
from tratree_cli.errors import InputError

_NO_BRACKETS = str.maketrans("[]", "  ")


class Page(Enum):
    """The kind of page that a session is at."""

    START = "start"
    RESULTS = "results"
    ITEM = "item"
    SUBPAGE = "subpage"
    DONE = "done"


class ShopProtocol(Protocol):
    """What a session needs of the shop that it is in (``shop.WebShop``)."""

    inventory: Inventory
    goals: Sequence[Goal]
    page_size: int
    hit_cap: int

    def score(self, position: int, goal: Goal, options: Mapping[str, str]) -> Score: ...


class ShopSession:
    """An episode. ``reset`` a goal, then ``step`` until a purchase; any number may share a shop.

    ``valid``: whether the last action had an effect; ``score``: what the last purchase scored.
    """

    def __init__(self, shop: ShopProtocol) -> None:
        self._shop = shop
        self._inventory = shop.inventory
        self.goal_index = -1
        self.valid = True
        self.score: Score | None = None
        self._start()

    def reset(self, goal_index: int) -> str:
        """Begin the task ``goals[goal_index]``; return its first page.

        ``InputError`` for a number that no goal has; the session stays as it was.
        """
        if isinstance(goal_index, bool) or not 0 <= goal_index < len(self._shop.goals):
            raise InputError(
                f"there is no goal {goal_index}; goals are 0 to {len(self._shop.goals) - 1}"
            )
        self.goal: Goal = self._shop.goals[goal_index]
        self.goal_index = goal_index
        self.valid = True
        self.score = None
        self._header = pages.header(self.goal.instruction)
        self._start()
        self._observation = pages.search_page(self.goal.instruction)
        return self._observation

    def step(self, action: str) -> tuple[str, float, bool]:
        """Apply an action; return (observation, reward, done).

        An action that is unknown here changes nothing: the same page, reward 0, not done. After a
        purchase the original goes on answering, and so does this; stop at ``done``.
        """
        if self.goal_index < 0:
            raise RuntimeError("reset() comes before step()")
        self.valid = True
        parsed = parse_action(action)
        if parsed is None:
            self.valid = False
        elif parsed[0] == "search":
            self._search(parsed[1])
        elif self.page is Page.ITEM and parsed[1] in self._item.buttons:
            if parsed[1] == pages.BUY:
                return self._buy()
            self._click_on_item(parsed[1])
        else:
            self._click(parsed[1])
        return self._observation, 0.0, False

    @property
    def has_search_bar(self) -> bool:
        return self.page is Page.START

    def clickables(self) -> Sequence[str]:
        """What ``click[...]`` may name here, in the original's order."""
        if self.page is Page.START:
            return (pages.SEARCH,)
        if self.page is Page.RESULTS:
            previous = (pages.PREVIOUS,) if self.page_number > 1 else ()
            rows = (self._inventory.products[hit].asin.lower() for hit in self._rows())
            return tuple(dict.fromkeys((pages.BACK, *previous, pages.NEXT, *rows)))
        if self.page is Page.ITEM:
            return tuple(self._item.buttons)
        if self.page is Page.SUBPAGE:
            return (pages.BACK, pages.PREVIOUS)
        return ()

    def available_actions(self) -> Sequence[str]:
        """Actions as an agent writes them.

        Any words may be searched for; the first page offers those of the instruction, so that an
        agent who only picks from this list can play.
        """
        if self.page is Page.START:
            query = " ".join(self.goal.instruction.translate(_NO_BRACKETS).split())
            return (f"search[{query or '*'}]",)
        # An option may be named so that no click can reach it: with a bracket, empty, "search".
        return tuple(
            action
            for name in self.clickables()
            if name != pages.SEARCH and parse_action(action := f"click[{name}]") == ("click", name)
        )

    @property
    def asin(self) -> str | None:
        """The product whose page (or purchase) this is."""
        return None if self._chosen is None else self._inventory.products[self._chosen].asin

    def _start(self) -> None:
        self.page = Page.START
        self.page_number = 1
        self.options: dict[str, str] = {}
        self._hits: Sequence[int] = ()
        self._chosen: int | None = None

    def _rows(self) -> Sequence[int]:
        size = self._shop.page_size
        return self._hits[(self.page_number - 1) * size : self.page_number * size]

    def _search(self, query: str) -> None:
        self._hits = self._inventory.find(query, self._shop.hit_cap, self.goal_index)
        self._show_results(1)

    def _show_results(self, number: int) -> None:
        self.page, self.page_number = Page.RESULTS, number
        self._chosen, self.options = None, {}
        rows = "".join([self._inventory.pages(hit).row for hit in self._rows()])
        head = pages.results_head(number, len(self._hits))
        self._observation = self._header + head + rows

    def _show_item(self) -> None:
        self.page = Page.ITEM
        assert self._chosen is not None
        self._item = self._inventory.pages(self._chosen)
        self._observation = self._header + self._item.item

    def _click(self, name: str) -> None:
        """A click anywhere but on something that the item page offers."""
        if name == pages.BACK and self.page in (Page.RESULTS, Page.SUBPAGE):
            self._start()
            self._observation = pages.search_page(self.goal.instruction)
        elif self.page is Page.RESULTS and name == pages.NEXT:
            self._show_results(self.page_number + 1)
        elif self.page is Page.RESULTS and name == pages.PREVIOUS and self.page_number > 1:
            self._show_results(self.page_number - 1)
        elif self.page is Page.SUBPAGE and name == pages.PREVIOUS:
            self._show_item()
        elif self.page is not Page.RESULTS or not self._choose(name):
            self.valid = False

    def _choose(self, name: str) -> bool:
        for hit in self._rows():
            if self._inventory.products[hit].asin.lower() == name:
                self._chosen = hit
                self._show_item()
                return True
        return False

    def _click_on_item(self, name: str) -> None:
        """A button or an option of the item page; an option named like a button acts as one."""
        if name == pages.BACK:
            self._start()
            self._observation = pages.search_page(self.goal.instruction)
        elif name == pages.PREVIOUS:
            self._show_results(self.page_number)
        elif name in pages.SUBPAGES:
            assert self._chosen is not None
            body = pages.subpage_body(self._inventory.products[self._chosen], name)
            self.page = Page.SUBPAGE
            self._observation = self._header + body
        elif name and name != pages.SEARCH:
            group = self._item.buttons[name]
            assert group is not None
            self.options[group] = name
        else:
            self.valid = False

    def _buy(self) -> tuple[str, float, bool]:
        assert self._chosen is not None
        self.score = self._shop.score(self._chosen, self.goal, self.options)
        self.page = Page.DONE
        asin = self._inventory.products[self._chosen].asin
        self._observation = pages.done_page(asin, self.options, self.score.reward)
        return self._observation, self.score.reward, True
