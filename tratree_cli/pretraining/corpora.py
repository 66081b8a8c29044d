"""The corpora by name: a shop's pages for WebShop, rooms for ALFWorld and ScienceWorld."""

from __future__ import annotations

from tratree_cli.pretraining.corpus import Corpus
from tratree_cli.pretraining.household_corpus import ROOMS
from tratree_cli.pretraining.shop_corpus import SHOP


def corpus_of(text: str) -> Corpus:
    """The corpus named ``shop`` or ``rooms``."""
    return ROOMS if text == "rooms" else SHOP
