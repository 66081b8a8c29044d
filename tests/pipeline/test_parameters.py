"""Parameters of a stage: what enters the key stands at the field, and a key is read back typed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from tratree_cli.errors import InputError
from tratree_cli.pipeline.parameters import (
    key_document,
    keyed_unless,
    not_keyed,
    read_parameters,
)
from tratree_cli.sections import DpoSection, SftSection, TrainingSection
from tratree_cli.settings import KEY_RULE, NEVER, note


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


def test_a_literal_of_the_key_does_not_follow_the_default_of_today() -> None:
    @dataclass(frozen=True)
    class Section:
        packing: bool = note(True, "the default was changed after the key was made", absent=False)

    assert key_document(Section()) == {"packing": True}
    assert key_document(Section(packing=False)) == {}
    assert read_parameters(Section, {}) == Section(packing=False)


def test_what_older_versions_did_is_written_down_for_every_field_that_they_lack() -> None:
    """Changing one of these makes every stored training of that kind a miss."""
    literals = {
        f"{section.__name__}.{field.name}": field.metadata[KEY_RULE].absent
        for section in (TrainingSection, SftSection, DpoSection)
        for field in fields(section)
        if field.name in section.__annotations__ and field.metadata[KEY_RULE].absent is not NEVER
    }
    assert literals == {
        "TrainingSection.lora_targets": ["all-linear"],
        "TrainingSection.lora_dropout": 0.0,
        "TrainingSection.lora_merge": True,
        "TrainingSection.attention": "auto",
        "TrainingSection.gradient_checkpointing": False,
        "TrainingSection.save_dtype": "float32",
        "SftSection.packing": False,
        "SftSection.tree_packing": "off",
        "SftSection.diverge_weight": 0.0,
        "SftSection.diverge_cap": 0.0,
        "DpoSection.loss_type": "sigmoid",
        "DpoSection.tree_packing": "off",
        "DpoSection.label_smoothing": 0.0,
        "DpoSection.nll_on": "continuation",
        "DpoSection.nll_per": "token",
        "DpoSection.scheduler": "",
        "DpoSection.warmup": -1.0,
        "DpoSection.turn_discount": 0.0,
        "DpoSection.use_weighting": False,
        "DpoSection.curriculum": "",
        "DpoSection.preference_weight": 1.0,
    }
