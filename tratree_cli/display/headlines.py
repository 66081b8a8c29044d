"""An artifact in a few words: what it is called, then the figures that people look for first.

``W2SG MCTS · 75.8 · success 97 %``: rewards times 100, shares in percent, counts with their noun.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tratree_cli.display.text import counted, one_line

_TRAINED = re.compile(r"^(evaluation of )?strong model, ([^,]+)")
_TUNED = re.compile(r"(SFT \S+) model")


def called(label: str, title: Callable[[str], str] = str) -> str:
    """A recorded label as people are told it: ``SFT weak``, ``evaluation of W2SG MCTS``.

    ``title`` is what tables call a method of a name.
    """
    trained = _TRAINED.sub(lambda found: (found[1] or "") + title(found[2]), label)
    return one_line(_TUNED.sub(r"\1", trained))


def headline(
    kind: str, summary: Mapping[str, Any], label: str, title: Callable[[str], str] = str
) -> str:
    """Label and leading figures of an artifact, the parts set apart by dots."""
    name = called(label, title).removeprefix("evaluation of ")
    return " · ".join([name, *figures(kind, summary)])


def figures(kind: str, summary: Mapping[str, Any]) -> list[str]:
    """The leading figures of a summary; of an unknown kind its first numbers."""
    found = [text for text in (told(summary) for told in _FIGURES.get(kind, ())) if text]
    if found:
        return found
    numbers = ((k, v) for k, v in summary.items() if isinstance(v, int | float))
    return [f"{one_line(key.replace('_', ' '))} {value:,.4g}" for key, value in numbers][:2]


def _reward(summary: Mapping[str, Any]) -> str:
    value = summary.get("average_reward")
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def _success(summary: Mapping[str, Any]) -> str:
    value = summary.get("success_rate")
    return f"success {value:.0f} %" if isinstance(value, int | float) else ""


def _loss(summary: Mapping[str, Any]) -> str:
    value = summary.get("final_loss")
    return f"loss {value:.3g}" if isinstance(value, int | float) else ""


def _gap(summary: Mapping[str, Any]) -> str:
    value = summary.get("mean_gap")
    return f"mean gap {value:.2f}" if isinstance(value, int | float) else ""


def _rounds(summary: Mapping[str, Any]) -> str:
    rounds = summary.get("rounds")
    return f"round {rounds['best']} of {len(rounds['played'])}" if rounds else ""


class _Count:
    """``24 trees`` from the summary's ``trees``."""

    def __init__(self, key: str, noun: str) -> None:
        self.key, self.noun = key, noun

    def __call__(self, summary: Mapping[str, Any]) -> str:
        value = summary.get(self.key)
        return counted(value, self.noun) if isinstance(value, int) else ""


_FIGURES: dict[str, tuple[Callable[[Mapping[str, Any]], str], ...]] = {
    "evaluation": (_reward, _success, _Count("tasks", "task")),
    "rollouts": (_Count("trajectories", "trajectory"), _reward, _success),
    "demos": (_Count("demonstrations", "demonstration"), _reward),
    "model": (_rounds, _loss, _Count("conversations", "conversation"), _Count("pairs", "pair")),
    "tree": (_Count("trees", "tree"), _Count("nodes", "node"), _Count("divergences", "divergence")),
    "pairs": (_Count("pairs", "pair"), _Count("tasks_with_pairs", "task"), _gap),
    "paths": (_Count("paths", "path"), _reward),
    "ref-logps": (_Count("pairs", "pair"),),
    "report": (_Count("evaluations", "evaluation"),),
}
