"""What a study makes beside its methods where it goes beyond one round of one weak model.

With several rounds each method that explores has its rows ``METHOD/rounds`` and, at equal budget,
``METHOD/at-once``. A chain is a study for each of its links, with the next two of its models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.beyond_one_round import chainable, repeatable
from tratree_cli.methods.registry import BASELINE, CEILING, WEAK, method
from tratree_cli.stages import chains
from tratree_cli.stages.environments import require_training_split

MODELS = "chain.models"
"""The setting of a row that says of which chain it is, up to its own model: ``A,B,C``."""


@dataclass(frozen=True)
class StudyPart:
    """One configuration of a study and the methods that are made by it."""

    config: Config
    methods: tuple[str, ...]


def with_rounds(config: Config, names: Sequence[str], *, controls: bool) -> tuple[str, ...]:
    """``names``, and the rounds of each method that explores where there are several.

    Raises ``InputError`` where none of them does, and where it is a test split that they explore.
    """
    if config.rounds.number == 1:
        return tuple(names)
    require_training_split(config, config.explore.split, "play rounds on", insist=False)
    repeated = [name for name in names if repeatable(method(name))]
    if not repeated and not any(method(name).beyond for name in names):
        raise InputError(
            f"--rounds {config.rounds.number}: none of the methods ({', '.join(names)}) learns "
            "from explorations; name one with --methods, as tree-dpo or mcts"
        )
    added = [name for base in repeated for name in (f"{base}/rounds", f"{base}/at-once")]
    wanted = [name for name in added if controls or not name.endswith("/at-once")]
    return tuple(dict.fromkeys((*names, *wanted)))


def parts(
    config: Config, names: Sequence[str], *, controls: bool = True, restart: bool = True
) -> list[StudyPart]:
    """The study itself, or for each link of ``chain.models`` one with its two models.

    Every link has both models' SFT, ``sft-more`` and the ceiling. ``restart`` adds to each link
    after the first the method itself, for which the SFT weak model explores: once with as many
    episodes as the link has, once with those of all links before as well.
    """
    if not config.chain.models:
        return [StudyPart(config, tuple(names))]
    if config.rounds.number > 1:
        raise InputError("rounds and a chain are studied one at a time; drop --rounds or --chain")
    linked = [name for name in names if chainable(method(name)) and not method(name).beyond]
    if not linked:
        raise InputError(
            f"--chain: the weak model explores for none of the methods ({', '.join(names)}); name "
            "one with --methods, as tree-dpo or mcts"
        )
    longer = [more for name in linked for more in _more_steps(name)] if controls else []
    beside = [WEAK, BASELINE, *longer, CEILING]
    common = tuple(dict.fromkeys((*names, *beside)))
    found = []
    for number in range(1, max(chains.links(config), 1) + 1):
        own = common
        if number > 1:
            chained = [f"{name}/chain" for name in linked]
            restarted = [f"{name}/restart-more" for name in linked] if restart else []
            kept = [name for name in common if restart or name not in linked]
            own = (*kept, *chained, *restarted)
        found.append(StudyPart(chains.link(config, number), own))
    return found


def _more_steps(name: str) -> list[str]:
    """The controls of a method that train on demonstrations for as many updates."""
    return [control for control in method(name).controls if control.endswith("sft-more")]


def models_of(config: Config, name: str) -> dict[str, str]:
    """The settings that tell the rows of a chain's links apart; none without a chain."""
    models, record = _named(config.chain.models), method(name)
    if not models:
        return {}
    own = {"models.strong": models[-1]} if record.role == "strong" else {}
    weak = {"models.weak": models[-2]} if record.uses_weak else {}
    whole = {MODELS: ",".join(models)} if record.beyond in ("chain", "restart-more") else {}
    return {**own, **weak, **whole}


def _named(models: Sequence[str]) -> list[str]:
    """The members as rows name them: a folder of this machine by its last part.

    Raises ``InputError`` where two of them would have one name.
    """
    names = [Path(name).name if Path(name).is_absolute() else name for name in models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"--chain: two of the models are called {name}; rename one of the folders"
            )
    return names
