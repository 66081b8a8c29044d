"""Every stage has typed parameters, and none of their fields is newer than the stage."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import tratree_cli
from tratree_cli.pipeline.graph import Stage
from tratree_cli.pipeline.registry import PACKAGES, defines_stage
from tratree_cli.settings import KEY_RULE, KeyRule
from tratree_cli.stages.importing import STAGES

ROOT = Path(tratree_cli.__file__).parent
MODULES = [
    f"tratree_cli.{package}.{path.stem}"
    for package in PACKAGES
    for path in sorted((ROOT / package).glob("*.py"))
    if defines_stage(f"{package}/{path.name}")
]


def every_stage() -> list[Stage]:
    return [*(import_module(module).STAGE for module in MODULES), *STAGES.values()]


def versions(parameters: Any) -> list[int]:
    """The ``since`` of all fields, those of nested parameter types too."""
    hints = get_type_hints(parameters)
    since = [field.metadata.get(KEY_RULE, KeyRule()).since for field in fields(parameters)]
    for hint in hints.values():
        for member in (hint, *get_args(hint)):
            if is_dataclass(member):
                since += versions(member)
    return since


@pytest.mark.parametrize("stage", every_stage(), ids=lambda stage: f"{stage.name}-{stage.kind}")
def test_a_stage_has_frozen_parameters_that_are_not_newer_than_itself(stage: Stage) -> None:
    assert is_dataclass(stage.parameters)
    assert stage.parameters.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert max(versions(stage.parameters)) <= stage.version
    assert callable(stage.load())


def test_no_two_stages_have_one_name() -> None:
    names = [import_module(module).STAGE.name for module in MODULES]
    assert len(names) == len(set(names)) >= 12
