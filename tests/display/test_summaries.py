"""The lines under a finished stage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.reporting.test_report_text import printed
from tratree_cli.display.summaries import evaluation_summary, paths_summary, tree_summary


@pytest.mark.parametrize(
    ("interval", "expected"),
    [([51.44, 77.3], "95 % interval 51.4 to 77.3"), ([None, None], "reward 65.5   success")],
)
def test_an_evaluation_of_one_task_has_no_interval(interval: list[Any], expected: str) -> None:
    summary = {
        "average_reward": 65.5,
        "interval": interval,
        "success_rate": 85.0,
        "tasks": 1,
        "trajectories": 1,
        "endings": {"done": 1},
    }
    entry = cast(Any, SimpleNamespace(summary=summary))
    assert expected in printed(evaluation_summary(entry))


def test_paths_say_what_was_dropped_why_and_how_often_they_are_not_the_best_observed() -> None:
    summary = {
        "paths": 119,
        "average_reward": 100.0,
        "best_observed_reward": 100.0,
        "dropped": {"score too low": 121},
        "against_best_observed": {"trees": 240, "below": 2, "other_words": 5, "uneven": 0},
    }
    entry = cast(Any, SimpleNamespace(summary=summary, document={"params": {"min_score": 0.99}}))
    text = " ".join(printed(paths_summary(entry)).split())
    assert "121 score too low (mcts.min_score 0.99: G at or below it)" in text
    assert "other words in 5 of 240 trees, lower G in 2" in text
    assert "every leaf has one score" in text
    summary["against_best_observed"] = {"trees": 9, "below": 4, "other_words": 4, "uneven": 7}
    assert "in 7 a leaf has several scores, which e* averages" in " ".join(
        printed(paths_summary(entry)).split()
    )


def test_the_control_that_searches_nothing_is_compared_with_nothing() -> None:
    summary = {"paths": 1, "average_reward": 50.0, "best_observed_reward": 50.0, "dropped": {}}
    entry = cast(Any, SimpleNamespace(summary=summary, document={"params": {"min_score": 0.0}}))
    text = printed(paths_summary(entry))
    assert "none" in text and "best observed words" not in text and "trees" not in text


def test_a_tree_says_what_training_on_it_will_compute_where_that_was_recorded() -> None:
    numbers = (
        "trees nodes trajectories steps embedded_texts merged_by_equality merged_by_similarity "
        "paths_per_tree mean_depth ended_by_itself divergences mean_gap outcome_entropy"
    )
    summary: dict[str, Any] = {**dict.fromkeys(numbers.split(), 1), "quality": "good"}
    summary["shared_text"] = 2.83
    before = cast(Any, SimpleNamespace(summary=summary))
    assert "sharing" not in printed(tree_summary(before))
    entry = cast(Any, SimpleNamespace(summary={**summary, "distinct_characters": 61234}))
    text = " ".join(printed(tree_summary(entry)).split())
    assert "2.8 times the text that is distinct (61,234 characters)" in text
