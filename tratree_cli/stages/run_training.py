"""One training, from what is learnt from to a model folder: the body that the stages share.

What is learnt from becomes rows of tokens, a KL reference's scores join the rows of pairs, and the
trainer of the registry does the rest, in as many processes as were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Result
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.sections import AS_SEED, DpoSection, SftSection, TrainingSection
from tratree_cli.stages.distributed import train_distributed
from tratree_cli.stages.examples import Examples
from tratree_cli.stages.training_inputs import (
    base_folder,
    checkpoints,
    held_warnings,
    length_policy,
    length_warnings,
    shorter_rows,
    template_warnings,
    training_arguments,
    training_progress,
    training_summary,
)

if TYPE_CHECKING:
    from tratree_cli.formats.pairs import PairMessages
    from tratree_cli.training.data import PairRow
    from tratree_cli.training.lengths import LengthPolicy, LengthReport
    from tratree_cli.training.params import DPOParams, SFTParams
    from tratree_cli.training.trainer import Conversations, Trainer


@dataclass(frozen=True)
class JointParameters:
    """What joint training has beside the parameters of DPO, which hold its schedule."""

    nll_weight: float
    updates: int = keyed_unless(0)


IMITATION_ALONE = "no pair is informative, so this is imitation of the paths alone"


@dataclass(frozen=True)
class StartingPoint:
    """The model that is trained: its folder, and how an adapter names it."""

    folder: Path
    identity: Mapping[str, str]
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a base model's template; what was trained before has its own in it."""


@dataclass(frozen=True)
class TrainingRun:
    """What a stage asks of a trainer.

    ``dpo`` is there for pairs only, ``joint`` where conversations are learnt beside them,
    ``other`` where the trainer takes a second model, and ``max_steps`` above 0 where a number of
    optimizer steps replaces the epochs. ``data_seed`` orders the rows where it is not ``AS_SEED``.
    ``swapped`` puts the sides of pairs into random order, ``curriculum`` paths from easy to hard.
    """

    trainer: Trainer
    start: StartingPoint
    training: TrainingSection
    dpo: DpoSection | None = None
    other: Path | None = None
    max_steps: int = 0
    data_seed: int = AS_SEED
    settings: Mapping[str, Any] = field(default_factory=dict)
    joint: JointParameters | None = None
    swapped: bool = False
    curriculum: str = ""


def starting_point(job: Job[Any]) -> StartingPoint:
    """The input model, or else the base model that the node is keyed with."""
    init = job.maybe("init")
    if init is not None:
        return StartingPoint(init.path, {"object": init.object})
    from tratree_cli.models.template_arguments import arguments_of

    return StartingPoint(*base_folder(job), arguments_of(job.node.models["base"]))


def run_training(job: Job[Any], run: TrainingRun, examples: Examples) -> Result:
    """Train on ``examples`` and write the model into the node's folder."""
    job.progress(0, 0, "loading libraries")
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.models.template_files import TEMPLATE
    from tratree_cli.training.reference import saturation_warning
    from tratree_cli.training.trainer import TrainingTask

    declared, folder = run.trainer, run.start.folder
    config = training_config(job, run)
    tokenizer = load_tokenizer(folder, run.start.chat_template_kwargs)
    job.progress(0, 0, f"encoding {declared.rows}")
    made: list[tuple[str, Sequence[Any], LengthReport, int]] = []
    if (conversations := examples.conversations) is not None:
        rows, lengths = _conversation_rows(tokenizer, conversations, _length_policy(run))
        made.append(("conversations", rows, lengths, len(conversations)))
    pairs: Sequence[PairRow] = ()
    if examples.pairs:
        pairs, lengths = _pair_rows(job, run, config, tokenizer, examples.pairs)
        made.append(("pairs", pairs, lengths, len(examples.pairs)))
    both = examples.conversations is not None
    with checkpoints(job) as work:
        task = TrainingTask(
            trainer=declared.name,
            model=folder,
            rows=made[0][1],
            pairs=pairs if both else [],
            config=config,
            out=job.out,
            work=work,
            other=_second_model(job, run),
            base=run.start.identity,
            settings=declared.settings(**run.settings) if declared.settings else None,
        )
        job.progress(0, 0, "loading the trainer and the model")
        result = train_distributed(job, task, training_progress(job))
    if run.start.chat_template_kwargs:
        # Trainers get rows of ids and store the template that they find in the base's folder.
        (job.out / TEMPLATE).write_text(tokenizer.chat_template, encoding="utf-8")
    saturated = saturation_warning(result.facts)
    counts = {what: len(rows) for what, rows, _, _ in made}
    return Result(
        {**counts, **training_summary(result, made[0][2], run.training)},
        warnings=[
            *(w for what, _, lengths, given in made for w in length_warnings(lengths, given, what)),
            *([IMITATION_ALONE] if run.joint and not pairs else []),
            *shorter_rows(folder, run.training.max_length),
            *template_warnings(tokenizer),
            *held_warnings(folder, run.training, job.options.device),
            *([saturated] if saturated else []),
            *result.remarks,
        ],
    )


def training_config(job: Job[Any], run: TrainingRun) -> SFTParams | DPOParams:
    """The keyed parameters as the trainer reads them."""
    from tratree_cli.training.params import DPOParams, JointParams, SFTParams

    training, dpo = run.training, run.dpo
    data_seed = None if run.data_seed == AS_SEED else run.data_seed
    if dpo is not None:
        values = {
            **training_arguments(job, training, dpo),
            "data_seed": data_seed,
            "beta": dpo.beta,
            "nll_weight": dpo.nll_weight,
            "explicit_kl": dpo.explicit_kl,
            "loss_type": dpo.loss_type,
            "label_smoothing": dpo.label_smoothing,
            "preference_weight": dpo.preference_weight,
            "nll_on": dpo.nll_on,
            "nll_per": dpo.nll_per,
            "turn_discount": dpo.turn_discount,
            "use_weighting": dpo.use_weighting,
            "curriculum": dpo.curriculum,
            "max_steps": run.max_steps,
        }
        if run.joint is not None:
            return JointParams(
                **values,
                imitation_weight=run.joint.nll_weight,
                path_curriculum=run.curriculum,
            )
        return DPOParams(**values)
    assert isinstance(training, SftSection), "imitation has a schedule of its own"
    return SFTParams(
        **training_arguments(job, training, training),
        data_seed=data_seed,
        curriculum=run.curriculum,
        packing=training.packing,
        max_steps=run.max_steps,
        diverge_weight=training.diverge_weight,
        diverge_cap=training.diverge_cap,
    )


def failure_safe(job: Job[Any], reason: str) -> Result:
    """Nothing to learn from: the result is the initial model itself (section 3.3)."""
    init = job.maybe("init")
    if init is None:
        raise InputError(f"{reason}, and the base model alone is no result; use --init sft")
    return Result(
        {**init.summary, "adopted": init.ref},
        warnings=[f"{reason}; the result is the initial model, unchanged"],
        adopt=init,
    )


def _conversation_rows(
    tokenizer: Any, examples: Conversations, policy: LengthPolicy
) -> tuple[Sequence[Any], LengthReport]:
    from tratree_cli.training.data import sft_rows

    return sft_rows(tokenizer, examples.messages, policy, prefix=examples.prefix)


def _pair_rows(
    job: Job[Any],
    run: TrainingRun,
    config: SFTParams | DPOParams,
    tokenizer: Any,
    pairs: Sequence[PairMessages],
) -> tuple[Sequence[PairRow], LengthReport]:
    """Rows of tokens as they are trained on: scored, in the order of sides that is asked for."""
    from tratree_cli.training.nll_tokens import with_nll_mask
    from tratree_cli.training.swapped_sides import with_swapped_sides

    if run.dpo is not None and run.dpo.turn_discount:
        _require_turns(pairs, run.dpo.turn_discount)
    rows, lengths = _scored_rows(job, run, config, tokenizer, pairs)
    if run.swapped:
        rows = with_swapped_sides(rows, config.seed)
    if run.dpo is not None and run.dpo.nll_weight:
        rows = with_nll_mask(tokenizer, pairs, rows, run.dpo.nll_on, _length_policy(run))
    return rows, lengths


def _require_turns(pairs: Sequence[PairMessages], discount: float) -> None:
    """``InputError`` where a discount of turns would change nothing."""
    sides = (side for pair in pairs for side in (pair.chosen, pair.rejected))
    if all(sum(message["role"] == "assistant" for message in side) < 2 for side in sides):
        raise InputError(
            f"dpo.turn_discount = {discount} weighs the turns of a continuation, and on both sides "
            f"of all {len(pairs)} pairs the agent has one turn; leave the discount at 0, or give "
            "pairs of several turns"
        )


def _scored_rows(
    job: Job[Any],
    run: TrainingRun,
    config: SFTParams | DPOParams,
    tokenizer: Any,
    pairs: Sequence[PairMessages],
) -> tuple[Sequence[PairRow], LengthReport]:
    """Rows of tokens, with the reference's log-probabilities as far as they can be had before."""
    from tratree_cli.training.data import pair_rows
    from tratree_cli.training.reference import (
        read_logps,
        reference_logps,
        rows_as_scored,
        with_reference,
    )

    discount = run.dpo.turn_discount if run.dpo is not None else 0.0
    stored = job.maybe("reference")
    if stored is not None:
        scored = read_logps(stored.path).discounted(discount)
        return rows_as_scored(tokenizer, pairs, scored)
    rows, lengths = pair_rows(tokenizer, pairs, _length_policy(run))
    if not run.trainer.reference or (run.dpo is not None and run.dpo.explicit_kl):
        return rows, lengths
    # Without a KL reference, DPO is taken against where the training starts.
    scores = reference_logps(
        run.start.folder, rows, threads=config.threads, config=config, by_turn=discount > 0
    )
    return with_reference(rows, scores.discounted(discount)), lengths


def _length_policy(run: TrainingRun) -> LengthPolicy:
    policy: LengthPolicy = length_policy(
        run.training.max_length, run.training.too_long, run.start.folder
    )
    return policy


def _second_model(job: Job[Any], run: TrainingRun) -> Path | None:
    """A live reference for the explicit KL term, or what the stage itself hands in."""
    live = job.maybe("reference_model")
    if live is not None:
        return live.path
    if run.dpo is not None and run.dpo.explicit_kl:
        return run.start.folder
    return run.other
