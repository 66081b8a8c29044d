"""PreferenceAccuracy with held-out pairs: known log-ratios, no pairs, and pairs that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.load import resolve_base
from tratree_cli.training.preference_accuracy import preference_accuracy

USER = {"role": "user", "content": "pick a door"}


def pair(better: str, worse: str) -> PairMessages:
    return PairMessages(
        prompt=[USER],
        chosen=[{"role": "assistant", "content": better}],
        rejected=[{"role": "assistant", "content": worse}],
    )


@pytest.fixture(scope="module")
def weak() -> Path:
    return resolve_base("tratree-s").folder


def test_the_reference_itself_is_indifferent_and_has_not_moved(weak: Path) -> None:
    found = preference_accuracy(weak, weak, [pair("open red", "open the blue one")])
    assert (found.pairs, found.accuracy, found.margin, found.kl) == (1, 0.5, 0.0, 0.0)


def test_a_pair_turned_round_turns_the_margin_round(weak: Path) -> None:
    strong = resolve_base("tratree-m").folder
    one = preference_accuracy(strong, weak, [pair("open red", "open the blue one")])
    other = preference_accuracy(strong, weak, [pair("open the blue one", "open red")])
    assert one.margin == pytest.approx(-(other.margin or 0.0))
    assert (one.accuracy or 0.0) + (other.accuracy or 0.0) == 1.0
    assert one.kl is not None and one.kl > 0
    assert one.kl == pytest.approx(other.kl)


def test_the_models_are_asked_on_the_device_that_was_chosen(weak: Path) -> None:
    asked = [pair("open red", "open the blue one")]
    assert preference_accuracy(weak, weak, asked, device="cpu") == preference_accuracy(
        weak, weak, asked
    )
    with pytest.raises(InputError, match="there is no device 'abacus'"):
        preference_accuracy(weak, weak, asked, device="abacus")


def test_without_pairs_nothing_is_measured(weak: Path) -> None:
    assert preference_accuracy(weak, weak, []).accuracy is None
    long = pair("open red", "open blue " * 300)
    part = preference_accuracy(weak, weak, [pair("open red", "open blue"), long], max_length=200)
    assert (part.pairs, part.left_out) == (1, 1)
    none = preference_accuracy(weak, weak, [long], max_length=200)
    assert (none.pairs, none.left_out, none.accuracy) == (0, 1, None)


def test_a_pair_that_is_longer_than_a_model_can_read_is_left_out(weak: Path) -> None:
    endless = pair("open red", "open blue " * 600)
    found = preference_accuracy(weak, weak, [pair("open red", "open blue"), endless])
    assert (found.pairs, found.left_out) == (1, 1)
