"""Log-probabilities of a frozen reference, computed once and kept as files (``ref-logps``).

DPO needs only the sum over the agent's tokens of each continuation, so no second model has to be in
memory while the policy trains, and the reference may have another tokenizer: each model scores the
same words in its own tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.training.data import PairRow, encode_pair
from tratree_cli.training.lengths import LengthReport, without_exchanges
from tratree_cli.training.params import LOWER, Progress, Sharing, TrainingParams, silent
from tratree_cli.training.turn_weights import discounts, turn_lengths

LOGPS_FILE = "ref-logps.safetensors"
SATURATED = 4.0
"""A margin |beta * (difference of log-ratios)| beyond which under 2 % of the gradient is left."""


@dataclass(frozen=True)
class ReferenceLogps:
    """Summed log-probabilities (nats) of each pair's continuations.

    ``chosen`` and ``rejected`` (float32) are the sums, both of shape (pairs,); ``chosen_turn`` and
    ``rejected_turn`` are those over the continuations' first turns, where they are known.
    ``identities`` are the pairs' (``PairMessages.identity``), and ``removed`` says how many
    exchanges each was shortened by before it was scored. ``remarks`` are sentences about how, for
    people. ``chosen_turns`` and ``rejected_turns`` are the sums over each turn by itself, an array
    of shape (turns,) for each pair, where these were asked for. ``sharing`` is what the rows
    shared, None where they were computed one by one; neither it nor the remarks are stored.
    """

    chosen: npt.NDArray[np.float32]
    rejected: npt.NDArray[np.float32]
    identities: Sequence[str]
    removed: Sequence[int]
    remarks: tuple[str, ...] = ()
    chosen_turn: npt.NDArray[np.float32] | None = None
    rejected_turn: npt.NDArray[np.float32] | None = None
    chosen_turns: Sequence[npt.NDArray[np.float32]] | None = None
    rejected_turns: Sequence[npt.NDArray[np.float32]] | None = None
    sharing: Sharing | None = None

    @staticmethod
    def empty() -> ReferenceLogps:
        """The scores of no pair."""
        none = np.zeros(0, dtype=np.float32)
        return ReferenceLogps(none, none, (), (), (), none, none, (), ())

    def discounted(self, discount: float) -> ReferenceLogps:
        """With sums in which each turn has its weight of DMPO (``turn_weights.discounts``).

        Raises ``InputError`` where turns were not scored by themselves.
        """
        if not discount:
            return self
        if self.chosen_turns is None or self.rejected_turns is None:
            raise InputError(
                "the reference's scores are sums over all turns, and dpo.turn_discount weighs each "
                "turn by itself; score the pairs again (tratree train-strong does)"
            )
        return replace(
            self,
            chosen=_discounted(self.chosen_turns, discount),
            rejected=_discounted(self.rejected_turns, discount),
        )

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
    by_turn: bool = False,
) -> ReferenceLogps:
    """Score ``rows``, made with the reference's own tokenizer, with ``model`` (folder or loaded).

    What rows share is computed once (``tree_packing.frozen``); ``batch`` rows meet in a forward
    pass where the model cannot be computed so, or not ``by_trees``. Sums do not depend on it beyond
    float noise (about 1e-5). ``config`` says on which device and with what precision a folder's
    model is scored. ``by_turn`` keeps the sums of the single turns as well.
    """
    from tratree_cli.models import devices
    from tratree_cli.models.held import held_dtype
    from tratree_cli.models.library_logging import silence_libraries
    from tratree_cli.models.load import load_model
    from tratree_cli.training.tree_packing.frozen import (
        FrozenModel,
        pieces,
        sharing_of,
        summed_log_probs,
    )

    where = config or TrainingParams(device="cpu", dtype="float32")
    ids, masks = scored_sequences(rows)
    turns = [turn_lengths(mask) for mask in masks]
    sums = np.zeros((2, len(ids)), dtype=np.float32)
    single: list[npt.NDArray[np.float32]] = [sums[0, :0]] * len(ids)
    with silence_libraries(), devices.threads(threads), devices.explain_out_of_memory(LOWER):
        scorer = model
        if isinstance(model, str | Path):
            kind = held_dtype(Path(model), devices.precision(where.device, where.dtype))
            scorer = load_model(model, kind, where.attention)
            scorer.to(devices.choose_device(where.device))
        with FrozenModel(scorer, batch, by_trees) as frozen:
            cut = pieces(ids, masks, frozen.tokens)
            for piece, sides in zip(cut, accumulate(len(p.rows) for p in cut), strict=True):
                found = summed_log_probs(frozen, piece, sums, turns)
                for row, of_turns in zip(piece.rows, found, strict=True):
                    single[row] = of_turns.astype(np.float32)
                progress(sides // 2, len(rows), {})  # a pair has two sides, in any two pieces
    (chosen, chosen_turn), (rejected, rejected_turn) = sums[:, : len(rows)], sums[:, len(rows) :]
    return ReferenceLogps(
        chosen,
        rejected,
        [row.identity for row in rows],
        [row.removed for row in rows],
        (frozen.remark,) if frozen.remark else (),
        chosen_turn,
        rejected_turn,
        single[: len(rows)] if by_turn else None,
        single[len(rows) :] if by_turn else None,
        sharing=sharing_of(ids, cut) if frozen.packing else None,
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

    def score(values: npt.NDArray[np.float32] | None, row: PairRow) -> float | None:
        return None if values is None else float(values[place[row.identity]])

    return [
        replace(
            row,
            ref_chosen_logps=score(reference.chosen, row),
            ref_rejected_logps=score(reference.rejected, row),
            ref_chosen_turn_logps=score(reference.chosen_turn, row),
            ref_rejected_turn_logps=score(reference.rejected_turn, row),
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


def starting_point(
    policy: Any, rows: Sequence[PairRow], beta: float, turn_discount: float = 0.0
) -> dict[str, float]:
    """Where training starts, over all rows; rounded to six places.

    The margin of a pair is beta * (log-ratio of the chosen - of the rejected), not zero when the
    reference is another model. ``initial_margin`` is its mean, ``initial_accuracy`` the share above
    zero and ``initial_saturated`` the share beyond ``SATURATED`` on either side.
    ``initial_preferred`` is the share of pairs whose chosen first turn is likelier than the
    rejected one under the policy alone: those it already prefers.
    ``margin_variance_after_first_turn`` is cov(margin of all later turns, margin) / var(margin), so
    that the first turns' share and this one are 1 together; 0 where no margin differs. It is left
    out where the reference's scores of the first turns are not known. With a ``turn_discount`` the
    margin is that of the weighed turns, in the rows' reference as well; a first turn has weight 1.
    """
    scored = reference_logps(policy, rows, by_turn=turn_discount > 0).discounted(turn_discount)
    assert scored.chosen_turn is not None and scored.rejected_turn is not None, "it was just scored"
    stored = np.array([[row.ref_chosen_logps, row.ref_rejected_logps] for row in rows])
    margins = beta * ((scored.chosen - stored[:, 0]) - (scored.rejected - stored[:, 1]))
    facts = {
        "initial_margin": float(margins.mean()),
        "initial_accuracy": float((margins > 0).mean()),
        "initial_saturated": float((np.abs(margins) > SATURATED).mean()),
        "initial_preferred": float((scored.chosen_turn > scored.rejected_turn).mean()),
    }
    turns = [[row.ref_chosen_turn_logps, row.ref_rejected_turn_logps] for row in rows]
    if all(value is not None for row in turns for value in row):
        known = np.array(turns, dtype=np.float64)
        first = (scored.chosen_turn - known[:, 0]) - (scored.rejected_turn - known[:, 1])
        facts["margin_variance_after_first_turn"] = _share_after(beta * first, margins)
    return {name: round(value, 6) for name, value in facts.items()}


def _share_after(
    first: npt.NDArray[np.floating[Any]], whole: npt.NDArray[np.floating[Any]]
) -> float:
    """cov(whole - first, whole) / var(whole), 0 where ``whole`` is constant."""
    centred = whole - whole.mean()
    rest = whole - first
    spread = float((centred**2).sum())
    return float(((rest - rest.mean()) * centred).sum()) / spread if spread > 0 else 0.0


def preferred(scores: ReferenceLogps, margin: float) -> frozenset[str]:
    """The identities of pairs whose chosen first turn is likelier by more than ``margin`` nats."""
    assert scores.chosen_turn is not None and scores.rejected_turn is not None, "no first turns"
    likelier = scores.chosen_turn - scores.rejected_turn > margin
    return frozenset(
        identity for identity, yes in zip(scores.identities, likelier, strict=True) if yes
    )


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
    """Write ``ref-logps.safetensors`` (equal sums, equal bytes).

    The sums of single turns lie one pair after the other, beside each pair's number of them.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    turns = {"chosen_turn": reference.chosen_turn, "rejected_turn": reference.rejected_turn}
    save_file(
        {
            "pairs": np.frombuffer(
                bytes.fromhex("".join(reference.identities)), dtype=np.uint8
            ).reshape(len(reference), -1 if len(reference) else 0),
            "removed": np.array(reference.removed, dtype=np.int64),
            "chosen": reference.chosen,
            "rejected": reference.rejected,
            **{name: values for name, values in turns.items() if values is not None},
            **_single_turns("chosen", reference.chosen_turns),
            **_single_turns("rejected", reference.rejected_turns),
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
        arrays["chosen"],
        arrays["rejected"],
        identities,
        arrays["removed"].tolist(),
        chosen_turn=arrays.get("chosen_turn"),
        rejected_turn=arrays.get("rejected_turn"),
        chosen_turns=_split_turns("chosen", arrays),
        rejected_turns=_split_turns("rejected", arrays),
    )


def _single_turns(
    side: str, turns: Sequence[npt.NDArray[np.float32]] | None
) -> dict[str, npt.NDArray[Any]]:
    if turns is None:
        return {}
    return {
        f"{side}_turns": np.concatenate([np.zeros(0, np.float32), *turns]),
        f"{side}_turn_counts": np.array([len(one) for one in turns], dtype=np.int64),
    }


def _split_turns(
    side: str, arrays: Mapping[str, npt.NDArray[Any]]
) -> list[npt.NDArray[np.float32]] | None:
    if f"{side}_turns" not in arrays:
        return None
    ends = np.cumsum(arrays[f"{side}_turn_counts"])
    return np.split(arrays[f"{side}_turns"], ends[:-1]) if len(ends) else []


def _discounted(
    turns: Sequence[npt.NDArray[np.float32]], discount: float
) -> npt.NDArray[np.float32]:
    sums = [float(np.dot(one, discounts(len(one), discount))) for one in turns]
    return np.array(sums, dtype=np.float32)


def scored_sequences(rows: Sequence[PairRow]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and 0/1 masks of both sides, ``2 * len(rows)`` each: the chosen, the rejected."""
    ids = [row.prompt_ids + row.chosen_ids for row in rows]
    ids += [row.prompt_ids + row.rejected_ids for row in rows]
    masks = [[0] * len(row.prompt_ids) + row.chosen_mask for row in rows]
    masks += [[0] * len(row.prompt_ids) + row.rejected_mask for row in rows]
    return ids, masks
