"""Terms of the field, explained where a page uses them first.

A term is marked once in a page, in its sentences and notes: it leads to its entry in the list of
terms at the page's end, and tells its meaning when hovered.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from markupsafe import Markup

from tratree_cli.display.text import inert


@dataclass(frozen=True)
class Term:
    """A term by its ``pattern`` in a text, its ``name`` in the list, and what it means."""

    name: str
    pattern: str
    meaning: str


TERMS = (
    Term(
        "demonstration", r"demonstrations?|[Dd]emos\b", "A task solved by an expert, step by step."
    ),
    Term(
        "rollout",
        r"[Rr]ollouts?|[Tt]rajector(?:y|ies)",
        "One attempt at a task: what was seen, thought and done at each step, and how it ended.",
    ),
    Term("episode", r"[Ee]pisodes?", "One attempt at a task in the environment, with its reward."),
    Term(
        "G",
        r"\bG\b",
        "The final score of a trajectory, from 0 to 1; at a node of a tree, the mean over the "
        "trajectories that pass through it.",
    ),
    Term(
        "divergence point",
        r"divergence points?",
        "A state that was answered with different actions which ended differently.",
    ),
    Term("e*", r"\be\*", "The path from root to leaf that the search prefers in a tree (Eq. 7)."),
    Term("SFT", r"\bSFT\b", "Supervised fine-tuning: training to repeat given trajectories."),
    Term(
        "DPO",
        r"(?:[a-z]+-)?DPO\b",
        "Direct preference optimisation: training to prefer the better of two continuations.",
    ),
    Term(
        "MCTS",
        r"\bMCTS\b",
        "Monte Carlo tree search: here over the recorded attempts of a tree; nothing is played.",
    ),
    Term(
        "W2SG",
        r"\bW2SG\b",
        "Weak-to-strong generalisation: a strong model learns from what a weak one did.",
    ),
    Term(
        "bootstrap interval",
        r"(?:95 % )?(?:paired )?bootstrap(?: interval)?",
        "What the figure would be in 95 of 100 draws of as many tasks from these tasks.",
    ),
    Term(
        "Welch",
        r"\bWelch\b",
        "A t-test of two groups of training seeds that need not vary equally.",
    ),
    Term(
        "Holm",
        r"\bHolm\b",
        "A correction of p values for the number of comparisons that are made together.",
    ),
    Term(
        "control",
        r"\bcontrols?\b",
        "A policy that was given the same budget without the thing in question.",
    ),
    Term("split", r"\bsplits?\b", "A fixed part of the tasks: train, dev or test."),
    Term(
        "seed",
        r"\bseeds?\b",
        "The number that a random choice starts from; training depends on it.",
    ),
    Term(
        "margin", r"[Mm]argins?", "How much more DPO's model prefers the better side than before."
    ),
)


@dataclass
class Glossary:
    """Marks the first use of each term in the texts of one page, in reading order."""

    used: dict[str, Term] = field(default_factory=dict)

    def mark(self, text: str) -> Markup:
        """``text`` escaped, with the terms in it that were not used before as links."""
        flat = inert(text)
        parts: list[str] = []
        place = 0
        for found in _ANY.finditer(flat):
            term = TERMS[int((found.lastgroup or "t0")[1:])]
            if term.name in self.used:
                continue
            self.used[term.name] = term
            parts.append(html.escape(flat[place : found.start()]))
            parts.append(
                f'<a class="term" href="#{anchor(term)}" title="{html.escape(term.meaning)}">'
                f"{html.escape(found[0])}</a>"
            )
            place = found.end()
        parts.append(html.escape(flat[place:]))
        return Markup("".join(parts))

    def entries(self) -> list[tuple[str, Term]]:
        """The used terms by name, each with its anchor."""
        return [(anchor(term), term) for _, term in sorted(self.used.items(), key=_folded)]


_ANY = re.compile("|".join(f"(?P<t{n}>{term.pattern})" for n, term in enumerate(TERMS)))


def anchor(term: Term) -> str:
    """The identifier of a term's entry."""
    return "term-" + "".join(c if c.isalnum() else "-" for c in term.name.lower())


def _folded(item: tuple[str, Term]) -> str:
    return item[0].casefold()
