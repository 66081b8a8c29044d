"""The shop that WebShop's own constructor arguments mean, opened once per process.

The original reads and indexes its files in every environment object; here all objects of a process
that name the same files, number of products, kind of goals and seed share one shop.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path

from tratree_cli.envs.webshop.files import HUMAN_FILE, read_folder_files
from tratree_cli.envs.webshop.index_cache import cache_folder, cached_index, products_digest
from tratree_cli.envs.webshop.nouns import Nouns
from tratree_cli.envs.webshop.products import clean_products
from tratree_cli.envs.webshop.shop import WebShop
from tratree_cli.errors import InputError

SHOPS = 4
"""So many shops are kept open; a study needs one."""


@lru_cache(maxsize=SHOPS)
def open_shop(
    file_path: str | None,
    attr_path: str | None,
    num_products: int | None,
    human_goals: bool,
    seed: int,
    nouns: Nouns,
) -> WebShop:
    """The shop of these files; without ``file_path`` the embedded catalogue with its human goals.

    ``attr_path`` is otherwise found beside the products, as are the human instructions
    (``items_human_ins.json``). ``num_products`` takes the first records of the file. ``seed`` draws
    what the original leaves to the global generator (range prices and price bounds). ``InputError``
    for files that cannot be used.
    """
    if file_path is None:
        return _embedded(seed, nouns)
    products_file = Path(file_path).expanduser()
    content = read_folder_files(
        products_file,
        Path(attr_path).expanduser() if attr_path else None,
        products_file.with_name(HUMAN_FILE) if human_goals else None,
    )
    records = islice(content.products, num_products)
    products, dropped = clean_products(records, content.attributes, file_path)
    shop = WebShop.from_products(
        products,
        content.human,
        dropped=dropped,
        goal_kind="human" if human_goals else "synthetic",
        seed=seed,
        nouns=nouns,
        index=cached_index(products, products_digest(products), cache_folder()),
    )
    if not shop.goals:
        raise InputError(f"{file_path} has no {shop.goal_kind} goals")
    return shop


def _embedded(seed: int, nouns: Nouns) -> WebShop:
    from tratree_cli.envs.webshop.catalogue import embedded

    catalogue = embedded()
    return WebShop.from_records(
        catalogue.products,
        catalogue.attributes,
        catalogue.human,
        goal_kind="human",
        seed=seed,
        nouns=nouns,
    )
