"""Rounds as a model stores them: which is the best, and when they bring nothing any more."""

from __future__ import annotations

from typing import Any

from tratree_cli.training.rounds import PlayedRound, Rounds, as_lines, rounds_of, updates_of


def played(*rewards: float, **changes: Any) -> Rounds:
    made = tuple(
        PlayedRound(number, 10, 5 * number, 3, reward, None, None, 0.0, "m", "e")
        for number, reward in enumerate(rewards, 1)
    )
    return Rounds(made, limit=4, tasks=20, **changes)


def test_the_best_round_is_the_first_of_the_highest_dev_reward() -> None:
    assert played(50.0, 60.0, 60.0).best.number == 2
    assert played(0.0, 0.0).best.number == 1


def test_rounds_stall_after_so_many_without_a_gain() -> None:
    assert not played(50.0).stalled(1)
    assert not played(50.0, 60.0).stalled(1)
    assert played(50.0, 60.0, 60.0).stalled(1)
    assert not played(50.0, 60.0, 60.0).stalled(2)
    assert played(50.0, 49.0, 48.0).stalled(2)
    assert not played(50.0, 49.0, 48.0).stalled(0)


def test_a_summary_holds_them_and_counts_the_updates_of_all() -> None:
    rounds = played(50.0, 60.0, ended="it ended", explored=7)
    summary = {"optimizer_steps": 3, "rounds": rounds.record()}
    assert rounds_of(summary) == rounds
    assert updates_of(summary) == 6 and updates_of({"optimizer_steps": 3}) == 3
    assert rounds.episodes == 27
    assert as_lines(summary)[0] == "round 2 of 4 on 20 dev tasks"
    assert as_lines(summary)[-1] == "it ended"
    assert as_lines({"optimizer_steps": 3}) == []
