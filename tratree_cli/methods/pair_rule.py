"""What a pair rule is: which pairs of trajectories become preferences, and from what.

Rules are entry points of the group ``tratree.pair_rules``, the paper's as any other's. A record
names its function, so that a pipeline is planned without importing what mines.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tratree_cli.registry import UNRANKED, Registry

if TYPE_CHECKING:
    from tratree_cli.formats.rollouts import Rollouts
    from tratree_cli.trees.forest import Forest
    from tratree_cli.trees.pairs import BranchSelect, PairSet

Source: TypeAlias = Literal["tree", "rollouts", "demos"]


@dataclass(frozen=True)
class PairSources:
    """What pairs are mined from, as far as the rule takes it.

    ``rollouts`` are those of the tree under a rule that takes trees. Pairs refer to the
    trajectories of ``rollouts`` by index, and under ``PairSet.demonstrated`` the chosen side to
    those of ``demos``.
    """

    rollouts: Rollouts
    forest: Forest | None = None
    demos: Rollouts | None = None


@dataclass(frozen=True)
class MiningParameters:
    """The parameters of a rule: of the section ``pairs``, and ``own`` of the rule's ``settings``.

    Limits of 0 are no limits; ``horizon`` counts the steps of each continuation, 0 to the end.
    """

    min_gap: float = 0.1
    per_task: int = 0
    seed: int = 0
    select: BranchSelect = "best-worst"
    per_node: int = 0
    horizon: int = 0
    own: Any = None


Mine: TypeAlias = Callable[[PairSources, MiningParameters], "PairSet"]


@dataclass(frozen=True)
class PairRule:
    """``body`` is ``module:function`` of a ``Mine``, imported only where pairs are mined."""

    name: str
    summary: str
    """One sentence for help texts and the documentation."""
    sources: tuple[Source, ...]
    """``("tree",)``, ``("rollouts",)`` or ``("rollouts", "demos")``."""
    body: str
    explorer: Literal["", "strong"] = ""
    """Whose exploration it takes where none is given: the configured one, or the strong model's."""
    reads: tuple[str, ...] = ()
    """Parameters of the section ``pairs`` that it reads beside ``min_gap`` and ``per_task``."""
    settings: type[Any] | None = None
    """A frozen dataclass with defaults: its own settings, which ``pairs.parameters.NAME`` sets."""
    version: int = 1
    """Raised when equal parameters and inputs give other pairs than before."""
    rank: int = UNRANKED

    def load(self) -> Mine:
        module, _, function = self.body.partition(":")
        mine: Mine = getattr(importlib.import_module(module), function)
        return mine


PAIR_RULES = Registry("tratree.pair_rules", "pair rule", PairRule)


def pair_rule(name: str) -> PairRule:
    """The rule of this name; ``InputError`` with the nearest one otherwise."""
    return PAIR_RULES.get(name)
