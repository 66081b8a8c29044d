"""Pairs in the terminal: the actions in which they differ, side by side at 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from tratree_cli.display.pairs import pairs_view, parting
from tratree_cli.formats.pairs import PairFile, PairRecord


def side(*actions: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"Thought: t\nAction: {a}"} for a in actions]


def pair(chosen: list[dict[str, str]], rejected: list[dict[str, str]], kind: str) -> PairRecord:
    return PairRecord(
        task="7",
        rule="unstructured",
        prompt=[{"role": "user", "content": "buy"}],
        chosen=chosen,
        rejected=rejected,
        chosen_score=1.0,
        rejected_score=0.25,
        chosen_value=1.0,
        rejected_value=0.25,
        chosen_visits=1,
        rejected_visits=1,
        chosen_trajectory=0,
        rejected_trajectory=1,
        chosen_source="weak",
        rejected_source="weak",
        step=0,
        node=-1,
        horizon=0,
        kind=kind,
    )


def test_pairs_of_whole_trajectories_tell_the_first_action_that_differs() -> None:
    search = "search[a lamp with a name that is longer than the column has room for]"
    whole = pair(side(search, "click[B01]"), side(search, "click[B02]", "click[Buy]"), "search")
    short = pair(side(search), side(search, "click[B03]"), "search")
    assert parting(whole) == parting(short) == 1
    out = io.StringIO()
    Console(file=out, width=80).print(pairs_view(PairFile([whole, short], {})))
    text = out.getvalue()
    assert "they part at step 2: 2" in text
    assert "what differs" not in text  # their first actions are alike
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "7 2 1.00, 0.25 click[B01] click[B02]" in rows
    assert "7 2 1.00, 0.25 (ended) click[B03]" in rows
    assert text.count("Task") == 1, "one table"
