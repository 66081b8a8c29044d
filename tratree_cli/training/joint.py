"""Imitation and preference in every optimizer step: lambda * NLL(e*) + mu * DPO(pairs).

DPO by itself shifts what the model says anywhere; the likelihood of good paths in the same step
keeps it in form, so that the preference can be learnt at the rate and over the steps of imitation.
The DPO loss is TRL's (Eq. 6), the NLL is Eq. 8's mean over the agent's tokens of the step's paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_tokenizer
from tratree_cli.training import trainer_args
from tratree_cli.training.curriculum import same_everywhere
from tratree_cli.training.data import PairRow, SFTRow
from tratree_cli.training.deterministic_trainer import prepare_work
from tratree_cli.training.imitation import finish
from tratree_cli.training.joint_batches import JointBatch, joint_batches
from tratree_cli.training.params import LOWER, JointParams, Progress, TrainingResult, silent
from tratree_cli.training.preference import (
    TrajectoryDPOTrainer,
    TrajectoryPreferenceCollator,
    columns_of,
    live_reference,
    preference_arguments,
    preference_collator,
    reference_known,
    start_of,
)
from tratree_cli.training.scored_head import IGNORED
from tratree_cli.training.trainer import TrainingTask
from tratree_cli.training.tree_packing.decision import Decision, decide

import torch  # isort: skip  (after library_logging)

PATHS, TOKENS = "paths", "tokens"


@dataclass
class JointCollator:
    """The tensors of a ``JointBatch``: those of pairs as DPO has them, paths under ``paths``."""

    paths: Sequence[SFTRow]
    pairs: Sequence[dict[str, Any]]
    preference: TrajectoryPreferenceCollator

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        (planned,) = examples
        pairs = [dict(self.pairs[row]) for row in planned["pairs"]]
        paths = [self.paths[row] for row in planned["paths"]]
        batch: dict[str, Any] = self.preference(pairs) if pairs else {}
        if paths:
            batch[PATHS] = self._path_tensors(paths)
        return {**batch, TOKENS: planned["tokens"]}

    def _path_tensors(self, rows: Sequence[SFTRow]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``attention_mask`` and ``labels`` of shape (paths, longest)."""
        shape = (len(rows), max(row.length for row in rows))
        ids = torch.full(shape, self.preference.pad_token_id)
        attention, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
        for number, row in enumerate(rows):
            own, mask = torch.tensor(row.input_ids), torch.tensor(row.agent_mask)
            ids[number, : row.length] = own
            attention[number, : row.length] = 1
            labels[number, : row.length] = own.masked_fill(mask == 0, IGNORED)
        return {"input_ids": ids, "attention_mask": attention, "labels": labels}


class JointTrainer(TrajectoryDPOTrainer):
    """TRL's DPO trainer with the NLL of paths in the same step; a row of its data is a batch."""

    imitation_weight = 1.0

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["paths", "pairs", "tokens"]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: batches are no tensors of one model input."""
        return 0

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        paths, tokens = inputs.pop(PATHS, None), inputs.pop(TOKENS)
        loss = torch.zeros((), device=self.args.device)
        if inputs:
            preference = super()._compute_loss(model, inputs, return_outputs)
            self._metrics["train"]["preference"].append(float(preference))
            loss = loss + preference
        if paths is not None and self.imitation_weight:
            summed = -model(**paths, use_cache=False, fused_lm_head=True).log_probs.sum()
            self._metrics["train"]["nll"].append(summed.item() / _scored(paths))
            # Gradients are averaged over the passes of an update and over the processes; the mean
            # per token is one over all of them.
            passes = self.args.gradient_accumulation_steps * self.accelerator.num_processes
            loss = loss + self.imitation_weight * passes * summed / tokens
        return loss


def _scored(paths: dict[str, torch.Tensor]) -> int:
    return int((paths["labels"][:, 1:] != IGNORED).sum())


def train(task: TrainingTask[SFTRow, JointParams], progress: Progress = silent) -> TrainingResult:
    """Train on the paths (``rows``) and ``pairs`` of ``task``, as the registry calls it.

    Without pairs it is imitation. Raises ``InputError`` for no paths, and for pairs without a
    reference like ``train_dpo``; ``StageError`` when the loss diverges.
    """
    rows, pairs, config = task.rows, task.pairs, task.config
    if not rows:
        raise InputError("there is nothing to imitate: no paths were given")
    if not (config.preference_weight or config.nll_weight):
        pairs = ()
    known = reference_known(pairs, config, task.other) if pairs else True
    with silence_libraries(), devices.threads(config.threads), devices.explain_out_of_memory(LOWER):
        prepare_work(task.work, [*rows, *pairs], config, task.model)
        tokenizer = load_tokenizer(task.model)
        policy = trainer_args.load_to_train(task.model, config)
        facts = start_of(policy, pairs, config) if pairs and known else {}
        planned = joint_batches(rows, pairs, config, trainer_args.world_size())
        decision = _decision(pairs, config, policy)
        trainer = JointTrainer(
            model=policy,
            ref_model=live_reference(task.other if pairs else None, tokenizer, config),
            args=_arguments(planned, config, task.work, known),
            train_dataset=_dataset(planned),
            data_collator=JointCollator(
                rows,
                [
                    {name: getattr(pair, name) for name in columns_of(pairs, known)}
                    for pair in pairs
                ],
                preference_collator(config, tokenizer.pad_token_id),
            ),
            processing_class=tokenizer,
            peft_config=trainer_args.lora_config(config.lora),
        )
        trainer.weigh(config)
        trainer.imitation_weight = config.imitation_weight
        trainer.sharing = decision.sharing
        orders = ((rows, config.path_curriculum), (pairs, config.curriculum))
        remarks = [decision.remark, *(same_everywhere(*order) for order in orders)]
        trainer.remarks += filter(None, remarks)
        trainer.score_agent_positions(config)
        drawn = [rows[row] for batch in planned for row in batch.paths]
        drawn_pairs = [pairs[row] for batch in planned for row in batch.pairs]
        read: list[SFTRow | PairRow] = [*drawn, *drawn_pairs]
        seconds, resumed = trainer_args.run(trainer, progress, sum(row.tokens for row in read))
        return finish(
            trainer, task.model, read, config, task.out, seconds, resumed, task.base, facts
        )


def _decision(pairs: Sequence[PairRow], config: JointParams, policy: Any) -> Decision:
    """Whether rows are packed: for what the two sides of a pair share, as pairs come shuffled."""
    return decide(replace(config, batch_size=1), pairs, policy) if pairs else Decision()


def _arguments(planned: Sequence[JointBatch], config: JointParams, work: Path, known: bool) -> Any:
    """One row of the data is a whole batch, and one pass over it the whole training."""
    updates = len(planned) // (config.accumulation * trainer_args.world_size())
    as_rows = replace(config, batch_size=1, epochs=1.0, max_steps=updates)
    return preference_arguments(planned, as_rows, work, known)


def _dataset(planned: Sequence[JointBatch]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "paths": [list(batch.paths) for batch in planned],
            "pairs": [list(batch.pairs) for batch in planned],
            "tokens": [batch.tokens for batch in planned],
        }
    )
