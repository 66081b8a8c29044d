"""Titles are cut where spaCy's English tokenizer cuts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tratree_cli.envs.webshop.title_exceptions import cut_words, whole_words
from tratree_cli.envs.webshop.title_tokens import title_tokens


@pytest.mark.parametrize(
    ("title", "tokens"),
    [
        ("Cookies (12-pack)", "Cookies|(|12|-|pack|)"),
        ("Frame 10.25''", "Frame|10.25|''"),
        ("360° Swivel 28°Anti", "360|°|Swivel|28|°|Anti"),
        ("Dr. Scholl's", "Dr.|Scholl|'s"),
        ("Smith & Co., Ltd.", "Smith|&|Co.|,|Ltd."),
        ("19-1/4-Inch", "19|-|1/4|-|Inch"),
        ("18-Multi-Layer,40-Days", "18|-|Multi|-|Layer,40|-|Days"),
        ("-40°C~60°C", "-40|°|C~60|°|C"),
        ("ages (5-8)", "ages|(|5|-|8)"),
        ("we can't, cannot, WON'T", "we|ca|n't|,|can|not|,|WON'T"),
        ("It’s 7am, 8 a.m.", "It|’s|7|am|,|8|a.m."),
        ("7am", "7|am"),
        ("black/white and/or w/o", "black|/|white|and/or|w/o"),
        ("20V/5A 5pcs/set", "20V/5A|5pcs|/|set"),
        ("US$5 4+1 6+ 30ml 10in", "US$|5|4|+|1|6|+|30ml|10|in"),
        ("M.2 A. b. No. 5", "M.2|A.|b.|No|.|5"),
        ("Wait.......... (2 Pack):", "Wait|..........|(|2|Pack|):"),
        ("【Set】-Large 4K 4k", "【|Set】|-|Large|4|K|4k"),
    ],
)
def test_a_title_is_cut_at_the_places_where_spacy_cuts_it(title: str, tokens: str) -> None:
    assert "|".join(title_tokens(title)) == tokens


def test_a_long_piece_without_blanks_costs_one_pass() -> None:
    long = "(" * 50_000 + "a-b" * 50_000 + "." * 50_000
    assert "".join(title_tokens(long)) == long


@pytest.mark.slow
def test_words_and_titles_are_cut_exactly_as_by_spacy(edge60: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy comes with the original ALFWorld engine")
    tokenizer = spacy.blank("en").tokenizer
    listed = [*whole_words(), *("".join(parts) for parts in cut_words())]
    titles = [record["name"] for record in json.loads((edge60 / "items_shuffle.json").read_text())]
    around = ("{}", "({})", "{},", "x {} y", "2-{}", "{}:")
    texts = [form.format(word) for word in listed for form in around] + titles
    cut = {text: [token.text for token in tokenizer(text) if not token.is_space] for text in texts}
    differing = [text for text in texts if title_tokens(text) != cut[text]]
    assert not set(differing) & {*listed, *titles}
    assert len(differing) <= len(texts) // 200, differing


@pytest.mark.slow
def test_ordinary_titles_and_descriptions_are_cut_as_by_spacy(shared: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy comes with the original ALFWorld engine")
    tokenizer = spacy.blank("en").tokenizer
    records = json.loads((shared / "data/webshop/items_shuffle_1000.json").read_text())

    def differing(texts: list[str]) -> list[str]:
        return [
            text
            for text in texts
            if title_tokens(text) != [t.text for t in tokenizer(text) if not t.is_space]
        ]

    assert differing([record["name"] for record in records]) == []
    assert len(differing([record["full_description"] or "" for record in records])) <= 3
