"""How far a trained policy agrees with preferences it never saw, and how far it moved.

Theorem 1 speaks of a policy that prefers the right side of the tree's pairs and stays near the weak
reference. Both can be read off held-out pairs: the log-ratio to the reference on each side, and the
whole distributions' divergence at the states the pairs pass through. Those are states the *weak*
model visits, so the divergence is an estimate under its visits and not the policy's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_cli.training.data import LengthPolicy, PairRow, fitting_pairs
from tratree_cli.training.params import Progress, TrainingParams, silent


@dataclass(frozen=True)
class Agreement:
    """Over ``pairs`` held-out pairs; None where nothing could be measured.

    ``accuracy`` is the share in [0, 1] whose preferred side has the higher log-ratio
    log π(τ) - log π_ref(τ) (ties count half), ``margin`` the mean difference of the log-ratios in
    nats (β times this is DPO's implicit reward margin), ``likelier`` the share whose preferred side
    is simply the likelier one per token, ``kl`` the mean KL(π ‖ π_ref) over the agent's ``tokens``
    in nats, None for models that read different tokens.
    """

    pairs: int
    accuracy: float | None = None
    margin: float | None = None
    likelier: float | None = None
    kl: float | None = None
    tokens: int = 0
    left_out: int = 0


def agreement(
    policy: Path,
    reference: Path,
    pairs: Sequence[Mapping[str, Any]],
    max_length: int | None = None,
    threads: int = 1,
    progress: Progress = silent,
    device: str = "cpu",
) -> Agreement:
    """Score ``pairs`` (``prompt`` / ``chosen`` / ``rejected`` messages) with both models.

    Pairs that do not fit the context of either are left out and counted.
    """
    import numpy as np

    from tratree_cli.models import devices
    from tratree_cli.models.library_logging import quiet
    from tratree_cli.models.load import load_model
    from tratree_cli.training.reference import reference_logps

    if not pairs:
        return Agreement(0)
    policy_words, rows = _rows(policy, pairs, max_length)
    reference_words, their_rows = _rows(reference, pairs, max_length)
    shared = sorted(rows.keys() & their_rows.keys())
    if not shared:
        return Agreement(0, left_out=len(pairs))
    mine = [rows[number] for number in shared]
    where = TrainingParams(device=device)
    with quiet(), devices.threads(threads), devices.enough_memory():
        ours_model, theirs_model = (
            load_model(folder, devices.precision(where)).to(devices.choose_device(device))
            for folder in (policy, reference)
        )
        ours = reference_logps(ours_model, mine, threads=threads, progress=progress)
        theirs = reference_logps(theirs_model, [their_rows[n] for n in shared], threads=threads)
        kl, tokens = None, sum(sum(r.chosen_mask) + sum(r.rejected_mask) for r in mine)
        if policy_words.get_vocab() == reference_words.get_vocab():
            kl = _divergence(ours_model, theirs_model, mine)
    margins = (ours.chosen - theirs.chosen) - (ours.rejected - theirs.rejected)
    lengths = np.array([[sum(r.chosen_mask), sum(r.rejected_mask)] for r in mine], dtype=np.float64)
    per_token = ours.chosen / lengths[:, 0] - ours.rejected / lengths[:, 1]
    return Agreement(
        pairs=len(mine),
        accuracy=_share(margins),
        margin=round(float(margins.mean()), 6),
        likelier=_share(per_token),
        kl=kl,
        tokens=tokens,
        left_out=len(pairs) - len(mine),
    )


def _rows(
    model: Path, pairs: Sequence[Mapping[str, Any]], max_length: int | None
) -> tuple[Any, dict[int, PairRow]]:
    """The model's tokenizer, and the rows that fit the model by their pair's number."""
    from tratree_cli.models.load import load_tokenizer, longest_row

    length = LengthPolicy(longest_row(model, max_length), policy="drop")
    tokenizer = load_tokenizer(model)
    return tokenizer, {row.number: row for row in fitting_pairs(tokenizer, pairs, length)[0]}


def _share(differences: Any) -> float:
    return round(float((differences > 0).mean() + (differences == 0).mean() / 2), 6)


def _divergence(policy: Any, reference: Any, rows: Sequence[PairRow]) -> float:
    """Mean token-level KL in nats at the agent's positions of both continuations."""
    import torch

    from tratree_cli.training.scored_head import token_divergence

    total, count = 0.0, 0
    device, other = (next(model.parameters()).device for model in (policy, reference))
    with torch.no_grad():
        for row in rows:
            for ids, mask in (
                (row.chosen_ids, row.chosen_mask),
                (row.rejected_ids, row.rejected_mask),
            ):
                words = torch.tensor([row.prompt_ids + ids])
                # The logits at position t speak of token t + 1.
                scored = torch.tensor([0] * (len(row.prompt_ids) - 1) + mask).bool()
                ours = policy(input_ids=words.to(device), use_cache=False).logits[0, :-1]
                theirs = reference(input_ids=words.to(other), use_cache=False).logits[0, :-1]
                found = token_divergence(ours.cpu()[scored], theirs.cpu()[scored])
                total += float(found.double().sum())
                count += len(found)
    return round(total / max(count, 1), 6)
