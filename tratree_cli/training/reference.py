"""Log-probabilities of a frozen reference, computed once and kept as files (``ref-logps``).

DPO needs only the sum over the agent's tokens of each continuation, so no second model has to be in
memory while the policy trains, and the reference may have another tokenizer: each model scores the
same words in its own tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.training.data import PairRow, encode_pair
from tratree_cli.training.lengths import LengthReport, without_exchanges
from tratree_cli.training.params import LOWER, Progress, TrainingParams, silent

LOGPS_FILE = "ref-logps.safetensors"
SATURATED = 4.0
"""A margin |beta * (difference of log-ratios)| beyond which under 2 % of the gradient is left."""
SAMPLE = 16
"""Pairs that are scored to know where a training starts."""


@dataclass(frozen=True)
class ReferenceLogps:
    """Summed log-probabilities (nats) of each pair's continuations.

    ``chosen`` and ``rejected`` (float32) are the sums, both of shape (pairs,). ``identities`` are
    the pairs' (``PairMessages.identity``), and ``removed`` says how many exchanges each was
    shortened by before it was scored. ``remarks`` are sentences about how, for people.
    """

    chosen: npt.NDArray[np.float32]
    rejected: npt.NDArray[np.float32]
    identities: Sequence[str]
    removed: Sequence[int]
    remarks: tuple[str, ...] = ()

    @staticmethod
    def empty() -> ReferenceLogps:
        """The scores of no pair."""
        return ReferenceLogps(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32), (), ())

    def __len__(self) -> int:
        return len(self.chosen)


def reference_logps(
    model: str | Path | Any,
    rows: Sequence[PairRow],
    batch: int = 8,
    threads: int = 1,
    progress: Progress = silent,
    config: TrainingParams | None = None,
    by_trees: bool = True,
) -> ReferenceLogps:
    """Score ``rows``, made with the reference's own tokenizer, with ``model`` (folder or loaded).

    What rows share is computed once (``tree_packing.frozen``); ``batch`` rows meet in a forward
    pass where the model cannot be computed so, or not ``by_trees``. Sums do not depend on it beyond
    float noise (about 1e-5). ``config`` says on which device and with what precision a folder's
    model is scored.
    """
    from tratree_cli.models import devices
    from tratree_cli.models.library_logging import silence_libraries
    from tratree_cli.models.load import load_model
    from tratree_cli.training.tree_packing.frozen import FrozenModel, pieces, summed_log_probs

    where = config or TrainingParams(device="cpu", dtype="float32")
    ids, masks = scored_sequences(rows)
    sums = np.zeros(len(ids), dtype=np.float32)
    with silence_libraries(), devices.threads(threads), devices.explain_out_of_memory(LOWER):
        scorer = model
        if isinstance(model, str | Path):
            scorer = load_model(
                model, devices.precision(where.device, where.dtype), where.attention
            )
            scorer.to(devices.choose_device(where.device))
        done = 0
        with FrozenModel(scorer, batch, by_trees) as frozen:
            for piece in pieces(ids, masks, frozen.tokens):
                summed_log_probs(frozen, piece, sums)
                done += len(piece.rows)
                progress(done // 2, len(rows), {})
    return ReferenceLogps(
        sums[: len(rows)],
        sums[len(rows) :],
        [row.identity for row in rows],
        [row.removed for row in rows],
        (frozen.remark,) if frozen.remark else (),
    )


def with_reference(rows: Sequence[PairRow], reference: ReferenceLogps) -> list[PairRow]:
    """The rows with the reference's log-probabilities filled in, matched by the pairs' words."""
    place = {identity: at for at, identity in enumerate(reference.identities)}
    missing = [number for number, row in enumerate(rows, 1) if row.identity not in place]
    if missing:
        raise InputError(
            f"the reference has no log-probabilities for {len(missing)} of {len(rows)} pairs "
            f"(first: pair {missing[0]}); score the same pairs, with a context that fits them"
        )
    return [
        replace(
            row,
            ref_chosen_logps=float(reference.chosen[place[row.identity]]),
            ref_rejected_logps=float(reference.rejected[place[row.identity]]),
        )
        for row in rows
    ]


def rows_as_scored(
    tokenizer: Any, pairs: Sequence[PairMessages], reference: ReferenceLogps
) -> tuple[list[PairRow], LengthReport]:
    """The policy's rows of the very words that the reference scored, with its log-probabilities.

    The reference was scored on what fits both models (``data.shared_pair_rows``); pairs that it
    left out are dropped and counted. ``InputError`` when none is left.
    """
    removed = dict(zip(reference.identities, reference.removed, strict=True))
    report = LengthReport()
    rows: list[PairRow] = []
    for number, pair in enumerate(pairs, start=1):
        identity = pair.identity
        if identity not in removed:
            report = replace(report, dropped=report.dropped + 1)
            continue
        count = removed[identity]
        prompt = without_exchanges(pair.prompt, pair.prefix, count)
        row = encode_pair(tokenizer, replace(pair, prompt=prompt), f"pair {number}")
        rows.append(replace(row, identity=identity, removed=count))
        report = report.with_row(row, count > 0)
    report.require_rows("pairs")
    return with_reference(rows, reference), report


def starting_point(policy: Any, rows: Sequence[PairRow], beta: float) -> dict[str, float]:
    """Where training starts, on up to ``SAMPLE`` pairs spread over the rows.

    ``initial_margin`` is the mean of beta * (log-ratio of the chosen - of the rejected), not zero
    when the reference is another model; ``initial_accuracy`` the share above zero and
    ``initial_saturated`` the share beyond ``SATURATED`` on either side.
    """
    sample = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    policy_logps = reference_logps(policy, sample)
    stored = np.array([[row.ref_chosen_logps, row.ref_rejected_logps] for row in sample])
    margins = beta * ((policy_logps.chosen - stored[:, 0]) - (policy_logps.rejected - stored[:, 1]))
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
            "pairs": np.frombuffer(
                bytes.fromhex("".join(reference.identities)), dtype=np.uint8
            ).reshape(len(reference), -1 if len(reference) else 0),
            "removed": np.array(reference.removed, dtype=np.int64),
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
    if "pairs" not in arrays:
        raise InputError(
            f"{folder} was written by an earlier version of tratree, which numbered the pairs; "
            "score them again (tratree train-strong does)"
        )
    identities = [row.tobytes().hex() for row in arrays["pairs"]]
    return ReferenceLogps(
        arrays["chosen"], arrays["rejected"], identities, arrays["removed"].tolist()
    )


def scored_sequences(rows: Sequence[PairRow]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and 0/1 masks of both sides, ``2 * len(rows)`` each: the chosen, the rejected."""
    ids = [row.prompt_ids + row.chosen_ids for row in rows]
    ids += [row.prompt_ids + row.rejected_ids for row in rows]
    masks = [[0] * len(row.prompt_ids) + row.chosen_mask for row in rows]
    masks += [[0] * len(row.prompt_ids) + row.rejected_mask for row in rows]
    return ids, masks
