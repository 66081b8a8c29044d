"""A scripted policy that sees only pages: the source of demonstrations.

Words of the instruction before the options make the query, a
title that has all of them under the price is bought, options that the instruction names are
clicked. It never opens Description or Features, so it errs where
only those pages show which of several fitting titles has a feature. Thoughts are intermediate text
for a tiny model: short pages are read line by line (identifier and first word) up to the choice,
other thoughts name what the next click is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tratree_cli.envs.webshop.pages import OUT_OF_STOCK

SEP = " [SEP] "
MAX_PAGES = 3
SHORT_QUERY = 3
"""Only a query this short is expected to be matched in full by a title (and worth paging for)."""
READ_ALOUD = 5
"""Pages with at most so many results are read line by line in the thought."""

PRICE = re.compile(r",? and price lower than ([\d.]+) dollars")
CUT = re.compile(
    r" (?:in|with|that|which|for)\b|, (?:colou?r|size|style|scent|flavor|length|pack|volume)\b"
)
WORD = re.compile(r"[^\W_]+(?:[.'-][^\W_]+)*")
_FILLERS = """
    i i'm im am an a the some me my for of in on to with that which is are be and or want need
    needs would like looking find show get buy please help can you could has have should also it
    purchase order interested price lower than dollars set one pair color colour
"""
_GROUPS = """
    color colour size style scent flavor flavour length pack volume material pattern fit width
    quantity finish shape type model
"""
FILLERS = frozenset(_FILLERS.split())
GROUPS = frozenset(_GROUPS.split())


@dataclass(frozen=True)
class ResultLine:
    """One line of a results page, and on which page it stood."""

    asin: str
    title: str
    price: float
    page: int
    overlap: int
    affordable: bool

    @property
    def rank(self) -> tuple[bool, int]:
        return (self.affordable, self.overlap)


class PageExpert:
    """One episode's expert; it satisfies ``tratree_cli.envs.protocol.Expert``."""

    def __init__(self, instruction: str) -> None:
        text = instruction.strip().lower()
        bound = PRICE.search(text)
        self.bound = float(bound.group(1)) if bound else float("inf")
        text = PRICE.sub("", text)
        self.words = frozenset(WORD.findall(text))
        self.query = _query(text)
        self.best: ResultLine | None = None
        self.clicked: set[str] = set()
        self.hurried = False

    def act(self, observation: str) -> tuple[str, str]:
        """Return ``(thought, action)`` for the newest page."""
        page = observation.removeprefix("Observation:").strip()
        segments = page.split(SEP)
        if "Buy Now" in segments:
            return self._on_item(segments)
        if "Next >" in segments:
            return self._on_results(segments)
        if segments[-1] == "Search":
            return "search", f"search[{' '.join(self.query)}]"
        return "back", "click[< Prev]"

    def _on_results(self, segments: list[str]) -> tuple[str, str]:
        results = self._result_lines(segments)
        number = _page_number(segments)
        if OUT_OF_STOCK in segments[: segments.index("Next >")]:
            # Its choice is not to be had: it takes the best of what this page has left.
            self.best, self.hurried = None, True
        for result in results:
            if self.best is None or result.rank > self.best.rank:
                self.best = result
        if self.best is None:
            return "search", f"search[{self.query[-1]}]"
        satisfied = self.best.affordable and self.best.overlap >= len(self.query)
        searching = (
            not (satisfied or self.hurried)
            and self.best.page + MAX_PAGES > number + 1
            and number < MAX_PAGES
        )
        if searching and len(self.query) <= SHORT_QUERY and results and number >= self.best.page:
            return self._read_aloud(results, None), "click[Next >]"
        if self.best.asin not in segments and number > 1:
            return "back", "click[< Prev]"
        return self._read_aloud(results, self.best), f"click[{self.best.asin}]"

    def _read_aloud(self, results: list[ResultLine], chosen: ResultLine | None) -> str:
        """A short page line by line up to what is chosen; of a long one just the choice."""
        if len(results) > READ_ALOUD:
            return chosen.title if chosen else "none"
        lines = []
        for result in results:
            lines.append(f"{result.asin} {result.title.split()[0] if result.title else ''}".strip())
            if chosen and result.asin == chosen.asin:
                return ", ".join(lines)
        return ", ".join([*lines, "none"])

    def _result_lines(self, segments: list[str]) -> list[ResultLine]:
        lines = segments[segments.index("Next >") + 1 :]
        number = _page_number(segments)
        results = []
        for asin, title, price in zip(lines[0::3], lines[1::3], lines[2::3], strict=False):
            title_words = frozenset(WORD.findall(title.lower()))
            lowest = _lowest(price)
            results.append(
                ResultLine(
                    asin=asin,
                    title=" ".join(title.split()[:8]),
                    price=lowest,
                    page=number,
                    overlap=sum(word in title_words for word in self.query),
                    affordable=lowest <= self.bound,
                )
            )
        return results

    def _on_item(self, segments: list[str]) -> tuple[str, str]:
        for group, value in self._wanted(segments):
            if value not in self.clicked:
                self.clicked.add(value)
                return f"{group} {value}", f"click[{value}]"
        return "done", "click[Buy Now]"

    def _wanted(self, segments: list[str]) -> list[tuple[str, str]]:
        """Per option group the value with the most words that the instruction has, in page order.

        The page does not mark group names; the first segment is one, and so is any usual name.
        """
        start = segments.index("< Prev") + 1
        stop = next(i for i, segment in enumerate(segments) if segment.startswith("Price: ")) - 1
        best: dict[str, str] = {}
        group = ""
        for segment in segments[start:stop]:
            segment_words = WORD.findall(segment)
            if not group or segment in GROUPS:
                group = segment
            elif segment_words and self.words.issuperset(segment_words):
                best[group] = max(best.get(group, ""), segment, key=lambda v: len(v.split()))
        return list(best.items())


def _query(text: str) -> list[str]:
    """Content words, up to where options begin; all of them when too few stand before that."""
    head = CUT.split(text, maxsplit=1)[0]
    terms = _content(head)
    if len(terms) < 2:
        head = " ".join(CUT.split(text)[:2])
        terms = _content(head)
    if len(terms) < 2:
        terms = _content(text)
    return terms[:8] or ["gift"]


def _content(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in WORD.findall(text) if word not in FILLERS))


def _page_number(segments: list[str]) -> int:
    for segment in segments:
        if match := re.match(r"Page (\d+) \(Total results", segment):
            return int(match.group(1))
    return 1


def _lowest(tag: str) -> float:
    prices = re.findall(r"[\d.]+", tag)
    return float(prices[0]) if prices else 0.0
