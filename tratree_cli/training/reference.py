"""Log-probabilities of a frozen reference, computed once and kept as files (``ref-logps``).

DPO needs only the sum over the agent's tokens of each continuation, so no second model has to sit
beside the policy while it trains, and the reference may speak another tokenizer: each model scores
the same words in its own tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tratree_cli.errors import InputError
from tratree_cli.training.data import PairRow
from tratree_cli.training.params import Progress, TrainingParams, silent

LOGPS_FILE = "ref-logps.safetensors"
SATURATED = 4.0
"""A margin |beta * (difference of log-ratios)| beyond which under 2 % of the gradient is left."""
LOGITS = 1 << 28
"""Logits in memory at once while scoring (1 GiB in float32): vocabularies reach 150,000 words."""
SAMPLE = 16
"""Pairs that are scored to know where a training starts."""


@dataclass(frozen=True)
class ReferenceLogps:
    """Summed log-probabilities (nats) of each pair's continuations.

    ``chosen`` and ``rejected`` (float32) are the sums, ``numbers`` (int64) the pairs' places in
    what was handed in (by default 0, 1, 2, ...); all of shape (pairs,).
    """

    chosen: npt.NDArray[np.float32]
    rejected: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if len(self.numbers) == 0:
            object.__setattr__(self, "numbers", np.arange(len(self.chosen), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.chosen)


def reference_logps(
    model: str | Path | Any,
    rows: Sequence[PairRow],
    batch: int = 8,
    threads: int = 1,
    progress: Progress = silent,
    config: TrainingParams | None = None,
) -> ReferenceLogps:
    """Score ``rows``, made with the reference's own tokenizer, with ``model`` (folder or loaded).

    Rows are batched by length; sums do not depend on the batch beyond float noise (about 1e-5).
    ``config`` says on which device and with what precision a folder's model is scored.
    """
    from tratree_cli.models import devices
    from tratree_cli.models.library_logging import quiet
    from tratree_cli.models.load import load_model

    chosen = np.zeros(len(rows), dtype=np.float32)
    rejected = np.zeros(len(rows), dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].length, i))
    where = config or TrainingParams(device="cpu", dtype="float32")
    with quiet(), devices.threads(threads), devices.enough_memory():
        scorer = model
        if isinstance(model, str | Path):
            scorer = load_model(model, devices.precision(where), where.attention)
            scorer.to(devices.choose_device(where.device))
        if rows:
            batch = _rows_at_once(rows, scorer, batch)
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            sums = _sums(scorer, [rows[i] for i in places])
            chosen[places], rejected[places] = sums[: len(places)], sums[len(places) :]
            progress(min(start + batch, len(order)), len(order), {})
    return ReferenceLogps(chosen, rejected, np.array([row.number for row in rows], dtype=np.int64))


def with_reference(rows: Sequence[PairRow], reference: ReferenceLogps) -> list[PairRow]:
    """The rows with the reference's log-probabilities filled in, matched by pair number."""
    place = {int(number): at for at, number in enumerate(reference.numbers)}
    missing = [row.number for row in rows if row.number not in place]
    if missing:
        raise InputError(
            f"the reference has no log-probabilities for {len(missing)} of {len(rows)} pairs "
            f"(first: pair {missing[0] + 1}); score the same pairs, with a context that fits them"
        )
    return [
        replace(
            row,
            ref_chosen_logps=float(reference.chosen[place[row.number]]),
            ref_rejected_logps=float(reference.rejected[place[row.number]]),
        )
        for row in rows
    ]


def starting_point(policy: Any, rows: Sequence[PairRow], beta: float) -> dict[str, float]:
    """Where training starts, on up to ``SAMPLE`` pairs spread over the rows.

    ``initial_margin`` is the mean of beta * (log-ratio of the chosen - of the rejected), not zero
    when the reference is another model; ``initial_accuracy`` the share above zero and
    ``initial_saturated`` the share beyond ``SATURATED`` on either side.
    """
    sample = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    ours = reference_logps(policy, sample)
    theirs = np.array([[row.ref_chosen_logps, row.ref_rejected_logps] for row in sample])
    margins = beta * ((ours.chosen - theirs[:, 0]) - (ours.rejected - theirs[:, 1]))
    return {
        "initial_margin": round(float(margins.mean()), 6),
        "initial_accuracy": round(float((margins > 0).mean()), 6),
        "initial_saturated": round(float((np.abs(margins) > SATURATED).mean()), 6),
    }


def saturation_warning(facts: Mapping[str, float]) -> str | None:
    """A sentence when most pairs start where the loss has no slope left, else None."""
    share = facts.get("initial_saturated", 0.0)
    if share <= 0.5:
        return None
    return (
        f"{share:.0%} of the pairs start saturated (mean margin {facts['initial_margin']:+.1f}): "
        "policy and reference disagree so much that these pairs teach little; lower beta, or "
        "choose a reference nearer to the policy (--ref)"
    )


def write_logps(reference: ReferenceLogps, folder: Path) -> None:
    """Write ``ref-logps.safetensors`` (equal sums, equal bytes)."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "numbers": reference.numbers,
            "chosen": reference.chosen,
            "rejected": reference.rejected,
        },
        str(folder / LOGPS_FILE),
    )


def read_logps(folder: Path) -> ReferenceLogps:
    """Read what ``write_logps`` wrote."""
    from safetensors.numpy import load_file

    if not (folder / LOGPS_FILE).is_file():
        raise InputError(f"{folder} holds no {LOGPS_FILE}")
    arrays = load_file(str(folder / LOGPS_FILE))
    return ReferenceLogps(arrays["chosen"], arrays["rejected"], arrays["numbers"])


def _rows_at_once(rows: Sequence[PairRow], model: Any, most: int) -> int:
    """So many that the logits of both sides of each fit ``LOGITS``; one at least."""
    each = 2 * max(row.length for row in rows) * int(model.config.get_text_config().vocab_size)
    return max(1, min(most, LOGITS // each))


def _sums(model: Any, rows: Sequence[PairRow]) -> npt.NDArray[np.float32]:
    """Sums for the chosen, then the rejected continuations; shape (2 * len(rows),)."""
    import torch

    ids, masks = zip(*_sequences(rows), strict=True)
    width = max(map(len, ids))
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in ids])
    scored = torch.tensor([row + [0] * (width - len(row)) for row in masks])
    attention = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = model(
            input_ids=tokens.to(device), attention_mask=attention.to(device), use_cache=False
        ).logits[:, :-1]
        picked = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2).float(), tokens[:, 1:].to(device), reduction="none"
        )
    sums = -(picked.cpu() * scored[:, 1:]).sum(dim=1)
    return np.asarray(sums.numpy(), dtype=np.float32)


def _sequences(rows: Sequence[PairRow]) -> Iterator[tuple[list[int], list[int]]]:
    for row in rows:
        yield row.prompt_ids + row.chosen_ids, [0] * len(row.prompt_ids) + row.chosen_mask
    for row in rows:
        yield row.prompt_ids + row.rejected_ids, [0] * len(row.prompt_ids) + row.rejected_mask
