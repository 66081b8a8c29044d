"""When SFT was long enough: which length is taken, when the search ends, and what is said."""

from __future__ import annotations

import pytest

from tratree_cli.training.convergence import (
    LengthSearch,
    TriedLength,
    as_lines,
    in_words,
    length_search,
    loss_fall,
    unconverged,
)

CANDIDATES = (8.0, 16.0, 24.0, 40.0)


def search(*rewards: float, candidates: tuple[float, ...] = CANDIDATES) -> LengthSearch:
    tried = tuple(
        TriedLength(epochs, int(8 * epochs), 1 / epochs, reward, reward / 2)
        for epochs, reward in zip(candidates, rewards, strict=False)
    )
    return LengthSearch(tried, candidates, tasks=200)


def test_the_best_length_is_taken_and_of_equal_ones_the_shortest() -> None:
    assert search(60.0, 75.0, 75.0, 70.0).best.epochs == 16
    assert search(60.0, 70.0, 80.0).best.epochs == 24


def test_where_nothing_was_earned_the_longest_training_is_taken() -> None:
    assert search(0.0, 0.0, 0.0).best.epochs == 24


@pytest.mark.parametrize(
    ("rewards", "patience", "ended"),
    [
        ((60.0,), 1, False),
        ((60.0, 59.0), 1, True),
        ((60.0, 59.0), 2, False),
        ((60.0, 59.0, 60.0), 2, True),
        ((60.0, 59.0, 61.0), 2, False),
        ((60.0, 61.0, 62.0, 63.0), 2, True),
        ((0.0, 0.0, 0.0), 1, False),
    ],
)
def test_it_ends_after_as_many_longer_trainings_without_a_gain_or_with_the_budget(
    rewards: tuple[float, ...], patience: int, ended: bool
) -> None:
    assert search(*rewards).ended(patience) is ended


def test_a_search_is_told_in_a_line_and_read_back_from_a_summary() -> None:
    found = search(60.0, 75.0, 74.0, 73.0)
    assert in_words(found) == "auto: 16 epochs of 8, 16, 24, 40; dev 75.0"
    summary = {"auto": found.record(), "loss_fall": 0.9}
    assert length_search(summary) == found
    # What the dev split said counts, whatever the loss did.
    assert unconverged(summary) == ""
    assert as_lines(summary)[2] == (
        "16 epochs, 128 updates: loss 0.0625, dev reward 75.0, success 37.5 %"
    )


def test_a_longest_length_that_is_the_best_has_not_converged() -> None:
    rising = search(60.0, 75.0, 76.0, 77.0)
    words = "dev reward was still rising at 40 epochs, the longest tried"
    assert unconverged({"auto": rising.record()}) == words
    assert as_lines({"auto": rising.record()})[-1] == f"not converged: {words}"


def test_where_nothing_was_earned_no_reward_is_said_to_rise() -> None:
    nothing = search(0.0, 0.0, 0.0, 0.0)
    assert unconverged({"auto": nothing.record()}) == (
        "no dev task had any reward up to 40 epochs, the longest tried"
    )


def test_the_fall_of_the_loss_is_taken_from_the_third_quarter_to_the_last() -> None:
    curve = [(step, 1.0 if step <= 30 else 0.6) for step in range(1, 41)]
    assert loss_fall(curve) == pytest.approx(0.4)
    assert loss_fall(curve[:30]) == pytest.approx(0.0)
    assert loss_fall([(1, 2.0), (2, 1.0)]) is None
    assert loss_fall([]) is None


def test_the_loss_alone_does_not_say_that_a_training_was_too_short() -> None:
    assert unconverged({"loss_fall": 0.4, "optimizer_steps": 64}) == ""
