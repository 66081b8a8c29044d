"""Which words of a title count as nouns: the one place where the reward depends on a model.

The original asks a spaCy model for the part of speech. Anything that maps a title to its list of
nouns can stand here; :func:`rule_nouns` needs no model and counts every word that is not on a short
list of function words, colours and common adjectives. An evaluation records which one scored it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tratree_cli.envs.webshop.title_tokens import title_tokens
from tratree_cli.errors import InputError

Nouns = Callable[[str], Sequence[str]]

_NEVER_NOUNS = """
    a about all also am an and any are as at be been beige being big black blue both brown but
    by can casual classic comfortable could dark did do does down durable each easy extra few
    for free fresh from gold gray green grey had hard has have he her hers high him his how i if
    in into is it its just large light little long low may me medium might mine more most must
    my natural navy new no nor not of off on only onto or orange organic other our ours out over
    own per pink portable purple red same shall she short should silver slim small so soft some
    such super than that the their theirs them then these they this those to too ultra under up
    us very via was waterproof we were what when where which while white who whom whose wide
    will wireless with without would yellow you your yours
"""
CLOSED_WORDS = frozenset(_NEVER_NOUNS.split())


def rule_nouns(title: str) -> tuple[str, ...]:
    """Lower-case words of the title that hold a letter, are longer than one character and open."""
    return tuple(
        word
        for token in title_tokens(title)
        if len(word := token.lower()) > 1
        and word not in CLOSED_WORDS
        and any(character.isalpha() for character in word)
    )


def given_nouns(lists: Mapping[str, Sequence[str]], otherwise: Nouns = rule_nouns) -> Nouns:
    """Nouns from a table by title, and from ``otherwise`` for titles that are not in it."""

    def nouns(title: str) -> Sequence[str]:
        known = lists.get(title)
        return otherwise(title) if known is None else known

    return nouns


def spacy_nouns(model: str) -> Nouns:
    """Nouns by an installed spaCy model (``en_core_web_lg`` is what ETO used)."""
    try:
        import spacy

        tagger: Any = spacy.load(model, disable=["parser", "ner", "lemmatizer"])
    except (ImportError, OSError) as error:
        raise InputError(
            f"nouns rule 'spacy:{model}' needs spaCy with that model ({error}); install both or "
            "use the rule 'closed-words'"
        ) from error

    def nouns(title: str) -> tuple[str, ...]:
        return tuple(token.text.lower() for token in tagger(title) if token.pos_ in _NOUN_TAGS)

    return nouns


_NOUN_TAGS = frozenset({"NOUN", "PROPN"})


@lru_cache(maxsize=8)
def nouns_by_name(rule: str) -> Nouns:
    """``closed-words`` or ``spacy:MODEL``."""
    if rule == "closed-words":
        return rule_nouns
    if rule.startswith("spacy:"):
        return spacy_nouns(rule.removeprefix("spacy:"))
    raise InputError(f"unknown nouns rule '{rule}'; use 'closed-words' or 'spacy:MODEL'")
