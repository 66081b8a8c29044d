"""A shop with chance in it: products out of stock, scores with noise. Ours, and off by default.

The original shop is deterministic, so one sequence of actions has one score and a search over
recorded trajectories has nothing to average. Here an episode has a seed, and everything that chance
decides is a function of the seed (and of the product's identifier), not of what was done before:
the same seed and the same actions give the same pages and the same score, whatever is replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from statistics import NormalDist

from tratree_cli.envs.webshop import pages
from tratree_cli.envs.webshop.session import Page, ShopProtocol, ShopSession


@dataclass(frozen=True)
class Chance:
    """What chance decides in an episode of ``seed``.

    ``out_of_stock`` is the probability with which a product is not there for the whole episode,
    ``score_noise`` the standard deviation of a normal error that is added to the final score, which
    is then clipped to [0, 1] and rounded to six digits.
    """

    out_of_stock: float
    score_noise: float
    seed: int = 0

    def has(self, asin: str) -> bool:
        """Whether the product can be opened."""
        return self._uniform(f"stock {asin}") >= self.out_of_stock

    def scored(self, score: float) -> float:
        """The score that the episode is told instead of its own."""
        if not self.score_noise:
            return score
        error = NormalDist(0.0, self.score_noise).inv_cdf(self._uniform("score"))
        return round(min(1.0, max(0.0, score + error)), 6)

    def _uniform(self, what: str) -> float:
        """A number in (0, 1) that the seed and ``what`` is drawn for decide."""
        digest = sha256(f"webshop {self.seed} {what}".encode()).digest()
        return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


class StochasticSession(ShopSession):
    """A session in which opening a product may fail and a purchase is scored with an error.

    A click on a product that is out of stock leads back to the page of results, without the product
    and with a line about it on top. ``score`` keeps the components of the score without an error.
    """

    def __init__(self, shop: ShopProtocol, chance: Chance) -> None:
        self._chance = chance
        super().__init__(shop)

    def _choose(self, name: str) -> bool:
        for hit in self._rows():
            asin = self._inventory.products[hit].asin
            if asin.lower() == name and not self._chance.has(asin):
                self._hits = tuple(other for other in self._hits if other != hit)
                self._show_results(self.page_number)
                listed = self._observation.removeprefix(self._header)
                notice = pages.segments(asin, pages.OUT_OF_STOCK)
                self._observation = self._header + notice + listed
                return True
        return super()._choose(name)

    def _buy(self) -> tuple[str, float, bool]:
        _, reward, done = super()._buy()
        told = self._chance.scored(reward)
        assert self.asin is not None and self.page is Page.DONE
        self._observation = pages.done_page(self.asin, self.options, told)
        return self._observation, told, done
