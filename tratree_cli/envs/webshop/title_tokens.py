"""Splitting titles into words the way spaCy's English tokenizer does, without spaCy.

The noun rule counts words, and a goal's reward depends on how many there are; so the places where a
title is cut have to be those of the tokenizer that the original used. The method: cut at blanks;
peel punctuation, units and possessives off both ends of each piece until a listed word or nothing
more is found; cut what is left at hyphens, slashes and the like; join neighbours that spell a
listed word. What differs: addresses of web pages and rare emoticons, which spaCy keeps whole, four
and more apostrophes in a row, and alphabets that its letter classes leave out or in.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from tratree_cli.envs.webshop.title_exceptions import cut_words, whole_words

_PUNCTUATION = (
    r"…|,|:|;|!|\?|¿|؟|¡|\(|\)|\[|\]|\{|\}|<|>|_|#|\*|&|。|？|！|，|、|；|：|～|·|।|،|۔|؛|٪"
)
_QUOTES = r"\'|\"|”|“|`|‘|´|’|‚|,|„|»|«|「|」|『|』|（|）|〔|〕|【|】|《|》|〈|〉|⟦|⟧"
_DASHES = r"-|–|—|--|---|——|~"
_UNITS = (
    r"km|km²|km³|m|m²|m³|dm|dm²|dm³|cm|cm²|cm³|mm|mm²|mm³|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|"
    r"m/s|km/h|kmh|mph|hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%"
)
_CURRENCY = r"US\$|C\$|A\$|\p{Sc}"
_ICON = r"\p{So}"
# East Asian brackets and marks count as letters there.
_LETTER = r"[[\p{L}--[ªº]]\u3001-\u3003\u3008-\u3011\u3014-\u301F]"
LONGEST_SUFFIX = 8

_PREFIX = regex.compile(
    rf"§|%|=|—|–|\+(?![0-9])|{_PUNCTUATION}|\.\.+|{_QUOTES}|{_CURRENCY}|{_ICON}"
)
_SUFFIX = regex.compile(
    rf"(?:{_PUNCTUATION}|\.\.+|{_QUOTES}|{_ICON}|'s|'S|’s|’S|—|–|(?<=[0-9])\+"
    rf"|(?<=°[FfCcKk])\.|(?<=[0-9])(?:{_CURRENCY})|(?<=[0-9])(?:{_UNITS})"
    rf"|(?<=[0-9\p{{Ll}}%²\-\+|]|{_PUNCTUATION}|{_QUOTES})\.|(?<=\p{{Lu}}\p{{Lu}})\.)$"
)
_INFIX = regex.compile(
    rf"(?V1)\.\.+|…|{_ICON}|(?<=[0-9])[+\-*^](?=[0-9\-])"
    rf"|(?<=\p{{Ll}}|{_QUOTES})\.(?=\p{{Lu}}|{_QUOTES})|(?<={_LETTER}),(?={_LETTER})"
    rf"|(?<=(?:{_LETTER}|[0-9]))(?:{_DASHES})(?={_LETTER})|(?<=(?:{_LETTER}|[0-9]))[:<>=/](?={_LETTER})"
)
_LISTED: dict[str, tuple[str, ...]] = {word: (word,) for word in whole_words()}
_LISTED.update({"".join(parts): parts for parts in cut_words()})
LONGEST_LISTED = max(map(len, _LISTED))


def title_tokens(title: str) -> list[str]:
    """The tokens of a title, punctuation included, blanks left out."""
    tokens: list[str] = []
    for piece in title.split():
        listed = _LISTED.get(piece)
        if listed:
            tokens.extend(listed)
        # Most pieces are plain words, and asking that first makes the rest rare.
        elif piece.isalpha():
            tokens.append(piece)
        else:
            tokens.extend(_joined(_tokens(piece)))
    return tokens


def _tokens(piece: str, listed: bool = True) -> list[str]:
    """Peel the ends, cut the middle; by positions, so that a very long piece costs one pass."""
    look_up = _listed if listed else _never_listed
    start, end = 0, len(piece)
    tokens: list[str] = []
    suffixes: list[str] = []
    while start < end and look_up(piece, start, end) is None:
        prefix = _PREFIX.match(piece, start, end)
        inner = prefix.end() if prefix else start
        if prefix and look_up(piece, inner, end):
            tokens.append(prefix[0])
            start = inner
            break
        cut = _suffix_start(piece, inner, end)
        if cut < end and look_up(piece, start, cut):
            inner = start
        elif prefix:
            tokens.append(prefix[0])
        if inner == start and cut == end:
            break
        if cut < end:
            suffixes.append(piece[cut:end])
        start, end = inner, cut
    tokens.extend(look_up(piece, start, end) or _middle(piece, start, end))
    tokens.extend(reversed(suffixes))
    return tokens


def _listed(piece: str, start: int, end: int) -> tuple[str, ...] | None:
    """The parts of a listed word that stands there; a long stretch is not copied to look."""
    return _LISTED.get(piece[start:end]) if end - start <= LONGEST_LISTED else None


def _never_listed(piece: str, start: int, end: int) -> tuple[str, ...] | None:
    return None


def _suffix_start(piece: str, start: int, end: int) -> int:
    """Where the last suffix of ``piece[start:end]`` begins, or ``end``."""
    if piece.endswith("..", start, end):
        while end > start and piece[end - 1] == ".":
            end -= 1
        return end
    # What was peeled off is gone: nothing may look back at it.
    near = max(start, end - 2 * LONGEST_SUFFIX)
    match = _SUFFIX.search(piece[near:end], max(0, end - near - LONGEST_SUFFIX))
    return near + match.start() if match else end


def _middle(piece: str, start: int, end: int) -> list[str]:
    """What is left between the ends, cut at every infix."""
    rest = piece[start:end]
    tokens = []
    done = 0
    for infix in _INFIX.finditer(rest):
        if infix.start() > done:
            tokens.append(rest[done : infix.start()])
        tokens.append(infix[0])
        done = infix.end()
    if done < len(rest):
        tokens.append(rest[done:])
    return tokens


def _joined(tokens: list[str]) -> Sequence[str]:
    """Neighbours that together spell a listed word become it: ``10''``, ``5-8)``."""
    if len(tokens) < 2 or _SPELLED_BY.keys().isdisjoint(tokens):
        return tokens
    result: list[str] = []
    at = 0
    while at < len(tokens):
        for spelled, parts in _SPELLED_BY.get(tokens[at], ()):
            if tuple(tokens[at : at + len(spelled)]) == spelled:
                result.extend(parts)
                at += len(spelled)
                break
        else:
            result.append(tokens[at])
            at += 1
    return result


def _spellings() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """By first token: how the rules alone cut a listed word, and its parts; the longest first."""
    by_first_token: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for word, parts in _LISTED.items():
        spelled = tuple(_tokens(word, listed=False))
        if len(spelled) > 1 and spelled != parts:
            by_first_token.setdefault(spelled[0], []).append((spelled, parts))
    for same in by_first_token.values():
        same.sort(key=lambda entry: -len(entry[0]))
    return by_first_token


_SPELLED_BY = _spellings()
