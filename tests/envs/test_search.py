"""Search arithmetic by hand, ties, and the stemmer against a second implementation."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest

from tratree_cli.envs.webshop.analyzer import Analyzer
from tratree_cli.envs.webshop.index_cache import cached_index, products_digest
from tratree_cli.envs.webshop.porter import stem
from tratree_cli.envs.webshop.products import Product
from tratree_cli.envs.webshop.search import SearchIndex, quantised_length, search_text

_ENDINGS = """
ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness
ousness aliti iviti biliti logi icate ative alize iciti ical ful ness al ance ence er ic able ible
ant ement ment ent sion tion ion ou ism ate iti ous ive ize e ll ed eed ing s ies sses y ss at bl iz
"""
ENDINGS = _ENDINGS.split()


def product(asin: str, title: str) -> Product:
    return Product(asin, title, "", (), "$1.0", (1.0,), (), "c", "q", "p", ())


def test_two_documents_score_as_computed_by_hand() -> None:
    index = SearchIndex.build([product("A", "red shirt"), product("B", "blue hat hat hat")])
    # "hat" is in one of two documents; B has 4 terms, the mean is 3.
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = 2 * idf * 3 / (3 + 0.9 * (1 - 0.4 + 0.4 * 4 / 3))
    [(position, score)] = index.scored("hat hats sombrero")
    assert position == 1
    assert score == pytest.approx(expected, rel=1e-6)


def test_equal_scores_are_ordered_by_asin_even_across_the_cut() -> None:
    asins = [f"B{n:03}" for n in range(120)]
    shuffled = asins.copy()
    random.Random(0).shuffle(shuffled)
    products = [product(asin, "red shirt") for asin in shuffled]
    index = SearchIndex.build(products)
    found = [products[hit].asin for hit in index.search("shirt")]
    assert found == asins[:50]


def test_unknown_words_and_stop_words_find_nothing() -> None:
    index = SearchIndex.build([product("A", "the red shirt")])
    assert index.search("the of and") == []
    assert index.search("zzz") == []
    assert index.search(" ") == []


def test_a_catalogue_of_blank_products_can_be_searched() -> None:
    assert SearchIndex.build([product("A", " ")]).search("shirt") == []


def test_only_the_first_bullet_and_the_options_are_indexed_besides_title_and_description() -> None:
    shown = Product(
        "A", "Title", "Text", ("one", "two"), "$1.0", (1.0,),
        (("color", ("red", "blue")), ("size", ("xl",))), "c", "q", "p", ("attribute",),
    )  # fmt: skip
    assert search_text(shown) == "title text one color: red, blue, and size: xl"


@pytest.mark.parametrize(
    ("length", "kept"), [(0, 0), (23, 23), (24, 24), (39, 39), (40, 40), (41, 40), (100, 96)]
)
def test_long_documents_keep_four_significant_bits_of_their_length(length: int, kept: int) -> None:
    assert quantised_length(length) == kept


def test_a_cached_index_answers_like_a_fresh_one(tmp_path: Path) -> None:
    products = [product(f"B{n}", f"red shirt number {n} {'blue ' * n}") for n in range(9)]
    digest = products_digest(products)
    fresh = cached_index(products, digest, tmp_path)
    again = cached_index(products, digest, tmp_path)
    assert isinstance(again.postings.fractions, np.memmap)
    assert again.scored("blue shirt 3") == fresh.scored("blue shirt 3")


def test_a_damaged_cache_is_rebuilt_and_an_unwritable_one_is_done_without(tmp_path: Path) -> None:
    products = [product("A", "red shirt")]
    expected = cached_index(products, "d" * 64, tmp_path).scored("shirt")
    for file in (tmp_path / "webshop").rglob("*.npy"):
        file.write_bytes(b"nonsense")
    assert cached_index(products, "d" * 64, tmp_path).scored("shirt") == expected
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert cached_index(products, "d" * 64, blocked).scored("shirt") == expected


def test_stop_words_possessives_and_long_tokens() -> None:
    analyzer = Analyzer()
    assert analyzer.terms("the women's shoe") == ["women", "shoe"]
    assert analyzer.terms("x" * 300) == ["x" * 255, "x" * 45]


@pytest.mark.slow
def test_the_stemmer_agrees_with_a_second_implementation() -> None:
    porter = pytest.importorskip("nltk.stem.porter")
    other = porter.PorterStemmer(mode="MARTIN_EXTENSIONS")
    draw = random.Random(0)
    for _ in range(60_000):
        start = "".join(draw.choice("aeiouybcdlstwx'é1") for _ in range(draw.randint(0, 6)))
        word = start + draw.choice(ENDINGS) + draw.choice(["", draw.choice(ENDINGS)])
        assert stem(word) == other.stem(word), word


def test_letters_lose_their_case_one_by_one_as_in_java() -> None:
    assert Analyzer().terms("İZMİR ΟΔΟΣ") == ["izmir", "οδοσ"]
