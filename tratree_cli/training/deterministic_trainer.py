"""TRL's trainers made deterministic: a fixed order of rows, the same bytes after a kill.

``DeterministicTrainer`` is mixed into a TRL trainer and adds what a pipeline needs around the loss,
which stays TRL's. The order of rows is a function of seed and epoch alone, never of what ran
before, and a loss that is not finite or keeps growing stops the training.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tratree_cli.training.libraries  # noqa: F401  (before the libraries below)

import torch  # isort: skip
from transformers import Trainer, TrainerCallback  # isort: skip

from tratree_cli.errors import StageError
from tratree_cli.models.save import first_bad_weight
from tratree_cli.training.curriculum import RowsByDifficulty, difficulty, same_everywhere
from tratree_cli.training.data import PairRow, SFTRow, dataset_fingerprint
from tratree_cli.training.params import Progress, Sharing, TrainingParams
from tratree_cli.training.tree_packing.decision import Decision

CURVES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "mean_token_accuracy": "token_accuracy",
    "kl": "kl",
    "kl_capped": "kl_capped",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "logps/chosen": "logps_chosen",
    "logps/rejected": "logps_rejected",
    "nll": "nll",
    "preference": "preference",
}
"""Measures that are kept, by the trainers' names for them. None of them reads a clock."""

EXPLODED = 10.0
"""A loss this many times the first one (or 1, if that is more) is out of bounds."""
PATIENCE = 3
"""Steps in a row that a loss must be out of bounds to be called exploding: one batch of long pairs,
which two models disagree about, is no explosion."""


class BatchesByLength(torch.utils.data.Sampler[int]):
    """Row numbers such that rows of similar length meet in a batch, in an order of seed and epoch.

    Padding is most of the waste on a CPU. Rows are shuffled, sorted by length within windows of
    several batches, and the batches are shuffled again so that no epoch ends on short rows.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, window: int = 16) -> None:
        self.lengths = lengths
        self.batch = batch
        self.seed = seed
        self.window = window * batch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        rows = torch.randperm(len(self.lengths), generator=generator).tolist()
        batches: list[list[int]] = []
        for start in range(0, len(rows), self.window):
            near = sorted(rows[start : start + self.window], key=lambda row: -self.lengths[row])
            batches += [near[at : at + self.batch] for at in range(0, len(near), self.batch)]
        # The one short batch stays last, where the loader expects it.
        whole = [batch for batch in batches if len(batch) == self.batch]
        rest = [batch for batch in batches if len(batch) != self.batch]
        order = torch.randperm(len(whole), generator=generator).tolist()
        for batch in [whole[number] for number in order] + rest:
            yield from batch


class BatchesByTree(torch.utils.data.Sampler[int]):
    """Row numbers with the rows of one tree side by side, trees in an order of seed and epoch.

    What rows of a tree share is computed once for those that meet in a batch.
    """

    def __init__(self, trees: Sequence[str], seed: int) -> None:
        self.rows: dict[str, list[int]] = {}
        for number, tree in enumerate(trees):
            self.rows.setdefault(tree, []).append(number)
        self.size = len(trees)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        trees = list(self.rows.values())
        for number in torch.randperm(len(trees), generator=generator).tolist():
            yield from trees[number]


class DeterministicTrainer(Trainer):
    """Mixed into a TRL trainer: stops on a bad loss, orders the rows, writes and sends nothing."""

    row_lengths: Sequence[int] | None = None
    row_trees: Sequence[str] | None = None
    """The tree of each row: rows of one tree stay together (``BatchesByTree``)."""
    row_difficulty: Sequence[float] | None = None
    """How hard each row is, where a curriculum orders them."""
    sharing: Sharing | None = None
    """What one pass over the rows shares, where they are packed."""
    first_loss: float | None = None
    out_since: tuple[int, float] | None = None
    """Since which step the loss is out of bounds, and what it was there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.remarks: list[str] = []
        """Sentences about how it trained, for the result."""

    def order_rows(
        self,
        rows: Sequence[SFTRow] | Sequence[PairRow],
        decision: Decision,
        by_length: bool,
        curriculum: str = "",
    ) -> None:
        """Rows of a tree side by side where they are packed, else (``by_length``) equal lengths.

        A ``curriculum`` comes before both.
        """
        self.sharing = decision.sharing
        self.remarks += [decision.remark] if decision.remark else []
        if curriculum:
            self.row_difficulty = difficulty(rows, curriculum)
            unordered = same_everywhere(rows, curriculum)
            self.remarks += [unordered] if unordered else []
        elif decision:
            self.row_trees = [row.tree for row in rows]
        elif by_length:
            self.row_lengths = [row.length for row in rows]

    @property
    def packing(self) -> Callable[[str], None] | None:
        """Whom to tell why rows are not packed after all; None where they never were to be."""
        return self.remarks.append if self.sharing is not None else None

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        # Before the optimizer acts on it: the weights are still those of the last step.
        loss = super().training_step(*args, **kwargs)
        value = float(loss) * self.args.gradient_accumulation_steps
        if self.first_loss is None:
            self.first_loss = next(_values(self.state.log_history, "loss"), value)
        step = self.state.global_step
        if not math.isfinite(value):
            raise StageError(_divergence_message(f"the loss became {value}", step, self.args))
        if value <= EXPLODED * max(self.first_loss, 1.0):
            self.out_since = None
        elif self.out_since is None:
            self.out_since = (step, value)
        elif step - self.out_since[0] >= PATIENCE - 1:
            step, value = self.out_since
            change = f"the loss grew from {self.first_loss:.3g} to {value:.3g} and stayed there"
            raise StageError(_divergence_message(change, step, self.args))
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.row_difficulty is not None:
            return RowsByDifficulty(self.row_difficulty, self.args.data_seed)
        if self.row_trees is not None:
            return BatchesByTree(self.row_trees, self.args.data_seed)
        if self.row_lengths is None:
            return super()._get_train_sampler(train_dataset)
        return BatchesByLength(self.row_lengths, self.args.train_batch_size, self.args.data_seed)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        # Gradients may overflow one step before the loss shows it, and what follows a loss that is
        # out of bounds is in doubt: the last good checkpoint has to stay the last one.
        if self.out_since is not None:
            return
        bad = first_bad_weight(self.model.named_parameters())
        if bad is not None:
            raise StageError(
                _divergence_message(
                    f"the weight {bad} is not finite", self.state.global_step, self.args
                )
            )
        super()._save_checkpoint(*args, **kwargs)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No README: it would carry dates and the names of folders."""

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine unasked."""


class ProgressCallback(TrainerCallback):
    """Reports each step with what a person watches: loss, margin, accuracy, KL, tokens a second.

    ``tokens`` is the number of tokens in one pass over the rows, ``sharing`` what they share there.
    """

    def __init__(self, progress: Progress, tokens: int, sharing: Sharing | None = None) -> None:
        self.progress = progress
        self.sharing = sharing
        self.tokens = tokens
        self.facts: dict[str, float] = {}
        self.begun = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.begun = (time.monotonic(), state.epoch or 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            spent = max(time.monotonic() - self.begun[0], 1e-9)
            speed = (state.epoch - self.begun[1]) * self.tokens / spent
            told = {**self.facts, "tokens/s": speed, **_of_sharing(self.sharing, spent)}
            self.progress(state.global_step, state.max_steps, told)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        logs = logs or {}
        watched = ("loss", "kl", "rewards/margins", "rewards/accuracies")
        measured = {CURVES[name]: float(logs[name]) for name in watched if name in logs}
        self.facts = measured or self.facts


def _of_sharing(sharing: Sharing | None, spent: float) -> dict[str, float]:
    """What is told of rows that are computed as trees, after so many seconds.

    The seconds saved are those of the other tokens at the same seconds a token, so at most.
    """
    if sharing is None:
        return {}
    saved = spent * (sharing.ratio - 1)
    return {"shared": sharing.ratio, "distinct": sharing.unique, "seconds saved": saved}


def _divergence_message(what: str, step: int, args: Any) -> str:
    # The checkpoint of this step may hold the very weights whose loss is bad: it is not a good one.
    shutil.rmtree(Path(args.output_dir) / f"checkpoint-{step}", ignore_errors=True)
    kept = last_checkpoint(Path(args.output_dir))
    where = f"the last good state is kept in {kept}" if kept else "no checkpoint was written before"
    return f"{what} at step {step + 1}: {where}; lower learning_rate or raise warmup"


def prepare_work(
    work: Path,
    rows: Sequence[SFTRow | PairRow],
    config: TrainingParams,
    model: str | Path,
) -> None:
    """Make ``work`` ready; checkpoints that another training left there are removed.

    Of several processes the first does it; the others meet it again when training starts.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    checkpoints, mark = work / "checkpoints", work / "checkpoints.key"
    # Who watches, and under what name, makes it no other training.
    decides = asdict(replace(config, track=(), run_name=""))
    key = {
        "rows": dataset_fingerprint(rows),
        "config": decides,
        "model": str(Path(model).resolve()),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    if checkpoints.exists() and (not mark.is_file() or mark.read_text() != digest):
        shutil.rmtree(checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    mark.write_text(digest)


def last_checkpoint(checkpoints: Path) -> Path | None:
    """The newest complete checkpoint; ``trainer_state.json`` is written last of all."""
    numbered = sorted(
        (int(path.name.rpartition("-")[2]), path) for path in checkpoints.glob("checkpoint-*")
    )
    for _, path in reversed(numbered):
        try:
            json.loads((path / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        return path
    return None


def curves(trainer: Any) -> dict[str, list[tuple[int, float]]]:
    """(step, value) points of the measures in ``CURVES``."""
    points: dict[str, list[tuple[int, float]]] = {}
    for record in trainer.state.log_history:
        for name, ours in CURVES.items():
            if name in record:
                points.setdefault(ours, []).append((record["step"], round(float(record[name]), 8)))
    return points


def _values(history: Sequence[Mapping[str, Any]], name: str) -> Iterator[float]:
    return (float(record[name]) for record in history if name in record)
