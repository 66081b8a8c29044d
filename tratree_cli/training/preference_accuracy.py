"""How often a trained policy prefers the better side of held-out pairs, and how far it moved.

Theorem 1 speaks of a policy that prefers the right side of the tree's pairs and stays near the weak
reference. Both can be read off held-out pairs: the log-ratio to the reference on each side, and the
whole distributions' divergence at the states the pairs pass through. Those are states the *weak*
model visits, so the divergence is an estimate under its visits and not the policy's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.held import held_dtype
from tratree_cli.training.data import PairRow, Reader, shared_pair_rows
from tratree_cli.training.lengths import LengthPolicy
from tratree_cli.training.params import LOWER, Progress, silent


@dataclass(frozen=True)
class PreferenceAccuracy:
    """Over ``pairs`` held-out pairs; None where nothing could be measured.

    ``accuracy`` is the share in [0, 1] whose preferred side has the higher log-ratio
    log π(τ) - log π_ref(τ) (ties count half), ``margin`` the mean difference of the log-ratios in
    nats (β times this is DPO's implicit reward margin), ``likelier`` the share whose preferred side
    is simply the likelier one per token, ``kl`` the mean KL(π ‖ π_ref) over the agent's ``tokens``
    in nats, None for models that read different tokens. ``margins`` are the differences of the
    log-ratios by the pairs' identities (``PairMessages.identity``).
    """

    pairs: int
    accuracy: float | None = None
    margin: float | None = None
    likelier: float | None = None
    kl: float | None = None
    tokens: int = 0
    left_out: int = 0
    margins: tuple[tuple[str, float], ...] = ()


def preference_accuracy(
    policy: Path,
    reference: Path,
    pairs: Sequence[PairMessages],
    max_length: int | None = None,
    threads: int = 1,
    progress: Progress = silent,
    device: str = "cpu",
) -> PreferenceAccuracy:
    """Score ``pairs`` with both models.

    Pairs that do not fit the context of either are left out and counted.
    """
    import numpy as np

    from tratree_cli.models import devices
    from tratree_cli.models.library_logging import silence_libraries
    from tratree_cli.models.load import load_model
    from tratree_cli.training.reference import reference_logps

    if not pairs:
        return PreferenceAccuracy(0)
    readers = [_reader(folder, max_length) for folder in (policy, reference)]
    shared, _ = shared_pair_rows(readers, pairs)
    if not shared:
        return PreferenceAccuracy(0, left_out=len(pairs))
    policy_rows, reference_rows = (list(rows) for rows in zip(*shared, strict=True))
    with silence_libraries(), devices.threads(threads), devices.explain_out_of_memory(LOWER):
        policy_model, reference_model = (
            load_model(folder, held_dtype(Path(folder), devices.precision(device))).to(
                devices.choose_device(device)
            )
            for folder in (policy, reference)
        )
        policy_scores = reference_logps(
            policy_model, policy_rows, threads=threads, progress=progress
        )
        reference_scores = reference_logps(reference_model, reference_rows, threads=threads)
        kl, tokens = None, sum(sum(r.chosen_mask) + sum(r.rejected_mask) for r in policy_rows)
        vocabularies = [reader.tokenizer.get_vocab() for reader in readers]
        if vocabularies[0] == vocabularies[1]:
            kl = _mean_kl(policy_model, reference_model, policy_rows)
    log_ratios = [
        getattr(policy_scores, side) - getattr(reference_scores, side)
        for side in ("chosen", "rejected")
    ]
    margins = log_ratios[0] - log_ratios[1]
    counts = [[sum(row.chosen_mask), sum(row.rejected_mask)] for row in policy_rows]
    lengths = np.array(counts, dtype=np.float64)
    per_token = policy_scores.chosen / lengths[:, 0] - policy_scores.rejected / lengths[:, 1]
    return PreferenceAccuracy(
        pairs=len(policy_rows),
        accuracy=_share(margins),
        margin=round(float(margins.mean()), 6),
        likelier=_share(per_token),
        kl=kl,
        tokens=tokens,
        left_out=len(pairs) - len(policy_rows),
        margins=tuple(
            (row.identity, float(margin)) for row, margin in zip(policy_rows, margins, strict=True)
        ),
    )


def _reader(model: Path, max_length: int | None) -> Reader:
    """The model's tokenizer; pairs that do not fit the model are left out."""
    from tratree_cli.models.load import load_tokenizer, longest_row

    return Reader(load_tokenizer(model), LengthPolicy(longest_row(model, max_length), "drop"))


def _share(differences: Any) -> float:
    return round(float((differences > 0).mean() + (differences == 0).mean() / 2), 6)


def _mean_kl(policy: Any, reference: Any, rows: Sequence[PairRow]) -> float:
    """Mean token-level KL in nats at the agent's positions of both continuations."""
    from tratree_cli.training.reference import scored_sequences
    from tratree_cli.training.scored_head import token_kl
    from tratree_cli.training.tree_packing.frozen import LOGITS, FrozenModel, pieces

    ids, masks = scored_sequences(rows)
    total, count = 0.0, 0
    with FrozenModel(policy) as ours, FrozenModel(reference) as theirs:
        words = min(ours.vocabulary, theirs.vocabulary)
        at_once = max(1, LOGITS // max(ours.vocabulary, theirs.vocabulary))
        for piece in pieces(ids, masks, min(ours.tokens, theirs.tokens)):
            times = piece.times().split(at_once)
            both = zip(
                times,
                ours.distributions(piece, at_once),
                theirs.distributions(piece, at_once),
                strict=True,
            )
            for number, one, other in both:
                # Embeddings may be padded to different sizes; no token has those words.
                kl = token_kl(one[:, :words].cpu(), other[:, :words].cpu())
                total += float((kl.double() * number).sum())
                count += int(number.sum())
    return round(total / max(count, 1), 6)
