"""One training, from what is learnt from to a model folder: the body that the stages share.

What is learnt from becomes rows of tokens, a KL reference's scores join the rows of pairs, and the
trainer of the registry does the rest, in as many processes as were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Result
from tratree_cli.sections import AS_SEED, DpoSection, SftSection, TrainingSection
from tratree_cli.stages.distributed import train_distributed
from tratree_cli.stages.training_inputs import (
    base_folder,
    checkpoints,
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

Pairs: TypeAlias = "Sequence[PairMessages]"


@dataclass(frozen=True)
class StartingPoint:
    """The model that is trained: its folder, and how an adapter names it."""

    folder: Path
    identity: Mapping[str, str]


@dataclass(frozen=True)
class TrainingRun:
    """What a stage asks of a trainer.

    ``dpo`` is there for pairs only, ``other`` where the trainer takes a second model, and
    ``max_steps`` above 0 where a number of optimizer steps replaces the epochs. ``data_seed``
    orders the rows where it is not ``AS_SEED``.
    """

    trainer: Trainer
    start: StartingPoint
    training: TrainingSection
    dpo: DpoSection | None = None
    other: Path | None = None
    max_steps: int = 0
    data_seed: int = AS_SEED
    settings: Mapping[str, Any] = field(default_factory=dict)


def starting_point(job: Job[Any]) -> StartingPoint:
    """The input model, or else the base model that the node is keyed with."""
    init = job.maybe("init")
    if init is not None:
        return StartingPoint(init.path, {"object": init.object})
    return StartingPoint(*base_folder(job))


def run_training(job: Job[Any], run: TrainingRun, examples: Conversations | Pairs) -> Result:
    """Train on ``examples`` and write the model into the node's folder."""
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.training.reference import saturation_warning
    from tratree_cli.training.trainer import Conversations, TrainingTask

    declared, folder = run.trainer, run.start.folder
    config = training_config(job, run)
    job.progress(0, 0, f"encoding {declared.rows}")
    tokenizer = load_tokenizer(folder)
    rows: Sequence[Any]
    lengths: LengthReport
    if isinstance(examples, Conversations):
        given = len(examples.messages)
        rows, lengths = _conversation_rows(tokenizer, examples, _length_policy(run))
    else:
        given = len(examples)
        rows, lengths = _pair_rows(job, run, config, tokenizer, examples)
    with checkpoints(job) as work:
        task = TrainingTask(
            trainer=declared.name,
            model=folder,
            rows=rows,
            config=config,
            out=job.out,
            work=work,
            other=_second_model(job, run),
            base=run.start.identity,
            settings=declared.settings(**run.settings) if declared.settings else None,
        )
        result = train_distributed(job, task, training_progress(job))
    saturated = saturation_warning(result.facts)
    return Result(
        {declared.rows: len(rows), **training_summary(result, lengths, run.training)},
        warnings=[
            *length_warnings(lengths, given, declared.rows),
            *shorter_rows(folder, run.training.max_length),
            *template_warnings(tokenizer),
            *([saturated] if saturated else []),
            *result.remarks,
        ],
    )


def training_config(job: Job[Any], run: TrainingRun) -> SFTParams | DPOParams:
    """The keyed parameters as the trainer reads them."""
    from tratree_cli.training.params import DPOParams, SFTParams

    training, dpo = run.training, run.dpo
    data_seed = None if run.data_seed == AS_SEED else run.data_seed
    if dpo is not None:
        return DPOParams(
            **training_arguments(job, training, dpo),
            data_seed=data_seed,
            beta=dpo.beta,
            nll_weight=dpo.nll_weight,
            explicit_kl=dpo.explicit_kl,
            loss_type=dpo.loss_type,
            label_smoothing=dpo.label_smoothing,
        )
    assert isinstance(training, SftSection), "imitation has a schedule of its own"
    return SFTParams(
        **training_arguments(job, training, training),
        data_seed=data_seed,
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
    job: Job[Any], run: TrainingRun, config: SFTParams | DPOParams, tokenizer: Any, pairs: Pairs
) -> tuple[Sequence[PairRow], LengthReport]:
    """Rows of tokens, with the reference's log-probabilities as far as they can be had before."""
    from tratree_cli.training.data import pair_rows
    from tratree_cli.training.reference import (
        read_logps,
        reference_logps,
        rows_as_scored,
        with_reference,
    )

    stored = job.maybe("reference")
    if stored is not None:
        return rows_as_scored(tokenizer, pairs, read_logps(stored.path))
    rows, lengths = pair_rows(tokenizer, pairs, _length_policy(run))
    if not run.trainer.reference or (run.dpo is not None and run.dpo.explicit_kl):
        return rows, lengths
    # Without a KL reference, DPO is taken against where the training starts.
    scores = reference_logps(run.start.folder, rows, threads=config.threads, config=config)
    return with_reference(rows, scores), lengths


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
