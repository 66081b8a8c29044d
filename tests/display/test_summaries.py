"""The lines under a finished stage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.reporting.test_report_text import printed
from tratree_cli.display.summaries import evaluation_summary


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
