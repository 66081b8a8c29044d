"""What a method of the paper's comparison is: one record that says everything about it.

A record imports no stage: it names what it learns from, its pair rule, its trainer and the models
it starts from, and ``stages.method_graph`` builds its graph from that. Tables and figures read from
the record where the method stands in them; no other table of methods exists.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tratree_cli.registry import UNRANKED

Group: TypeAlias = Literal["scale", "baseline", "main", "control"]
"""An end of the scale, a baseline, a method in question, or a control of one."""
LearnsFrom: TypeAlias = Literal[
    "nothing", "demonstrations", "pairs", "paths", "pairs and paths", "rollouts", "trees"
]
"""What its trainer is given. Of rollouts and trees a trainer makes conversations by itself."""
OfPairs: TypeAlias = Literal["preference", "nll", "swapped", "mirror"]
"""What is learnt of pairs: which side is preferred; the words of the chosen side alone (an NLL,
the weight of the preference at 0); a preference between sides that are swapped at random; or the
preferences of mirror pairs (``pairs.mirror``) alone."""
Model: TypeAlias = Literal["", "weak", "strong"]
Beyond: TypeAlias = Literal["", "rounds", "at-once", "chain", "restart-more"]
"""How a variant goes beyond one round of one weak model, or is the control of one that does
(``methods.beyond_one_round``)."""


@dataclass(frozen=True)
class PaperPlaces:
    """Where the paper shows a method: its place (from 1) within the table or figure, 0: not there.

    Tables 2, 4 and 8 have the same rows, and so have Tables 6 and 7. Fig. 5 is the case study.
    """

    table_1: int = 0
    tables_2_4_8: int = 0
    table_3: int = 0
    table_5: int = 0
    tables_6_7: int = 0
    figure_3: int = 0
    figure_4: int = 0
    figure_5: int = 0


@dataclass(frozen=True)
class Method:
    """A method: what it is called, what its policy is made of, and how a report treats it.

    A method either plays a scripted ``policy`` or trains a model. A trained one starts from its
    ``role``'s base model (``init="base"``) or from the strong SFT model (``init="sft"``, which
    ``train.init`` replaces) and is trained by ``trainer`` on what it ``learns_from``.
    """

    name: str
    title: str
    """What tables print."""
    summary: str
    """One sentence for help texts and the documentation."""
    group: Group
    learns_from: LearnsFrom = "nothing"
    rank: int = UNRANKED
    """Its place in tables and lists."""

    policy: str = ""
    """The scripted policy that it plays; empty for a trained model."""
    role: Model = ""
    """Whose base model is trained."""
    init: Literal["", "base", "sft"] = ""
    """Where its training starts; ``train.init`` can put the base model in the place of ``sft``."""
    trainer: str = ""
    """Its trainer, by name in the registry of trainers."""
    pair_rule: str = ""
    """How its pairs are mined, by name in the registry of pair rules."""
    path_rule: str = ""
    """How its paths are selected; empty leaves it to ``mcts.select``."""
    reference: Model = ""
    """Which SFT model is the KL reference of Eq. 6; ``dpo.ref`` replaces it."""
    explorer: Model = ""
    """Whose exploration it learns from or counts its steps by. ``weak`` is the default, which
    ``explore.explorer`` replaces; ``strong`` belongs to the method and stays."""
    of_pairs: OfPairs = "preference"
    beyond: Beyond = ""
    turn_discount: float = 0.0
    """How it weighs the turns of pairs (DMPO), where ``dpo.turn_discount`` says nothing."""
    steps_of: str = ""
    """The method whose number of optimizer steps it takes: a control at equal updates."""
    steps_times: int = 1
    """How many times that number it takes."""
    more_samples: int = 0
    """How many more trajectories of each task are explored for it: a control of a method that plays
    episodes of its own."""
    best_of: int = 1
    """Above 1: that many episodes are sampled per task and the best of them counts."""

    controls: tuple[str, ...] = ()
    """Methods that tell what this one adds apart from the data and training that come with it, and
    variants of its own (``NAME/VARIANT``, ``methods.controls``)."""
    alternative: str = ""
    """As a control: what accounts for a method's gain where this one has it too, for sentences."""
    control_of: str = ""
    """The method that this one was derived from as a control."""
    same_as: str = ""
    """The method whose place a control takes only where the two would not train alike."""
    fixed: tuple[str, ...] = ()
    """Settings that define the method and are therefore no settings of its rows in a study."""
    theorem: bool = True
    """Whether Theorem 1's quantities apply: a model with weights of its own beside a reference."""
    compared: bool = True
    """Whether it is set against the strong SFT baseline; a scale's end of another kind is not."""
    own_data: bool = False
    """Whether it trains on data that a person brings: no study can make it by itself."""
    numbered_title: str = ""
    """The title where a number is known, with ``{n}`` for it: of samples where the best of several
    counts, else of the optimizer steps that it takes after its init."""
    paper: PaperPlaces = field(default_factory=PaperPlaces)

    def __post_init__(self) -> None:
        scripted = bool(self.policy)
        if scripted == bool(self.role) or scripted != (self.learns_from == "nothing"):
            raise ValueError(
                f"method {self.name}: either a scripted policy that learns from nothing, or the "
                "role of a model and what it learns from"
            )
        if not scripted and not (self.trainer and self.init):
            raise ValueError(f"method {self.name}: a model that is trained has a trainer and init")
        if self.learns_from_pairs != bool(self.pair_rule or self.own_data):
            raise ValueError(f"method {self.name}: a pair rule goes with learning from pairs")

    @property
    def variant(self) -> str:
        """What is added to the name of the method that it is a control of; empty for a method."""
        return self.name.partition("/")[2]

    @property
    def learns_from_pairs(self) -> bool:
        return self.learns_from in ("pairs", "pairs and paths")

    @property
    def supervised(self) -> bool:
        """Whether it is SFT on demonstrations from the base model (Eq. 4): the stage ``sft``."""
        return (
            self.learns_from == "demonstrations"
            and self.init == "base"
            and self.trainer == "imitation"
        )

    @property
    def trained(self) -> bool:
        """Whether the stage ``train-strong`` trains it."""
        return not self.policy and not self.supervised

    @property
    def uses_weak(self) -> bool:
        """Whether the weak model has any part in it, so that rows name which one it was."""
        return "weak" in (self.role, self.reference, self.explorer)

    @property
    def own_exploration(self) -> bool:
        """Whether it learns from the strong model's exploration by definition."""
        return self.explorer == "strong"

    def titled(self, best_of: int | None = None, steps: Collection[int] = ()) -> str:
        """The printed name, with the number of samples, or of steps, where it has one.

        ``steps`` are those of its runs, of which the title names the least and the most.
        """
        if not self.numbered_title:
            return self.title
        if self.best_of > 1:
            return self.numbered_title.format(n=best_of) if best_of else self.title
        if not steps:
            return self.title
        least, most = min(steps), max(steps)
        return self.numbered_title.format(n=f"{least}" if least == most else f"{least} to {most}")
