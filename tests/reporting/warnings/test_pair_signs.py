"""Each rule about pairs, on both sides of its threshold."""

from __future__ import annotations

from tratree_cli.reporting.warnings.pairs import preferred_before, variance_after_first_turn


def test_pairs_that_the_start_prefers_anyway_are_warned_of_above_60_percent() -> None:
    sign = preferred_before(0.6875)
    assert sign.words == "its start already preferred the better side of 69 % of the pairs"
    assert sign.value == 68.75
    assert not preferred_before(0.6).bad


def test_a_margin_that_varies_after_the_first_turn_is_warned_of_above_one_half() -> None:
    sign = variance_after_first_turn(0.93)
    assert sign.words == "93 % of the margin's variance lies after the first turn"
    assert not variance_after_first_turn(0.5).bad
