"""Trainers by name: entry points of the group ``tratree.trainers``, ours as anybody's.

A trainer turns rows into a model folder. Its record says what kind of rows it reads and which
parameters it has, and names the function that does it, so that a stage can plan a training, and a
launched process can read one back, without knowing any trainer by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from tratree_cli.registry import UNRANKED, Registry
from tratree_cli.training.params import Progress, TrainingParams, TrainingResult

Row = TypeVar("Row")
Params = TypeVar("Params", bound=TrainingParams)

Rows: TypeAlias = Literal["conversations", "pairs"]
"""What a row is: a conversation of which the agent's tokens are learnt, or a preference."""


@dataclass(frozen=True)
class TrainingTask(Generic[Row, Params]):
    """One training: everything that its trainer needs, in values that can be written to a file.

    ``model`` is the folder where training starts, ``rows`` are ``data.SFTRow`` or ``data.PairRow``
    as the trainer reads them, and ``config`` is of the trainer's ``params``. The trained model
    goes into ``out``; ``work`` keeps the checkpoints that a killed run resumes from. ``other`` is
    a second model, where the trainer takes one. ``base`` identifies ``model`` in the record of an
    adapter that is stored apart.
    """

    trainer: str
    model: Path
    rows: Sequence[Row]
    config: Params
    out: Path
    work: Path
    other: Path | None = None
    base: Mapping[str, Any] = field(default_factory=dict)


Train: TypeAlias = Callable[[TrainingTask[Any, Any], Progress], TrainingResult]


@dataclass(frozen=True)
class Trainer:
    """``body`` is ``module:function`` of a ``Train``, imported only where training happens."""

    name: str
    summary: str
    """One sentence for the documentation."""
    rows: Rows
    params: type[TrainingParams]
    """Its parameters: those that all trainers share, and its own fields beside them."""
    body: str
    reference: bool = False
    """Whether the rows carry a KL reference's log-probabilities (``data.PairRow``)."""
    version: int = 1
    """Raised when equal parameters and rows train another model than before."""
    rank: int = UNRANKED

    def load(self) -> Train:
        module, _, function = self.body.partition(":")
        train: Train = getattr(importlib.import_module(module), function)
        return train


TRAINERS = Registry("tratree.trainers", "trainer", Trainer)


def trainer(name: str) -> Trainer:
    """The trainer of this name; ``InputError`` with the nearest one otherwise."""
    return TRAINERS.get(name)
