"""Parameters of a stage: what enters the key stands at the field, and a key is read back typed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tratree_cli.errors import InputError
from tratree_cli.pipeline.parameters import (
    key_document,
    keyed_unless,
    not_keyed,
    read_parameters,
)


@dataclass(frozen=True)
class Weights:
    rank: int
    targets: list[str]
    merge: bool = keyed_unless(True, since=2)


@dataclass(frozen=True)
class Whole:
    rank: int
    targets: list[str]
    epochs: float


@dataclass(frozen=True)
class Parameters:
    seed: int
    weights: Whole | Weights
    temperature: tuple[float, ...] = (1.0,)
    processes: Weights | None = keyed_unless(None)
    every: float = not_keyed(0.2)


GIVEN = Parameters(seed=3, weights=Weights(4, ["all"]), temperature=(0.5, 1.0), every=0.7)
KEYED = {
    "seed": 3,
    "weights": {"rank": 4, "targets": ["all"]},
    "temperature": [0.5, 1.0],
}


def test_the_key_holds_what_changes_the_result_and_no_field_at_its_literal() -> None:
    assert key_document(GIVEN) == KEYED
    changed = replace(GIVEN, weights=replace(GIVEN.weights, merge=False))
    assert key_document(changed)["weights"] == {"rank": 4, "targets": ["all"], "merge": False}


def test_a_key_is_read_back_as_the_same_value() -> None:
    assert read_parameters(Parameters, KEYED) == replace(GIVEN, every=0.2)
    whole = replace(GIVEN, weights=Whole(4, ["all"], 1.0), processes=Weights(1, []), every=0.2)
    assert read_parameters(Parameters, key_document(whole)) == whole


def test_a_document_with_another_shape_is_an_error_that_names_the_field() -> None:
    with pytest.raises(InputError, match="does not know: colour"):
        read_parameters(Parameters, {**KEYED, "colour": 1})
    with pytest.raises(InputError, match="lack the field 'seed'"):
        read_parameters(Parameters, {"weights": KEYED["weights"]})
