"""The diversity-seeking explorer (Eq. 5): imitate the demonstrations, but unlike an earlier model.

L = L_SFT - lambda * KL(policy || frozen), the KL taken token by token over the whole vocabulary at
the agent's positions. The KL has no upper bound, and a large enough one would
outweigh the demonstrations: beyond ``diverge_cap`` nats per token it is rewarded no further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_tokenizer, resolve_base
from tratree_cli.training import trainer_args
from tratree_cli.training.data import SFTRow
from tratree_cli.training.imitation import AgentSFTTrainer, train_sft
from tratree_cli.training.params import LOWER, Progress, SFTParams, TrainingResult, silent
from tratree_cli.training.scored_head import IGNORED, score_agent_positions, token_kl
from tratree_cli.training.trainer import TrainingTask

import torch  # isort: skip


class ExplorerTrainer(AgentSFTTrainer):
    """SFT minus the capped divergence from ``frozen``."""

    frozen: Any = None
    weight = 0.0
    cap = 0.0

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}
        scored = (batch["labels"][:, 1:] != IGNORED).sum()
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        policy = model(**batch, scored_logits=True)
        with torch.no_grad():
            frozen = self.frozen(**batch, scored_logits=True)
        divergence = token_kl(policy, frozen).mean()
        self._metrics["train"]["kl"].append(divergence.item())
        self._metrics["train"]["kl_capped"].append(float(divergence > self.cap))
        # The SFT loss of a micro-batch is a share of the step's; its bonus must be one as well.
        # Gradients are averaged over the processes, which the loss makes up for; so must the bonus.
        share = 1.0
        if num_items_in_batch is not None:
            processes = self.accelerator.num_processes
            share = processes * float(scored) / max(1.0, float(num_items_in_batch))
        return loss - self.weight * share * torch.clamp(divergence, max=self.cap)


def train(task: TrainingTask[SFTRow, SFTParams], progress: Progress = silent) -> TrainingResult:
    """``train_explorer`` as the registry of trainers calls it; the other model is the frozen one.

    Raises ``InputError`` where there is none.
    """
    if task.other is None:
        raise InputError("the explorer (Eq. 5) needs a model to diverge from")
    return train_explorer(
        task.model,
        task.rows,
        task.other,
        task.config,
        task.out,
        task.work,
        progress,
        task.base,
    )


def train_explorer(
    model: str | Path,
    rows: Sequence[SFTRow],
    frozen: str | Path,
    config: SFTParams,
    out: Path,
    work: Path,
    progress: Progress = silent,
    base: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train ``model`` by Eq. 5 against the model in ``frozen``; the KL is a curve of the result.

    Raises ``InputError`` when the two differ in tokenizer (distributions over different tokens
    cannot be compared) or when packing is asked for.
    """
    if config.packing:
        raise InputError("--diverge-from does not go with packing; switch one of them off")
    if resolve_base(str(frozen)).identity == resolve_base(str(model)).identity:
        raise InputError(
            f"--diverge-from {frozen} is the model that is trained; name an earlier explorer"
        )
    if load_tokenizer(frozen).get_vocab() != load_tokenizer(model).get_vocab():
        raise InputError(
            f"--diverge-from {frozen} has another tokenizer than the trained model; Eq. 5 compares "
            "their distributions token by token, so both must share one"
        )

    # Before there are processes that know of each other: with FSDP all but the first would be
    # given empty weights to be filled by the sharding, which this model never sees.
    with silence_libraries(), devices.explain_out_of_memory(LOWER):
        frozen_model = trainer_args.load_to_train(frozen, config)

    def make_trainer(**options: Any) -> ExplorerTrainer:
        trainer = ExplorerTrainer(**options)
        trainer.frozen = frozen_model.to(trainer.args.device).requires_grad_(False)
        score_agent_positions(trainer.frozen, trainer.args.device.type)
        trainer.weight, trainer.cap = config.diverge_weight, config.diverge_cap
        return trainer

    return train_sft(model, rows, config, out, work, progress, base, make_trainer)
