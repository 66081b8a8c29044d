"""WebShop behind tratree's environment protocol, with the rules of ETO's wrapper.

The first observation of a task stands alone, later ones begin with ``Observation:``; an episode has
ten steps; success means that something was bought, and the score is the purchase's reward.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.envs.parameters import checked_parameters
from tratree_cli.envs.protocol import EnvironmentSpec, Expert, Outcome
from tratree_cli.envs.webshop.files import read_folder
from tratree_cli.envs.webshop.index_cache import cache_folder, cached_index, products_digest
from tratree_cli.envs.webshop.nouns import nouns_by_name
from tratree_cli.envs.webshop.products import clean_products
from tratree_cli.envs.webshop.search import OnProgress
from tratree_cli.envs.webshop.session import ShopSession
from tratree_cli.envs.webshop.shop import WebShop
from tratree_cli.envs.webshop.splits import choose_splits, eto_findings
from tratree_cli.envs.webshop.stochastic import Chance, StochasticSession
from tratree_cli.errors import InputError

EMBEDDED = "embedded"
PREFIX = "Observation:\n"
RULE = "closed-words"
SPACY_MODELS = ("en_core_web_lg", "en_core_web_sm")


@dataclass(frozen=True)
class Parameters:
    """Everything besides the data that changes an observation or a score.

    ``goals`` is ``human``, ``synthetic`` or ``auto`` (human where there are at least 100);
    ``nouns`` is ``closed-words``, ``spacy:MODEL`` or ``auto`` (a spaCy model for data folders if
    one is installed, else the rule); ``seed`` draws price bounds. ``auto`` is resolved when the
    environment opens, so that lineage names what was used. ``out_of_stock`` and ``score_noise``
    make the embedded catalogue stochastic (``stochastic.Chance``).
    """

    page_size: int = 10
    hit_cap: int = 50
    max_steps: int = 10
    goals: str = "auto"
    nouns: str = "auto"
    seed: int = 0
    out_of_stock: float = 0.0
    score_noise: float = 0.0

    @property
    def stochastic(self) -> bool:
        """Whether an episode depends on its seed."""
        return bool(self.out_of_stock or self.score_noise)

    def record(self) -> dict[str, Any]:
        """As lineage has them: without those of chance where there is none."""
        values = asdict(self)
        for name in ("out_of_stock", "score_noise"):
            if not values[name]:
                del values[name]
        return values


class ShopEpisode:
    """One episode of a task."""

    def __init__(self, session: ShopSession, goal_index: int) -> None:
        self._session = session
        self._goal_index = goal_index
        self._score = 0.0
        self._bought = False

    def reset(self) -> str:
        self._score, self._bought = 0.0, False
        return self._session.reset(self._goal_index)

    def step(self, action: str) -> Outcome:
        if self._session.goal_index < 0:
            self.reset()
        observation, reward, done = self._session.step(action)
        if done:
            self._score, self._bought = reward, True
        return Outcome(
            observation=PREFIX + observation,
            score=self._score,
            done=done,
            success=self._bought,
            valid=self._session.valid,
        )

    def available_actions(self) -> Sequence[str]:
        return self._session.available_actions()


class WebShopEnvironment:
    """The tasks of one catalogue. Episodes share it and nothing else.

    ``stochastic``: pages and scores depend on the episode's seed; ``episode`` has the seed 0.
    """

    in_memory = True

    def __init__(self, shop: WebShop, spec: EnvironmentSpec, splits: Mapping[str, Sequence[int]]):
        self.shop = shop
        self.spec = spec
        self._out_of_stock = float(spec.parameters.get("out_of_stock", 0.0))
        self._score_noise = float(spec.parameters.get("score_noise", 0.0))
        self.stochastic = bool(self._out_of_stock or self._score_noise)
        self.notes = _notes(shop, splits)
        products = shop.inventory
        self.sizes = {
            "product records": len(products.products) + products.dropped.records,
            f"{shop.goal_kind} goals": len(shop.goals),
        }
        self._splits = {name: tuple(map(str, indices)) for name, indices in splits.items()}

    def splits(self) -> Mapping[str, Sequence[str]]:
        return self._splits

    def instruction(self, task: str) -> str:
        return self.shop.goals[self._index(task)].instruction

    def task_type(self, task: str) -> str:
        return self.shop.goals[self._index(task)].category

    def max_steps(self, task: str) -> int:
        self._index(task)
        return int(self.spec.parameters["max_steps"])

    def episode(self, task: str) -> ShopEpisode:
        return self.seeded_episode(task, 0)

    def seeded_episode(self, task: str, seed: int) -> ShopEpisode:
        """An episode whose chance is drawn from ``seed``; without chance all seeds are alike."""
        if not self.stochastic:
            return ShopEpisode(self.shop.session(), self._index(task))
        chance = Chance(self._out_of_stock, self._score_noise, seed)
        return ShopEpisode(StochasticSession(self.shop, chance), self._index(task))

    def expert(self, task: str) -> Expert:
        from tratree_cli.envs.webshop.expert import PageExpert

        return PageExpert(self.instruction(task))

    def close(self) -> None:
        """Nothing is held open."""

    def _index(self, task: str) -> int:
        # isdecimal alone would let in digits of other scripts and leading zeros.
        if len(task) < 12 and task.isascii() and task.isdecimal() and str(int(task)) == task:
            index = int(task)
            if index < len(self.shop.goals):
                return index
        raise InputError(
            f"WebShop has no task '{task[:80]}'; tasks are goal numbers from 0 to "
            f"{len(self.shop.goals) - 1}"
        )


def open_webshop(
    data: str = EMBEDDED,
    *,
    cache: str | Path | None = None,
    progress: OnProgress | None = None,
    **parameters: Any,
) -> WebShopEnvironment:
    """Open the embedded catalogue or a folder; ``parameters`` are those of :class:`Parameters`.

    ``cache`` is where the search index of a folder is kept (see :mod:`.index_cache`).
    """
    chosen = checked_parameters(
        Parameters,
        "WebShop",
        parameters,
        choices={"goals": ("auto", "human", "synthetic")},
        least={"page_size": 1, "hit_cap": 1, "max_steps": 1, "out_of_stock": 0, "score_noise": 0},
        most={"out_of_stock": 1, "score_noise": 1},
    )
    if data == EMBEDDED:
        return _open_embedded(chosen)
    if chosen.stochastic:
        raise InputError(
            "out_of_stock and score_noise are parameters of WebShop's embedded catalogue alone; a "
            "folder's shop stays as the original is"
        )
    folder = Path(data).expanduser().absolute()
    content = read_folder(folder)
    products, dropped = clean_products(content.products, content.attributes, str(content.files[0]))
    if not products:
        raise InputError(f"{content.files[0]} holds no usable product")
    # The raw records are several times the size of the clean ones; release them first.
    content = replace(content, products=(), attributes={})
    digest = products_digest(products)
    if chosen.nouns == "auto":
        chosen = replace(chosen, nouns=_best_nouns())
    shop = WebShop.from_products(
        products,
        content.human,
        dropped=dropped,
        index=cached_index(products, digest, cache_folder(cache), progress),
        **_shop_options(chosen),
    )
    human = {asin: content.human[asin] for asin in shop.prices if asin in content.human}
    splits = choose_splits(shop.goals, shop.goal_kind == "human")
    return _environment(shop, str(folder), _data_digest(digest, human), chosen, splits)


def _open_embedded(chosen: Parameters) -> WebShopEnvironment:
    from tratree_cli.envs.webshop.catalogue import embedded

    catalogue = embedded()
    if chosen.nouns == "auto":
        # The embedded catalogue behaves the same on every machine.
        chosen = replace(chosen, nouns=RULE)
    products, dropped = clean_products(catalogue.products, catalogue.attributes)
    shop = WebShop.from_products(
        products, catalogue.human, dropped=dropped, **_shop_options(chosen)
    )
    human = shop.goal_kind == "human"
    splits = catalogue.splits if human else choose_splits(shop.goals, human)
    digest = _data_digest(products_digest(products), catalogue.human)
    return _environment(shop, EMBEDDED, digest, chosen, splits)


def _environment(
    shop: WebShop, data: str, digest: str, chosen: Parameters, splits: Mapping[str, Sequence[int]]
) -> WebShopEnvironment:
    if not shop.goals:
        raise InputError(
            f"the catalogue {data} has no {shop.goal_kind} goals; its instruction file names none "
            "of its products"
        )
    resolved = replace(chosen, goals=shop.goal_kind).record()
    return WebShopEnvironment(shop, EnvironmentSpec("webshop", data, digest, resolved), splits)


def _notes(shop: WebShop, splits: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Warnings about results on this catalogue."""
    lines = [
        f"{len(shop.inventory.products):,} products, {len(shop.goals):,} {shop.goal_kind} goals"
    ]
    dropped = shop.inventory.dropped
    if dropped.records:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.reasons.items())
        lines.append(f"{dropped.records:,} records dropped ({reasons})")
    if "test-clean" in splits:
        lines += [f"{len(tasks)} {what}" for what, tasks in eto_findings().items()]
    return tuple(lines)


def _shop_options(chosen: Parameters) -> dict[str, Any]:
    return {
        "goal_kind": None if chosen.goals == "auto" else chosen.goals,
        "seed": chosen.seed,
        "page_size": chosen.page_size,
        "hit_cap": chosen.hit_cap,
        "nouns": nouns_by_name(chosen.nouns),
    }


def _data_digest(products: str, human: Mapping[str, Any]) -> str:
    """sha256 of what goals, pages, search and rewards are made from, whatever the file layout."""
    instructions = orjson.dumps(human, option=orjson.OPT_SORT_KEYS)
    return sha256(b"webshop data 1\n" + products.encode() + instructions).hexdigest()


def _best_nouns() -> str:
    """ETO's spaCy model if it is installed, else the smaller one, else the rule."""
    if importlib.util.find_spec("spacy") is not None:
        for model in SPACY_MODELS:
            if importlib.util.find_spec(model) is not None:
                return f"spacy:{model}"
    return RULE
