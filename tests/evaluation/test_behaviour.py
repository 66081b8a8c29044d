"""Shares of episodes and the reward within them, by hand."""

from __future__ import annotations

import pytest

from tratree_cli.envs.protocol import FINISHED
from tratree_cli.evaluation.behaviour import (
    by_task,
    malformed,
    mean,
    repeating,
    share_of,
    strict,
    unfinished,
)
from tratree_cli.evaluation.results import EpisodeResult


def episode(
    task: str,
    score: float | None,
    end: str = "done",
    *,
    sample: int = 0,
    repeated: int | None = None,
    malformed: int | None = None,
) -> EpisodeResult:
    return EpisodeResult(task, "shoes", sample, 0, score, False, 3, 0, end, (), repeated, malformed)


def test_share_times_reward_within_it_is_what_these_episodes_earn() -> None:
    results = [
        episode("a", 1.0),
        episode("a", 0.0, "step-limit", sample=1),
        episode("b", 0.5),
        episode("b", 0.5, sample=1),
        episode("c", 0.2, "step-limit"),
        episode("d", None, "environment-error"),
    ]
    # Tasks a, b, c finish at 1/2, 1, 0 and earn 1/2, 1/2, 0 in what is finished.
    finished = share_of(results, FINISHED)
    assert finished is not None and finished.reward is not None
    assert finished.share == pytest.approx(0.5)
    assert finished.reward == pytest.approx(2 / 3)
    assert by_task(results, unfinished) == {"a": 0.5, "b": 0.0, "c": 1.0}
    assert by_task(results, strict) == {"a": 0.5, "b": 0.0, "c": 0.0}


def test_the_best_of_n_counts_by_the_episode_that_was_chosen() -> None:
    results = [episode("a", 0.2, "step-limit"), episode("a", 0.9, sample=1)]
    assert by_task(results, unfinished) == {"a": 0.5}
    assert by_task(results, unfinished, best_of=2) == {"a": 0.0}


def test_nobody_finished_is_a_share_of_nothing_without_a_reward() -> None:
    share = share_of([episode("a", 0.0, "step-limit")], FINISHED)
    assert share is not None and (share.share, share.reward) == (0.0, None)
    assert share_of([], FINISHED) is None


def test_turns_that_nobody_counted_are_unknown_and_not_zero() -> None:
    results = [
        episode("a", 1.0, repeated=2, malformed=1),
        episode("b", 1.0, repeated=0, malformed=0),
        episode("c", 1.0),
    ]
    assert by_task(results, repeating) == {"a": 1.0, "b": 0.0}
    assert mean(by_task(results, malformed)) == 0.5
    assert mean(by_task(results[2:], malformed)) is None
