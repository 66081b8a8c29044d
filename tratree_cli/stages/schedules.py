"""How long a method trains: its schedule by configuration, and a control's equal steps.

A control takes the number of optimizer steps of the method that it is a control of. That number
follows from how many rows the method learns from, which is known only when these are there; a
node names what is counted as an input of its own, and its parameters say how steps follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.pair_rule import pair_rule
from tratree_cli.methods.registry import method
from tratree_cli.pipeline.graph import Job
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import (
    AS_SFT,
    DpoSection,
    JointSection,
    SftSection,
    TrainingSection,
)
from tratree_cli.stages import sft
from tratree_cli.stages.demonstration_share import with_demonstrations
from tratree_cli.stages.pair_settings import horizon_of, section_of
from tratree_cli.stages.training_inputs import length_policy
from tratree_cli.training.params import loss_refused
from tratree_cli.training.rounds import updates_of

if TYPE_CHECKING:
    from pathlib import Path

    from tratree_store import Entry


@dataclass(frozen=True)
class EqualSteps:
    """The steps of a training on the counted rows, or ``updates``, taken so many ``times``.

    ``of_rounds`` are the parameters of rounds whose steps are counted instead: another number of
    rounds may end in the very model, so the model alone does not say how many steps there were.
    """

    epochs: float
    batch_size: int
    updates: int = keyed_unless(0)
    times: int = keyed_unless(1)
    demo_share: float = keyed_unless(0.0)
    of_rounds: Mapping[str, Any] | None = keyed_unless(None)

    def steps(self, rows: int) -> int:
        """Optimizer steps in all."""
        return self.times * (self.updates or steps_on(rows, self.epochs, self.batch_size))


def steps_on(rows: int, epochs: float, batch_size: int) -> int:
    """Optimizer steps that training on ``rows`` rows takes (``trainer_args.total_steps``)."""
    return math.ceil(epochs * math.ceil(rows / batch_size))


def imitation(config: Config, record: Method | None = None) -> SftSection:
    """The parameters of imitation: those of SFT, with its own epochs and learning rate.

    A control of joint training has the batches and the learning rate of that.
    """
    of = method(record.steps_of) if record is not None and record.steps_of else None
    strong = config.sft.of("strong")
    section = replace(
        sft.plain(strong),
        epochs=config.train.epochs,
        learning_rate=config.train.learning_rate,
        tree_packing="off" if strong.packing else config.train.tree_packing,
    )
    if of is None or of.learns_from != "pairs and paths":
        return section
    return replace(
        section,
        epochs=config.joint.epochs or section.epochs,
        learning_rate=config.joint.learning_rate or section.learning_rate,
        batch_size=config.joint.batch_size or section.batch_size,
    )


def require_weights(section: DpoSection, joint: JointSection | None = None) -> None:
    """``InputError`` where every weight is 0, so that nothing would be learnt."""
    if section.preference_weight or section.nll_weight or (joint and joint.nll_weight):
        return
    if joint is None:
        raise InputError(
            "dpo.preference_weight and dpo.nll_weight are both 0, so nothing would be learnt; "
            "raise one of them"
        )
    raise InputError(
        "joint.nll_weight, joint.preference_weight and joint.chosen_nll_weight are all 0, so "
        "nothing would be learnt; raise one of them"
    )


def preference(config: Config, record: Method) -> DpoSection:
    """The parameters of what a method does with pairs, in the schedule that it has."""
    section = config.dpo
    if record.learns_from == "pairs and paths":
        joint, alone = config.joint, imitation(config)
        section = replace(
            section,
            epochs=joint.epochs or config.train.epochs,
            learning_rate=joint.learning_rate or alone.learning_rate,
            batch_size=joint.batch_size or alone.batch_size,
            preference_weight=joint.preference_weight,
            nll_weight=joint.chosen_nll_weight,
            scheduler="",
            warmup=AS_SFT,
        )
    if record.of_pairs == "nll":
        section = nll_alone(section, joint=record.trainer == "joint")
    elif section.preference_weight:
        section = replace(section, turn_discount=turn_discount(config, record))
    require_weights(section, config.joint if record.trainer == "joint" else None)
    require_applicable(section)
    return section


def turn_discount(config: Config, record: Method) -> float:
    """The discount of the turns of pairs: the configuration's, or else the method's own.

    A mirror pair has one turn on either side, to which it means nothing. Raises ``InputError``
    where all pairs of the method are of single turns.
    """
    discount = config.dpo.turn_discount or record.turn_discount
    if not discount or record.of_pairs == "mirror":
        return 0.0
    if record.pair_rule:
        rule = pair_rule(record.pair_rule)
        if horizon_of(section_of(config, rule)) == (1, False):
            raise InputError(
                f"dpo.turn_discount = {discount} weighs the turns of a continuation, and the rule "
                f"'{rule.name}' cuts continuations to one turn; take them to the end "
                f"(--set pairs.rules.{rule.name}.level=trajectory), or leave the discount at 0"
            )
    return discount


def require_applicable(section: DpoSection) -> None:
    """``InputError`` for settings of the loss on pairs that cannot be or would change nothing."""
    if section.preference_weight:
        if refused := loss_refused(
            section.loss_type, section.label_smoothing, section.use_weighting
        ):
            raise InputError(refused)
        return
    for name, is_set in (
        ("turn_discount", section.turn_discount > 0),
        ("use_weighting", section.use_weighting),
    ):
        if is_set:
            raise InputError(
                f"dpo.{name} is about the loss on pairs, and dpo.preference_weight is 0; raise the "
                "one or leave out the other"
            )


def nll_alone(section: DpoSection, *, joint: bool) -> DpoSection:
    """The likelihood of the chosen side with the weight that it has, or else with 1.

    What only a preference has is at its default: it decides nothing. In joint training the weight
    beside the paths' is that of the preference, which the likelihood replaces.
    """
    weight = section.preference_weight if joint else section.nll_weight
    default = DpoSection()
    return replace(
        section,
        preference_weight=0.0,
        nll_weight=weight or 1.0,
        beta=default.beta,
        loss_type=default.loss_type,
        label_smoothing=default.label_smoothing,
        explicit_kl=False,
        turn_discount=default.turn_discount,
        use_weighting=default.use_weighting,
    )


def path_curriculum(config: Config, record: Method) -> str:
    """The order of the paths that a method learns from; ``InputError`` where they are packed."""
    if record.learns_from not in ("paths", "pairs and paths"):
        return ""
    order = config.train.curriculum
    if order and record.learns_from == "paths" and config.sft.of("strong").packing:
        raise InputError(
            f"train.curriculum = {order} orders paths, and sft.packing puts them into sequences as "
            "they fit; leave one of the two off"
        )
    return order


def demo_share(config: Config, record: Method) -> float:
    """The share of demonstrations beside paths that are imitated for as long as these take."""
    imitated = record.learns_from == "paths" and record.trainer == "imitation"
    return config.train.demo_share if imitated and not record.steps_of else 0.0


def equal_steps(config: Config, record: Method) -> EqualSteps | None:
    """How many steps a control takes; None for a method that takes its own.

    So does imitation of the very paths that are counted, unless it takes several times the steps.
    """
    if not record.steps_of:
        return None
    counted = method(record.steps_of)
    if counted.learns_from == "paths":
        batch = imitation(config).batch_size
        share = demo_share(config, counted)
        return EqualSteps(config.train.epochs, batch, times=record.steps_times, demo_share=share)
    if not counted.learns_from_pairs:
        raise InputError(
            f"method '{record.name}' takes the steps of '{counted.name}', which learns from "
            f"{counted.learns_from}; only the steps of a method that learns from paths or pairs "
            "are known"
        )
    schedule = preference(config, counted)
    updates = config.joint.updates if counted.learns_from == "pairs and paths" else 0
    if record.learns_from == "paths" and record.steps_times == 1 and not updates:
        return None
    return EqualSteps(schedule.epochs, schedule.batch_size, updates, record.steps_times)


def counted_steps(job: Job[Any], asked: EqualSteps, training: TrainingSection, model: Path) -> int:
    """The number of steps, from the rows that the counted training has; 0 where it has none."""
    counted = job.maybe(ONLY_COUNTED)
    if counted is None:
        return asked.steps(0)
    if asked.of_rounds is not None:
        return updates_of(counted.summary)
    return asked.steps(_rows(job, counted, training, model, asked.demo_share))


def _rows(job: Job[Any], entry: Entry, training: TrainingSection, model: Path, share: float) -> int:
    """Rows of paths or pairs that fit, or of pairs that a reference scored, which are those.

    The demonstrations beside paths are the very ones that the counted training takes of those that
    the control learns from, as far as they fit.
    """
    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.models.template_arguments import arguments_of
    from tratree_cli.stages.examples import demonstrations_of
    from tratree_cli.training.data import pair_rows, sft_rows
    from tratree_cli.training.reference import read_logps
    from tratree_cli.training.trainer import Conversations

    if entry.kind == "ref-logps":
        return len(read_logps(entry.path))
    policy = length_policy(training.max_length, training.too_long, model)
    arguments = arguments_of(job.node.models.get("base", ""))
    rows: Sequence[Any] = ()
    if entry.kind == "pairs":
        pairs = [pair.messages() for pair in read_pairs(entry.path).pairs]
        rows = pair_rows(load_tokenizer(model, arguments), pairs, policy)[0] if pairs else ()
    else:
        paths = read_paths(entry.path)
        read = Conversations([path.messages for path in paths.paths], paths.prefix)
        if share:
            demonstrations = demonstrations_of(job.inputs["demos"])
            read = with_demonstrations(read, demonstrations, share, job.params.seed)
        if len(read):
            rows = sft_rows(load_tokenizer(model, arguments), read.messages, policy, read.prefix)[0]
    return len(rows)
