"""Splitting titles into words the way spaCy's English tokenizer does, without spaCy.

The noun rule counts words, and a goal's reward depends on how many there are; so the places where a
title is cut have to be those of the tokenizer that the original used. The method: cut at blanks,
peel punctuation, units and possessives off both ends of each piece, then cut what is left at
hyphens, slashes and the like between letters. Contractions and abbreviations, which titles hardly
have, are left whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

_PUNCTUATION = (
    r"…|,|:|;|!|\?|¿|¡|\(|\)|\[|\]|\{|\}|<|>|_|#|\*|&|。|？|！|，|、|；|：|～|·|।|،|۔|؛|٪"
)
_QUOTES = r"\'|\"|”|“|`|‘|´|’|‚|„|»|«|「|」|『|』|（|）|〔|〕|【|】|《|》|〈|〉"
_DASHES = r"-|–|—|--|---|——|~"
_UNITS = (
    r"km|km²|km³|m|m²|m³|dm|dm²|dm³|cm|cm²|cm³|mm|mm²|mm³|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|"
    r"m/s|km/h|kmh|mph|hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%"
)
LONGEST_SUFFIX = 8
_ICON = r"[\p{So}--[°]]"

_PREFIX = regex.compile(
    rf"(?V1)§|%|=|—|–|\+(?![0-9])|\.\.+|{_PUNCTUATION}|{_QUOTES}|\p{{Sc}}|{_ICON}"
)
_SUFFIX = regex.compile(
    rf"(?V1)(?:\.\.+|{_PUNCTUATION}|{_QUOTES}|{_ICON}|'s|'S|’s|’S|—|–|(?<=[0-9])\+"
    rf"|(?<=°[FfCcKk])\.|(?<=[0-9])(?:\p{{Sc}})|(?<=[0-9])(?:{_UNITS})"
    rf"|(?<=[0-9\p{{Ll}}%²\-\+]|{_PUNCTUATION}|{_QUOTES})\.|(?<=\p{{Lu}}\p{{Lu}})\.)$"
)
_INFIX = regex.compile(
    rf"(?V1)\.\.+|…|{_ICON}|(?<=[0-9])[+\-*^](?=[0-9\-])"
    rf"|(?<=\p{{Ll}}|{_QUOTES})\.(?=\p{{Lu}}|{_QUOTES})|(?<=\p{{L}}),(?=\p{{L}})"
    rf"|(?<=\p{{L}})(?:{_DASHES})(?=\p{{L}})|(?<=[\p{{L}}0-9])[:<>=/](?=\p{{L}})"
)


def title_tokens(title: str) -> list[str]:
    """The tokens of a title, punctuation included, blanks left out."""
    tokens: list[str] = []
    for piece in title.split():
        # Most pieces are plain words, and asking that first makes the rest rare.
        if piece.isalpha():
            tokens.append(piece)
        else:
            tokens.extend(_tokens(piece))
    return tokens


def _tokens(piece: str) -> Iterator[str]:
    """Peel the ends, cut the middle; by positions, so that a very long piece costs one pass."""
    start, end = 0, len(piece)
    suffixes: list[str] = []
    while start < end:
        prefix = _PREFIX.match(piece, start, end)
        if prefix:
            yield prefix[0]
            start = prefix.end()
            continue
        suffix = _SUFFIX.search(piece, max(start, end - LONGEST_SUFFIX), end)
        if not suffix:
            break
        suffixes.append(suffix[0])
        end = suffix.start()
    for infix in _INFIX.finditer(piece, start, end):
        if infix.start() > start:
            yield piece[start : infix.start()]
        yield infix[0]
        start = infix.end()
    if start < end:
        yield piece[start:end]
    yield from reversed(suffixes)
