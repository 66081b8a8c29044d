"""Preference training on trajectory pairs (Eq. 6) with TRL's DPO trainer.

The trainer gets tokens and masks: observations inside a continuation count neither for the policy
nor for the reference. The reference's log-probabilities are in the rows, so only the policy is in
memory, unless the explicit KL of Eq. 6 asks for a live reference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_tokenizer
from tratree_cli.training import trainer_args
from tratree_cli.training.data import PairRow
from tratree_cli.training.deterministic_trainer import DeterministicTrainer, prepare_work
from tratree_cli.training.imitation import finish
from tratree_cli.training.launch import SHARDED, STRATEGY
from tratree_cli.training.params import LOWER, DPOParams, Progress, TrainingResult, silent
from tratree_cli.training.reference import starting_point
from tratree_cli.training.scored_head import IGNORED, score_agent_positions, token_kl, weighted
from tratree_cli.training.trainer import TrainingTask
from tratree_cli.training.tree_packing.decision import decide
from tratree_cli.training.turn_weights import token_weights

import torch  # isort: skip  (after library_logging)
from trl import DPOConfig, DPOTrainer  # isort: skip
from trl.trainer.dpo_trainer import DataCollatorForPreference  # isort: skip

COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids", "chosen_mask", "rejected_mask")
REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
NLL_MASK = "nll_mask"
"""Where rows name the tokens of the NLL term."""
TOKEN_WEIGHTS = "token_weights"
"""Where a batch has the weights of its tokens, which the model's output head applies."""


@dataclass
class TrajectoryPreferenceCollator(DataCollatorForPreference):
    """TRL's collator with ``completion_mask`` narrowed to the agent's tokens.

    With a ``turn_discount`` a batch has the weights of its tokens, and with ``own_nll`` the tokens
    of the NLL term, which are the chosen continuation's where rows name none.
    """

    turn_discount: float = 0.0
    own_nll: bool = False

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        mask = torch.zeros_like(batch["completion_mask"])
        weights = torch.zeros(mask.shape)
        sides = [("chosen_mask", row) for row in examples]
        sides += [("rejected_mask", row) for row in examples]
        for number, (side, row) in enumerate(sides):
            start = len(row["prompt_ids"])
            mask[number, start : start + len(row[side])] = torch.tensor(row[side])
            if self.turn_discount:
                of_tokens = torch.tensor(token_weights(row[side], self.turn_discount))
                weights[number, start : start + len(row[side])] = of_tokens
        batch["completion_mask"] *= mask
        if self.turn_discount:
            batch[TOKEN_WEIGHTS] = weights
        if NLL_MASK in examples[0]:
            batch[NLL_MASK] = torch.zeros_like(mask)
            for number, row in enumerate(examples):
                batch[NLL_MASK][number, : len(row[NLL_MASK])] = torch.tensor(row[NLL_MASK])
        elif self.own_nll:
            batch[NLL_MASK] = batch["completion_mask"].clone()
            batch[NLL_MASK][len(examples) :] = 0
        return batch


def preference_collator(config: DPOParams, pad_token_id: int) -> TrajectoryPreferenceCollator:
    """The collator of a training."""
    return TrajectoryPreferenceCollator(
        pad_token_id=pad_token_id,
        turn_discount=config.turn_discount,
        own_nll=config.own_nll and config.nll_weight > 0,
    )


class WithNllTokens:
    """A model that also scores the tokens of the NLL term, which the preference does not see.

    One forward pass gives both: TRL is handed the log-probabilities of its own labels, and
    ``log_probs`` keeps all of them, shape (2 * pairs, length - 1), without the weights of tokens.
    """

    def __init__(self, model: Any, mask: torch.Tensor) -> None:
        self.model = model
        self.mask = mask
        self.log_probs: Any = None

    def __call__(
        self, *, labels: torch.Tensor, token_weights: torch.Tensor | None = None, **inputs: Any
    ) -> Any:
        everything = torch.where(self.mask.bool(), inputs["input_ids"], labels)
        outputs = self.model(labels=everything, **inputs)
        self.log_probs = outputs.log_probs
        own = replace(outputs, log_probs=outputs.log_probs * (labels[:, 1:] != IGNORED))
        return weighted(own, token_weights)

    def nll(self) -> torch.Tensor:
        """The negative log-likelihood (nats) of the tokens of the term, summed."""
        return -(self.log_probs * self.mask[:, 1:]).sum()


class TrajectoryDPOTrainer(DeterministicTrainer, DPOTrainer):
    """TRL's DPO trainer on rows of tokens, masks and reference log-probabilities."""

    explicit_kl = False
    preference_weight = 1.0
    nll_weight = 0.0
    """Of the NLL term over ``nll_mask``; a plain one is one of TRL's losses."""
    nll_per_pair = False

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = [*COLUMNS, *REFERENCE_COLUMNS, NLL_MASK]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        if REFERENCE_COLUMNS[0] in dataset.column_names:
            return dataset
        return super()._precompute_ref_logps(dataset, name, batch_size)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        mask = inputs.pop(NLL_MASK, None)
        scored = model if mask is None else WithNllTokens(model, mask)
        loss = super()._compute_loss(scored, inputs, return_outputs)
        if isinstance(scored, WithNllTokens):
            pairs, tokens = len(mask) // 2, mask[:, 1:].sum().clamp(min=1)
            over = pairs if self.nll_per_pair else tokens
            loss = loss + self.nll_weight * scored.nll() / over
        if not self.explicit_kl:
            return loss
        divergence = self._divergence(model, inputs)
        self._metrics["train"]["kl"].append(divergence.item())
        return loss + self.preference_weight * self.beta * divergence

    def weigh(self, config: DPOParams) -> None:
        """Take over the weights of the terms that TRL does not know."""
        self.explicit_kl = config.explicit_kl
        self.preference_weight = config.preference_weight
        self.nll_weight = config.nll_weight
        self.nll_per_pair = config.nll_per == "pair"

    def score_agent_positions(self, config: DPOParams) -> None:
        """Replace the heads of the policy and of a live reference (``scored_head``)."""
        for model in filter(None, (self.model, self.ref_model)):
            score_agent_positions(
                model,
                self.args.device.type,
                packing=self.packing,
                squares=config.use_weighting and model is self.model,
            )

    def _divergence(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """KL(policy || reference), Eq. 6's second term: mean over the agent's tokens, in nats."""
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        policy = model(**batch, labels=labels, scored_logits=True)
        with torch.no_grad():
            reference = self.ref_model(**batch, labels=labels, scored_logits=True)
        return token_kl(policy, reference).mean()


def train(task: TrainingTask[PairRow, DPOParams], progress: Progress = silent) -> TrainingResult:
    """``train_dpo`` as the registry of trainers calls it; the other model is a live reference."""
    return train_dpo(
        task.model,
        task.rows,
        task.config,
        task.out,
        task.work,
        progress,
        task.other,
        task.base,
    )


def train_dpo(
    model: str | Path,
    rows: Sequence[PairRow],
    config: DPOParams,
    out: Path,
    work: Path,
    progress: Progress = silent,
    reference: str | Path | None = None,
    base: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train ``model`` on pairs and write the result into ``out``.

    Every row carries the reference's log-probabilities (``reference.with_reference``), or
    ``reference`` names a model folder with the same tokenizer that is scored while training
    (slower; required by ``explicit_kl``). ``facts`` of the result says where the margins started
    (``reference.saturation_warning`` puts it into words). Errors are those of ``train_sft``.
    """
    if not rows:
        raise InputError("there is nothing to train on: no pairs were given")
    known = reference_known(rows, config, reference)
    with silence_libraries(), devices.threads(config.threads), devices.explain_out_of_memory(LOWER):
        prepare_work(work, rows, config, model)
        tokenizer = load_tokenizer(model)
        policy = trainer_args.load_to_train(model, config)
        facts = start_of(policy, rows, config) if known else {}
        trainer = TrajectoryDPOTrainer(
            model=policy,
            ref_model=live_reference(reference, tokenizer, config),
            args=preference_arguments(rows, config, work, known),
            train_dataset=_dataset(rows, known),
            data_collator=preference_collator(config, tokenizer.pad_token_id),
            processing_class=tokenizer,
            peft_config=trainer_args.lora_config(config.lora),
        )
        trainer.weigh(config)
        decision = decide(config, rows, policy)
        trainer.order_rows(rows, decision, config.group_by_length, config.curriculum)
        trainer.score_agent_positions(config)
        seconds, resumed = trainer_args.run(trainer, progress, sum(row.tokens for row in rows))
        return finish(trainer, model, rows, config, out, seconds, resumed, base, facts)


def reference_known(
    rows: Sequence[PairRow], config: DPOParams, reference: str | Path | None
) -> bool:
    """Whether the rows carry the reference's log-probabilities.

    Raises ``InputError`` where neither they nor a live reference are there, or it has to be live.
    """
    known = all(row.ref_chosen_logps is not None for row in rows)
    if not known and reference is None:
        raise InputError(
            "the pairs have no reference log-probabilities and no reference model was given"
        )
    if config.explicit_kl and reference is None:
        raise InputError(
            "--explicit-kl compares whole distributions, so it needs a live reference model with "
            "the same tokenizer; stored log-probabilities are not enough"
        )
    return known


def start_of(policy: Any, rows: Sequence[PairRow], config: DPOParams) -> dict[str, float]:
    """Where the margins start, unless the policy is yet to be cut into pieces that fit a GPU."""
    if os.environ.get(STRATEGY, "") in SHARDED:
        return {}
    policy.to(devices.own_device(config.device))
    return starting_point(policy, rows, config.beta, config.turn_discount)


def preference_arguments(rows: Sequence[Any], config: DPOParams, work: Path, known: bool) -> Any:
    """TRL's arguments; a loss of weight 0 is none of its losses, nor is an NLL term of our own."""
    losses, weights = [], []
    if config.preference_weight:
        losses, weights = [config.loss_type], [config.preference_weight]
    if config.nll_weight and not config.own_nll:
        losses, weights = [*losses, "sft"], [*weights, config.nll_weight]
    return trainer_args.arguments(
        DPOConfig,
        len(rows),
        config,
        work,
        beta=config.beta,
        loss_type=losses,
        loss_weights=weights,
        label_smoothing=config.label_smoothing,
        use_weighting=config.use_weighting and bool(losses),
        precompute_ref_log_probs=known,
    )


def live_reference(reference: str | Path | None, tokenizer: Any, config: DPOParams) -> Any:
    """The model behind ``reference``; ``InputError`` where it has another tokenizer."""
    if reference is None:
        return None
    if load_tokenizer(reference).get_vocab() != tokenizer.get_vocab():
        raise InputError(
            f"the reference {reference} has another tokenizer than the trained model; score the "
            "pairs with it beforehand (ref-logps) and train without --explicit-kl"
        )
    return trainer_args.load_to_train(reference, config)


def _dataset(rows: Sequence[PairRow], known: bool) -> Any:
    from datasets import Dataset

    columns = columns_of(rows, known)
    return Dataset.from_dict({name: [getattr(row, name) for row in rows] for name in columns})


def columns_of(rows: Sequence[PairRow], known: bool) -> tuple[str, ...]:
    """What the collator reads of each row."""
    marked = any(row.nll_mask for row in rows)
    return (*COLUMNS, *(REFERENCE_COLUMNS if known else ()), *((NLL_MASK,) if marked else ()))
