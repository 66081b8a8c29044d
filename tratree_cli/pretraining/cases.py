"""A question to a base model with its right answers: the case of an ability test of any corpus."""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.pretraining.corpus import Turns


@dataclass(frozen=True)
class AbilityCase:
    """A conversation whose last answer is to be given, and the right answers.

    Only the end of an answer is judged: a model may read the page aloud first. ``actions`` marks
    cases in which it is what follows ``Action: ``.
    """

    turns: Turns
    right: tuple[str, ...]
    actions: bool = False

    def judge(self, answer: str) -> bool:
        if not self.actions:
            return answer.strip().endswith(self.right)
        _, is_action, action = answer.partition("Action: ")
        searches = action.startswith("search[") and len(action) > len("search[]")
        return bool(is_action) and (action in self.right or (searches and "search" in self.right))
