"""Stages by name: a stage is any module of ``stages`` or ``reporting`` that defines ``STAGE``.

The definition is the registration. It is found by the text of the files, so that looking a stage up
imports the modules that define one and nothing else.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import tratree_cli
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Stage

ROOT = Path(tratree_cli.__file__).parent
PACKAGES = ("stages", "reporting")


def stage_named(name: str) -> Stage:
    """The stage that calls itself ``name``; ``InputError`` where this version has none."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).glob("*.py")):
            file = f"{package}/{path.name}"
            if defines_stage(file):
                module = import_module(f"{tratree_cli.__name__}.{package}.{path.stem}")
                stage: Stage = module.STAGE
                if stage.name == name:
                    return stage
    raise InputError(f"this version of tratree has no stage '{name}'; it cannot be run again")


@cache
def defines_stage(file: str) -> bool:
    """Whether a file (relative to the package) defines a stage."""
    return file.startswith(PACKAGES) and b"\nSTAGE = " in (ROOT / file).read_bytes()
