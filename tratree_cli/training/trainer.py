"""Trainers by name: entry points of the group ``tratree.trainers``, ours as anybody's.

A trainer turns rows into a model folder. Its record says what kind of rows it reads and which
settings of its own it has, and names the function that does it, so that a stage can plan a
training, and a launched process can read one back, without knowing any trainer by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from tratree_cli.registry import UNRANKED, Registry
from tratree_cli.training.params import (
    DPOParams,
    JointParams,
    Progress,
    SFTParams,
    TrainingParams,
    TrainingResult,
)

if TYPE_CHECKING:
    from tratree_cli.training.data import PairRow

Row = TypeVar("Row")
Params = TypeVar("Params", bound=TrainingParams)
Messages: TypeAlias = Sequence[Mapping[str, str]]
Rows: TypeAlias = Literal["conversations", "pairs", "conversations and pairs"]


@dataclass(frozen=True)
class TrainingTask(Generic[Row, Params]):
    """One training: everything that its trainer needs, in values that can be written to a file.

    ``model`` is the folder where training starts, ``rows`` are ``data.SFTRow`` or ``data.PairRow``
    as the trainer reads them, ``config`` is ``SFTParams`` or ``DPOParams`` likewise, and
    ``settings`` is of the trainer's own type. A trainer that reads both has conversations as
    ``rows``, ``pairs`` beside them, and ``JointParams``. The trained model goes into ``out``;
    ``work`` keeps the checkpoints that a killed run resumes from. ``other`` is a second model,
    where the trainer takes one. ``base`` identifies ``model`` in the record of an adapter that is
    stored apart.
    """

    trainer: str
    model: Path
    rows: Sequence[Row]
    config: Params
    out: Path
    work: Path
    other: Path | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    settings: Any = None
    pairs: Sequence[PairRow] = field(default_factory=list)


@dataclass(frozen=True)
class Conversations:
    """What imitation reads; the first ``prefix`` messages of each are context and never learnt."""

    messages: Sequence[Messages]
    prefix: int = 0

    def __len__(self) -> int:
        return len(self.messages)


Train: TypeAlias = Callable[[TrainingTask[Any, Any], Progress], TrainingResult]
Read: TypeAlias = Callable[[Path, Any], Conversations]


@dataclass(frozen=True)
class Trainer:
    """``body`` is ``module:function`` of a ``Train``, imported only where training happens."""

    name: str
    summary: str
    """One sentence for the documentation."""
    rows: Rows
    """What a row is: a conversation of which the agent's tokens are learnt, a preference, or some
    of each. Trainers on conversations have the learning rate and epochs of the section ``train``,
    trainers on pairs those of ``dpo``, trainers on both those of ``joint``."""
    body: str
    read: str = ""
    """``module:function`` of a ``Read``: the conversations in the folder of what the method learns
    from, by the trainer's settings. Empty for demonstrations and paths as they are."""
    settings: type[Any] | None = None
    """A frozen dataclass with defaults: its own settings, which ``train.parameters.NAME`` sets."""
    reference: bool = False
    """Whether its pairs carry a KL reference's log-probabilities."""
    version: int = 1
    """Raised when equal rows, parameters and settings train another model than before."""
    rank: int = UNRANKED

    @property
    def params(self) -> type[SFTParams] | type[DPOParams]:
        """The type of ``TrainingTask.config``."""
        if self.rows == "conversations":
            return SFTParams
        return DPOParams if self.rows == "pairs" else JointParams

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that its functions stand in."""
        return tuple(place.partition(":")[0] for place in (self.body, self.read) if place)

    def load(self) -> Train:
        train: Train = _function(self.body)
        return train

    def load_reader(self) -> Read | None:
        reader: Read | None = _function(self.read) if self.read else None
        return reader


TRAINERS = Registry("tratree.trainers", "trainer", Trainer)


def trainer(name: str) -> Trainer:
    """The trainer of this name; ``InputError`` with the nearest one otherwise."""
    return TRAINERS.get(name)


def _function(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
