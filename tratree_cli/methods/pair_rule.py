"""What a pair rule is: which pairs of trajectories become preferences, and from what.

Rules are entry points of the group ``tratree.pair_rules``, the paper's as any other's. A record
names its function, so that a pipeline is planned without importing what mines.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tratree_cli.envs.action_kinds import UNPARSABLE, ActionKind, difference_kind, first_word
from tratree_cli.registry import UNRANKED, Registry

if TYPE_CHECKING:
    from tratree_cli.formats.rollouts import Rollouts, TextTable
    from tratree_cli.trees.columns import Columns
    from tratree_cli.trees.forest import Forest
    from tratree_cli.trees.pairs import BranchSelect, KindOf, PairSet, TieBreak
    from tratree_cli.trees.state_graph import StateGraph

Source: TypeAlias = Literal["tree", "rollouts", "demos"]


@dataclass(frozen=True)
class PairSources:
    """What pairs are mined from, as far as the rule takes it.

    ``rollouts`` are those of the tree under a rule that takes trees, ``graph`` the tree's state
    graph where it has one. Pairs refer to the
    trajectories of ``rollouts`` by index, and under ``PairSet.demonstrated`` the chosen side to
    those of ``demos``. Under a rule ``with_demonstrations`` that takes rollouts, these stand in
    ``rollouts`` after the first ``own`` trajectories, and ``demos`` is empty.
    """

    rollouts: Rollouts
    forest: Forest | None = None
    demos: Rollouts | None = None
    action_kind: ActionKind = first_word
    own: int = 0
    graph: StateGraph | None = None

    def kinds(self, better: Rollouts | None = None, worse: Rollouts | None = None) -> KindOf:
        """What differs between an action of ``better`` and one of ``worse``, by text numbers.

        Both are those of ``rollouts`` where nothing is given.
        """
        first, second = ((given or self.rollouts).texts for given in (better, worse))

        def kind(texts: TextTable, number: int) -> str:
            return self.action_kind(texts[number]) if number >= 0 else UNPARSABLE

        return lambda one, other: difference_kind(kind(first, one), kind(second, other))


@dataclass(frozen=True)
class MiningParameters:
    """The parameters of a rule: of the section ``pairs``, and ``own`` of the rule's ``settings``.

    Limits of 0 are no limits; ``horizon`` counts the steps of each continuation, 0 to the end.
    With ``mixed`` every pair is made twice, cut and to the end (``horizons``).
    """

    min_gap: float = 0.1
    per_task: int = 0
    seed: int = 0
    select: BranchSelect = "best-worst"
    per_node: int = 0
    horizon: int = 0
    mixed: bool = False
    min_chosen: float = 0.0
    keep_invalid: bool = False
    per_kind: int = 0
    tie_break: TieBreak = ""
    mirror: bool = False
    own: Any = None

    @property
    def horizons(self) -> tuple[int, ...]:
        """The numbers of steps to which the continuations of a pair are cut, 0: to the end."""
        return (self.horizon, 0) if self.mixed else (self.horizon,)

    def whole(self, columns: Columns, kind_of: KindOf, demos: Columns | None = None) -> PairSet:
        """Pairs of whole trajectories by these parameters (``trees.trajectory_pairs``)."""
        from tratree_cli.trees.trajectory_pairs import mine_whole

        return mine_whole(
            columns,
            demos=demos,
            min_gap=self.min_gap,
            min_chosen=self.min_chosen,
            keep_invalid=self.keep_invalid,
            per_kind=self.per_kind,
            per_task=self.per_task,
            horizons=self.horizons,
            seed=self.seed,
            kind_of=kind_of,
        )

    def finished(
        self, found: PairSet, sources: PairSources, columns: Columns, demos: Columns | None = None
    ) -> PairSet:
        """The pairs of a rule, with mirror pairs where these are asked for.

        ``columns`` (and ``demos``) are those of ``sources``, which the rule has at hand.
        """
        from tratree_cli.trees.mirror_pairs import with_mirrors

        if not self.mirror:
            return found
        own = sources.demos if found.demonstrated else sources.rollouts
        return with_mirrors(found, columns, demos, sources.kinds(own, own))


FOR_EVERY_RULE = (
    "horizon",
    "min_chosen",
    "keep_invalid",
    "per_kind",
    "mirror",
)
"""Parameters of the section ``pairs`` that mean something for the pairs of any rule."""

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
    with_demonstrations: bool = False
    """Whether demonstrations are compared as any other trajectory: they stand in the trees, or
    after the rollouts (``PairSources.own``)."""
    explorer: Literal["", "strong"] = ""
    """Whose exploration it takes where none is given: the configured one, or the strong model's."""
    merge: Literal["", "graph"] = ""
    """What ``tree.merge`` has to be for its trees, where that is not left to the configuration."""
    reads: tuple[str, ...] = ()
    """Parameters of the section ``pairs`` that it reads beside ``min_gap`` and ``per_task``.

    Of ``FOR_EVERY_RULE`` a rule that does not read one refuses values other than the default;
    ``select``, ``per_node`` and ``tie_break`` are about divergence points, which not all rules
    have.
    """
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
