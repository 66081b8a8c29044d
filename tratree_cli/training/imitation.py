"""Supervised training on the agent's words: Eq. 4 on demonstrations, Eq. 8 on searched paths.

TRL's trainer gets rows that are already tokens and labels, so the only text it can learn is the
text whose mask is 1. With a frozen model to diverge from, the same rows train the explorer (Eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models import devices, save
from tratree_cli.models.library_logging import quiet
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training import trainer_args
from tratree_cli.training.data import SFTRow
from tratree_cli.training.deterministic_trainer import SteadyTrainer, curves, prepare_work
from tratree_cli.training.params import Progress, SFTParams, TrainingResult, silent
from tratree_cli.training.scored_head import score_only_the_agent

from trl import SFTConfig, SFTTrainer  # isort: skip  (after quiet)

IGNORED = -100
"""Label of a token that enters no loss."""


class AgentSFTTrainer(SteadyTrainer, SFTTrainer):
    """TRL's SFT trainer on rows of tokens and labels."""


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
    with quiet(), devices.threads(config.threads), devices.enough_memory():
        prepare_work(work, rows, config, model)
        trainer = make_trainer(
            model=load_model(model, devices.weight_dtype(config), config.attention),
            args=_arguments(rows, config, work),
            train_dataset=_dataset(rows),
            processing_class=load_tokenizer(model),
            peft_config=trainer_args.lora_config(config.lora),
        )
        score_only_the_agent(trainer.model, trainer.args.device.type)
        if config.group_by_length and not config.packing:
            trainer.row_lengths = [row.length for row in rows]
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
    )
    decisive = asdict(config)
    if not hasattr(trainer, "cap"):
        # Eq. 5's settings decided nothing: their defaults must not change a plain model's bytes.
        decisive = {name: value for name, value in decisive.items() if "diverge" not in name}
    # Sharded weights are gathered by all processes together; the first one writes.
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    state = trainer.accelerator.get_state_dict(trainer.model) if sharded else None
    if trainer.args.should_save:
        save.write_model(
            trainer.accelerator.unwrap_model(trainer.model),
            Path(model),
            out,
            config.save_dtype,
            save.training_record(result, decisive),
            config.lora,
            base,
            state,
            _own_template(trainer.processing_class),
        )
    return result


def _own_template(tokenizer: Any) -> str | None:
    """The chat template to store, where it is another than the base model's files hold."""
    return tokenizer.chat_template if getattr(tokenizer, "template_changed", False) else None


def _arguments(rows: Sequence[SFTRow], config: SFTParams, work: Path) -> Any:
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
                    token if mine else IGNORED
                    for token, mine in zip(row.input_ids, row.agent_mask, strict=True)
                ]
                for row in rows
            ],
        }
    )
