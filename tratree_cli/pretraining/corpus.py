"""What a base model reads: endless generated text about one kind of environment.

A corpus writes documents (conversations in the agent's own chat format) from temporary catalogues
or households, in blocks that are made when they are needed and dropped afterwards. It also lists
what its pages consist of, from which the tokenizer is made. There is one for the shop and one for
the rooms of ALFWorld and ScienceWorld: models of half a million weights have no room for all words
at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

DOCUMENTS_PER_BLOCK = 400

Turns = list[tuple[str, str]]
"""``(user, assistant)`` pairs in order."""

Mixture = Mapping[str, float]
"""Kinds of documents and their weights."""


@dataclass(frozen=True)
class Document:
    """One conversation; ``kind`` names the generator that wrote it."""

    kind: str
    turns: Turns


@dataclass(frozen=True)
class Corpus:
    """Text about one kind of environment.

    ``block(seed, number, mixture, size)`` is block ``number`` of the endless stream; blocks are
    independent, so training resumes at any of them. ``curriculum`` lists mixtures and the share of
    all tokens up to which each lasts; ``further`` is what a model reads that began as another one.
    ``sample()`` gives the texts that the tokenizer's merges are learned from, ``furniture`` what
    pages are put together with (one token each), ``pieces`` how text is cut before merges.
    Documents longer than ``row`` tokens are cut at a turn's end.
    """

    name: str
    block: Callable[[int, int, Mixture, int], list[Document]]
    curriculum: tuple[tuple[float, Mixture], ...]
    further: Mixture
    sample: Callable[[], Iterable[Turns]]
    furniture: tuple[str, ...]
    pieces: str
    row: int

    def mixture_at(self, share: float) -> Mixture:
        """The mixture of document kinds when ``share`` of the tokens has been read."""
        return next((m for until, m in self.curriculum if share <= until), self.curriculum[-1][1])


def act(thought: str, action: str) -> str:
    """The agent's output in a turn."""
    return f"Thought: {thought}\nAction: {action}"


def after_page(page: str, turns: Turns) -> Turns:
    """A page, and questions about it; the first stands in the page's own turn."""
    (question, answer), *rest = turns
    return [(f"{page}\n{question}", answer), *rest]
