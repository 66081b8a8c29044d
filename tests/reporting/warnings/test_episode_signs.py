"""Each rule about episodes, on both sides of its threshold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tratree_cli.envs.protocol import FINISHED, RewardPart
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.reporting.warnings import episodes
from tratree_cli.reporting.warnings.episodes import Change
from tratree_cli.reporting.warnings.sign import Sign

FAILED = RewardPart("failed", lambda episode: False, "failed", better="fewer")
SEEN = RewardPart("seen", lambda episode: True, "seen")


def bought(change: Change) -> Sign:
    return episodes.part(change, FINISHED)


def failed(change: Change) -> Sign:
    return episodes.part(change, FAILED)


def seen(change: Change) -> Sign:
    return episodes.part(change, SEEN)


def change(start: float, own: float, low: float | None, high: float | None) -> Change:
    return Change(own, start, Interval(own - start, low, high))


@pytest.mark.parametrize(
    ("rule", "figures", "words"),
    [
        (
            episodes.malformed,
            (0.08, 0.17, 0.04, 0.14),
            "malformed turns rise from 0.08 to 0.17 an episode",
        ),
        (episodes.malformed, (0.08, 0.12, 0.01, 0.07), ""),  # below the threshold of 0.05
        (episodes.malformed, (0.08, 0.17, -0.02, 0.2), ""),  # may be chance
        (episodes.malformed, (0.17, 0.08, -0.14, -0.04), ""),  # fewer
        (episodes.malformed, (0.08, 0.17, None, None), ""),  # one task
        (
            episodes.unfinished,
            (1.8, 4.9, 1.0, 5.2),
            "unfinished episodes rise from 1.8 to 4.9 %",
        ),
        (episodes.unfinished, (1.8, 3.7, 0.4, 3.4), ""),
        (episodes.unfinished, (1.8, 4.9, -0.1, 6.3), ""),
        (
            episodes.repeats,
            (5.7, 15.8, 7.0, 13.0),
            "episodes that repeat an action rise from 5.7 to 15.8 %",
        ),
        (episodes.repeats, (5.7, 6.7, 0.1, 1.9), ""),
        (bought, (96.3, 94.0, -3.9, -0.7), "episodes that finished fall from 96.3 to 94.0 %"),
        (bought, (96.3, 94.4, -3.0, -0.7), ""),
        (bought, (94.0, 96.3, 0.7, 3.9), ""),
        (failed, (10.0, 14.0, 1.0, 7.0), "episodes that failed rise from 10.0 to 14.0 %"),
        (failed, (14.0, 10.0, -7.0, -1.0), ""),
        (seen, (10.0, 90.0, 70.0, 90.0), ""),  # neither more nor fewer is better
    ],
)
def test_a_rule_warns_from_its_threshold_on_where_the_interval_leaves_out_0(
    rule: Callable[[Change], Sign], figures: tuple[float, float, float, float], words: str
) -> None:
    sign = rule(change(*figures))
    assert sign.words == words
    assert sign.bad is bool(words)
    assert sign.value == pytest.approx(figures[1] - figures[0])
    assert (sign.low, sign.high) == figures[2:]
