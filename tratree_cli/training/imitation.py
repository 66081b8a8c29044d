"""Supervised training on the agent's words: Eq. 4 on demonstrations, Eq. 8 on searched paths.

TRL's trainer gets rows that are already tokens and labels, so the only text it can learn is the
text whose mask is 1. With a frozen model to diverge from, the same rows train the explorer (Eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError, StageError
from tratree_cli.models import devices, save
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_tokenizer
from tratree_cli.models.merge import finished_model, loss_warning
from tratree_cli.sections import CONTINUATION
from tratree_cli.training import trainer_args
from tratree_cli.training.data import SFTRow
from tratree_cli.training.deterministic_trainer import DeterministicTrainer, curves, prepare_work
from tratree_cli.training.params import LOWER, Progress, SFTParams, TrainingResult, silent
from tratree_cli.training.scored_head import IGNORED, score_agent_positions
from tratree_cli.training.trainer import TrainingTask
from tratree_cli.training.tree_packing.decision import Decision, decide

from trl import SFTConfig, SFTTrainer  # isort: skip  (after library_logging)

OF_THE_RUN = ("device", "threads", "track", "run_name", "checkpoint_every")
"""Parameters that belong to a run and not to the model that it makes."""
LATER = {
    "preference_weight": 1.0,
    "nll_on": CONTINUATION,
    "turn_discount": 0.0,
    "use_weighting": False,
    "nll_per": "token",
    "curriculum": "",
    "path_curriculum": "",
}
"""Parameters that came later, and what they were before: so they go unrecorded."""
UNSET = object()


class AgentSFTTrainer(DeterministicTrainer, SFTTrainer):
    """TRL's SFT trainer on rows of tokens and labels."""


def train(task: TrainingTask[SFTRow, SFTParams], progress: Progress = silent) -> TrainingResult:
    """``train_sft`` as the registry of trainers calls it."""
    return train_sft(
        task.model,
        task.rows,
        task.config,
        task.out,
        task.work,
        progress,
        task.base,
    )


def train_sft(
    model: str | Path,
    rows: Sequence[SFTRow],
    config: SFTParams,
    out: Path,
    work: Path,
    progress: Progress = silent,
    base: Mapping[str, Any] | None = None,
    make_trainer: Callable[..., Any] = AgentSFTTrainer,
) -> TrainingResult:
    """Train ``model`` (a folder) on ``rows`` and write the result into ``out``.

    ``work`` keeps the checkpoints a killed run resumes from; ``base`` identifies the model in the
    record of an unmerged adapter. The loss is the mean negative log-likelihood (nats) of the
    agent's tokens. Raises ``InputError`` for no rows, ``StageError`` when the loss diverges.
    """
    if not rows:
        raise InputError("there is nothing to train on: no conversations were given")
    with silence_libraries(), devices.threads(config.threads), devices.explain_out_of_memory(LOWER):
        prepare_work(work, rows, config, model)
        learner = trainer_args.load_to_train(model, config)
        trainer = make_trainer(
            model=learner,
            args=_arguments(rows, config, work),
            train_dataset=_dataset(rows),
            processing_class=load_tokenizer(model),
            peft_config=trainer_args.lora_config(config.lora),
        )
        decision = Decision() if config.packing else decide(config, rows, learner)
        by_length = config.group_by_length and not config.packing
        trainer.order_rows(rows, decision, by_length, config.curriculum)
        score_agent_positions(trainer.model, trainer.args.device.type, packing=trainer.packing)
        seconds, resumed = trainer_args.run(trainer, progress, sum(row.tokens for row in rows))
        return finish(trainer, model, rows, config, out, seconds, resumed, base)


def finish(
    trainer: Any,
    model: str | Path,
    rows: Sequence[Any],
    config: Any,
    out: Path,
    seconds: float,
    resumed: int,
    base: Mapping[str, Any] | None,
    facts: Mapping[str, float] | None = None,
) -> TrainingResult:
    """Write the trained model and say what was done."""
    passes = trainer.state.epoch or 0.0
    result = TrainingResult(
        steps=trainer.state.global_step,
        tokens=round(passes * sum(row.tokens for row in rows)),
        scored=round(passes * sum(row.scored for row in rows)),
        seconds=seconds,
        curves=curves(trainer),
        facts=dict(facts or {}),
        resumed_from=resumed,
        processes=trainer.accelerator.num_processes,
        strategy=trainer_args.strategy(trainer) if trainer.accelerator.num_processes > 1 else "",
        remarks=tuple(trainer.remarks),
        sharing=trainer.sharing,
    )
    decisive = asdict(config)
    if result.sharing is None:
        # Rows that are computed one by one are what they were before there were trees.
        decisive = {name: value for name, value in decisive.items() if name != "tree_packing"}
    if not hasattr(trainer, "cap"):
        # Eq. 5's settings decided nothing: their defaults must not change a plain model's bytes.
        decisive = {name: value for name, value in decisive.items() if "diverge" not in name}
    # What is as it was before it could be set must not change a model's bytes either.
    decisive = {name: v for name, v in decisive.items() if LATER.get(name, UNSET) != v}
    if config.data_seed is None:
        # The order followed the seed, as it always did before there was a data seed.
        decisive = {name: value for name, value in decisive.items() if name != "data_seed"}
    # Sharded weights are gathered by all processes together; the first one writes.
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    state = trainer.accelerator.get_state_dict(trainer.model) if sharded else None
    if not trainer.args.should_save:
        return result
    trained, lora = trainer.accelerator.unwrap_model(trainer.model), config.lora
    if state is None:
        save.require_finite(trained.named_parameters())
        finished = finished_model(
            trained,
            Path(model),
            config.save_dtype,
            adapter=lora is not None,
            merge=lora is None or lora.merge,
        )
        trained = finished.model
        warning = loss_warning(finished.kept, config.save_dtype)
        result = replace(
            result,
            update_kept=finished.kept,
            remarks=(*result.remarks, *([warning] if warning else [])),
        )
    elif lora is not None and lora.merge:
        raise StageError("a sharded adapter cannot be merged; train it with lora merge off")
    save.write_model(
        trained,
        Path(model),
        out,
        config.save_dtype,
        training_record(result, decisive),
        adapter=lora is not None and not lora.merge,
        base=base,
        state=state,
        template=_own_template(trainer.processing_class),
    )
    return result


def training_record(result: TrainingResult, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored with the model: curves, shares and the parameters that decide them.

    No clock, no device, no number of threads: those belong to the run, not to the model.
    """
    shared = result.sharing
    return {
        "steps": result.steps,
        "tokens": result.tokens,
        "scored": result.scored,
        "scored_share": round(result.scored_share, 6),
        **({"one_pass": {"flat": shared.flat, "unique": shared.unique}} if shared else {}),
        "facts": dict(result.facts),
        # Weights that are stored as they were trained lose nothing, which goes without saying.
        **({"update_kept": dict(result.update_kept)} if result.update_kept else {}),
        "curves": {name: [list(point) for point in curve] for name, curve in result.curves.items()},
        "parameters": {name: value for name, value in parameters.items() if name not in OF_THE_RUN},
    }


def _own_template(tokenizer: Any) -> str | None:
    """The chat template to store, where it is another than the base model's files hold."""
    return tokenizer.chat_template if getattr(tokenizer, "template_changed", False) else None


def _arguments(rows: Sequence[SFTRow], config: SFTParams, work: Path) -> Any:
    if config.packing and config.curriculum:
        raise InputError(
            "packing puts conversations into sequences as they fit, which a curriculum would "
            "forbid; leave one of the two off"
        )
    more: dict[str, Any] = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    if config.packing:
        longest = max(row.length for row in rows)
        if config.pack_length and config.pack_length < longest:
            raise InputError(
                f"pack_length {config.pack_length} is less than the longest conversation "
                f"({longest} tokens); packing would cut it"
            )
        more = {"packing": True, "packing_strategy": "bfd"}
    arguments = trainer_args.arguments(SFTConfig, len(rows), config, work, **more)
    if config.packing:
        arguments.max_length = config.pack_length or longest
    return arguments


def _dataset(rows: Sequence[SFTRow]) -> Any:
    """Columns ``input_ids`` and ``labels``: a label is the token itself or ``IGNORED``."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in rows],
            "labels": [
                [
                    token if is_scored else IGNORED
                    for token, is_scored in zip(row.input_ids, row.agent_mask, strict=True)
                ]
                for row in rows
            ],
        }
    )
