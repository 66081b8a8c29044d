"""Log-probabilities of a frozen reference, computed once and kept as files (``ref-logps``).

DPO needs only the sum over the agent's tokens of each continuation, so no second model has to sit
beside the policy while it trains, and the reference may speak another tokenizer: each model scores
the same words in its own tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tratree_cli.errors import InputError
from tratree_cli.training.data import PairRow
from tratree_cli.training.params import Progress, silent

LOGPS_FILE = "ref-logps.safetensors"
SATURATED = 0.9
"""|beta * margin| above which the sigmoid's gradient is under a tenth: see ``saturated``."""


@dataclass(frozen=True)
class ReferenceLogps:
    """Summed log-probabilities (nats) of each pair's continuations: float32, shape (pairs,)."""

    chosen: npt.NDArray[np.float32]
    rejected: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.chosen)


def reference_logps(
    model: str | Path | Any,
    rows: Sequence[PairRow],
    batch: int = 8,
    threads: int = 1,
    progress: Progress = silent,
) -> ReferenceLogps:
    """Score ``rows`` (in the reference's own tokens) with ``model``, a folder or a loaded model.

    Rows are batched by length; sums do not depend on the batch beyond float noise (about 1e-5).
    """
    from tratree_cli.training import engine
    from tratree_cli.training.load import load_model
    from tratree_cli.training.quiet import quiet

    chosen = np.zeros(len(rows), dtype=np.float32)
    rejected = np.zeros(len(rows), dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].length, i))
    with quiet(), engine.threads(threads):
        scorer = load_model(model) if isinstance(model, str | Path) else model
        for start in range(0, len(order), batch):
            numbers = order[start : start + batch]
            sums = _sums(scorer, [rows[i] for i in numbers])
            chosen[numbers], rejected[numbers] = sums[: len(numbers)], sums[len(numbers) :]
            progress(min(start + batch, len(order)), len(order), {})
    return ReferenceLogps(chosen, rejected)


def with_reference(rows: Sequence[PairRow], reference: ReferenceLogps) -> list[PairRow]:
    """The rows with the reference's log-probabilities filled in."""
    if len(rows) != len(reference):
        raise InputError(
            f"the reference scored {len(reference)} pairs but there are {len(rows)}; score the "
            "same pairs with the same length policy"
        )
    return [
        replace(row, ref_chosen_logps=float(chosen), ref_rejected_logps=float(rejected))
        for row, chosen, rejected in zip(rows, reference.chosen, reference.rejected, strict=True)
    ]


def write_logps(reference: ReferenceLogps, folder: Path) -> None:
    """Write ``ref-logps.safetensors`` (equal sums, equal bytes)."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {"chosen": reference.chosen, "rejected": reference.rejected}, str(folder / LOGPS_FILE)
    )


def read_logps(folder: Path) -> ReferenceLogps:
    """Read what ``write_logps`` wrote."""
    from safetensors.numpy import load_file

    if not (folder / LOGPS_FILE).is_file():
        raise InputError(f"{folder} holds no {LOGPS_FILE}")
    arrays = load_file(str(folder / LOGPS_FILE))
    return ReferenceLogps(arrays["chosen"], arrays["rejected"])


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
