"""Text to index terms, exactly as Lucene's English analyser with the standard tokenizer does it.

The word boundaries are those of Unicode (UAX #29) in the tokenizer's own grammar: a token is a run
of letters, digits and underscores with at least one letter or digit, and some punctuation may stand
between two letters or two digits. Character classes come from the ``regex`` package; the classes of
punctuation are written out, because newer Unicode versions moved the colon out of them.

Terms are memorised per word (vocabularies are small), so a text costs one regular expression pass.
"""

from __future__ import annotations

import regex

from tratree_cli.envs.webshop.porter import stem

_LUCENE_STOP_WORDS = """
    a an and are as at be but by for if in into is it no not of on or such that the their then
    there these they this to was will with
"""
STOP_WORDS = frozenset(_LUCENE_STOP_WORDS.split())
MAX_TOKEN_LENGTH = 255
"""Longer tokens are cut into pieces of this length (the tokenizer's buffer)."""

_TAIL = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}\uFF9E\uFF9F]*"
_LETTER = rf"(?:[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{_TAIL})"
_DIGIT = rf"(?:[\p{{WB=Numeric}}\uFF10-\uFF19]{_TAIL})"
_JOINER = rf"(?:\p{{WB=ExtendNumLet}}{_TAIL})"
_KATAKANA = rf"(?:(?![\uFF9E\uFF9F])\p{{WB=Katakana}}{_TAIL})"
_IN_BOTH = r".'\u2018\u2019\u2024\uFE52\uFF07\uFF0E"
_IN_WORD = rf"(?:[{_IN_BOTH}:\u00B7\u0387\u055F\u05F4\u2027\uFE13\uFE55\uFF1A]{_TAIL})"
_IN_NUMBER = (
    rf"(?:[{_IN_BOTH},;\u037E\u0589\u060C\u060D\u066C\u07F8\u2044\uFE10\uFE14\uFE50\uFE54\uFF0C\uFF1B]"
    rf"{_TAIL})"
)
# Unicode has since taken many symbols (such as the black star) out of Extended_Pictographic; the
# tokenizer still has them, so the blocks as they were are added to the property of today.
_PICTURE = (
    r"[\p{Extended_Pictographic}\u2388\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705"
    r"\u2708-\u2712\u2765-\u2767\U0001F000-\U0001F0FF\U0001F10D-\U0001F10F\U0001F12F"
    r"\U0001F16C-\U0001F16F\U0001F1AD\U0001F260-\U0001F265\U0001F300-\U0001F53D"
    r"\U0001F546-\U0001F64F\U0001F680-\U0001F6FF\U0001F7D5-\U0001F7FF\U0001F8B0-\U0001F8B1"
    r"\U0001FA00-\U0001FAFF]"
)
_STYLED = rf"{_PICTURE}[\uFE0E\uFE0F\U0001F3FB-\U0001F3FF]?"
_WORDS = rf"{_LETTER}(?:(?:{_JOINER}*|{_IN_WORD}){_LETTER})*+"
_NUMBERS = rf"{_DIGIT}(?:(?:{_JOINER}*|{_IN_NUMBER}){_DIGIT})*+"
_PIECE = rf"(?:(?:{_NUMBERS}|{_WORDS})++|{_KATAKANA}(?:{_JOINER}*{_KATAKANA})*+)"
_TOKEN = regex.compile(
    rf"{_JOINER}*+{_PIECE}(?:{_JOINER}++{_PIECE})*+{_JOINER}*+"
    rf"|\p{{Line_Break=Complex_Context}}(?:\p{{Line_Break=Complex_Context}}|{_TAIL})*+"
    rf"|\p{{Han}}{_TAIL}"
    rf"|\p{{Hiragana}}{_TAIL}"
    r"|(?:\p{RI}\p{RI})"
    r"|[0-9#*]\uFE0F?\u20E3"
    rf"|{_STYLED}(?:\u200D{_STYLED})*+[\uFE0E\uFE0F\u200D]*"
)
_POSSESSIVES = ("'s", "’s", "＇s", "'S", "’S", "＇S")


class Analyzer:
    """Texts to lists of terms. Holds the memory of words already stemmed."""

    def __init__(self, memory: int = 1_000_000) -> None:
        self._terms: dict[str, str] = {}
        self._memory = memory

    def terms(self, text: str) -> list[str]:
        """The index terms of ``text`` in order, with repeats; stop words are gone."""
        known = self._terms
        terms = []
        for token in _TOKEN.findall(text):
            term = known.get(token)
            if term is None:
                if len(token) > MAX_TOKEN_LENGTH:
                    terms.extend(_terms_of_long(token))
                    continue
                term = _term(token)
                if len(known) >= self._memory:
                    known.clear()
                known[token] = term
            if term:
                terms.append(term)
        return terms


def _term(token: str) -> str:
    """The term of one token, or an empty string for a stop word."""
    if token.endswith(_POSSESSIVES):
        token = token[:-2]
    token = token.lower() if token.isascii() else "".join(map(_lower, token))
    return "" if token in STOP_WORDS else stem(token)


def _lower(character: str) -> str:
    """One character in lower case, as Java does it: İ is an i without a combining dot, and a sigma
    at the end of a word is none of its own."""
    return "i" if character == "\u0130" else character.lower()


def _terms_of_long(token: str) -> list[str]:
    pieces = (token[i : i + MAX_TOKEN_LENGTH] for i in range(0, len(token), MAX_TOKEN_LENGTH))
    return [term for term in map(_term, pieces) if term]
