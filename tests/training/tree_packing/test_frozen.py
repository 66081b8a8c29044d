"""A frozen model's sums by trees are those of its rows; heads that rescale are called whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, GraniteConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tests.tiny_models import make_model
from tests.training.tree_packing.test_equality import CONFIGS, SIZES, row_wise, tiny
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.preference_accuracy import _mean_kl
from tratree_cli.training.reference import reference_logps, scored_sequences
from tratree_cli.training.scored_head import token_kl
from tratree_cli.training.tree_packing import frozen, scorer
from tratree_cli.training.tree_packing.frozen import FrozenModel, pieces, summed_log_probs
from tratree_cli.training.tree_packing.scorer import given_up
from tratree_cli.training.tree_packing.support import head_rescales

RESCALED = {
    "gemma2": Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0),
    "granite": GraniteConfig(**SIZES, logits_scaling=4.0),
}


@pytest.fixture(scope="module")
def rows(policy: Path, pairs: Any) -> list[PairRow]:
    return pair_rows(load_tokenizer(policy), pairs)[0]


def sums(model: Any, ids: list[list[int]], masks: list[list[int]], tokens: int) -> np.ndarray:
    found = np.zeros(len(ids), dtype=np.float32)
    with FrozenModel(model, batch=3) as scored:
        for piece in pieces(ids, masks, tokens):
            summed_log_probs(scored, piece, found)
        whole = "its head rescales the logits"
        assert scored.remark == (given_up(whole) if head_rescales(model) else "")
    return found


def sequences() -> tuple[list[list[int]], list[list[int]]]:
    """Shared beginnings, equal rows, a row inside another's path, and a row that shares nothing."""
    numbers = np.random.default_rng(0)
    trunk = numbers.integers(0, 39, 12).tolist()
    ids = [trunk + numbers.integers(0, 39, size).tolist() for size in (5, 9, 1)]
    ids += [ids[0], trunk[:7], [39, 3, 5]]
    return ids, [[0, *numbers.integers(0, 2, len(row) - 2).tolist(), 1] for row in ids]


@pytest.mark.parametrize("tokens", [8192, 20])
@pytest.mark.parametrize("name", [*CONFIGS, *RESCALED])
def test_sums_are_those_of_rows_computed_one_by_one(name: str, tokens: int) -> None:
    if name in CONFIGS:
        model = tiny(name, "sdpa").eval()
    else:
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(RESCALED[name]).float().eval()
    before = model.config._attn_implementation
    ids, masks = sequences()
    with torch.no_grad():
        expected = [float(logp.sum()) for logp in row_wise(model, ids, masks)]
    np.testing.assert_allclose(sums(model, ids, masks, tokens), expected, rtol=1e-5, atol=1e-5)
    assert model.config._attn_implementation == before


def test_scores_by_trees_are_the_scores_by_rows(
    weaker: Path, rows: list[PairRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_rows = reference_logps(weaker, rows, by_trees=False)
    monkeypatch.setattr(frozen, "LOGITS", 3 * 400)
    by_trees = reference_logps(weaker, rows)
    np.testing.assert_allclose(by_trees.chosen, by_rows.chosen, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(by_trees.rejected, by_rows.rejected, rtol=1e-6, atol=1e-5)
    assert by_rows.sharing is None and by_trees.sharing is not None
    assert by_trees.sharing.flat == sum(row.tokens for row in rows)
    assert by_trees.sharing.ratio > 1 and by_trees.sharing.repeated == 0


def test_scores_in_several_pieces_say_what_the_pieces_repeat(
    weaker: Path, rows: list[PairRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reference_logps(weaker, rows).sharing
    monkeypatch.setattr(frozen, "TOKENS", max(row.length for row in rows))
    cut = reference_logps(weaker, rows).sharing
    assert whole is not None and cut is not None
    assert cut.repeated == cut.unique - whole.unique > 0
    assert cut.flat == whole.flat


def test_a_reference_with_another_tokenizer_is_scored_by_the_trees_of_its_own_tokens(
    rows: list[PairRow], pairs: Any, tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other", family="llama2", seed=5)
    theirs = pair_rows(load_tokenizer(other), pairs)[0]
    by_trees = reference_logps(other, theirs)
    by_rows = reference_logps(other, theirs, by_trees=False)
    np.testing.assert_allclose(by_trees.chosen, by_rows.chosen, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(by_trees.rejected, by_rows.rejected, rtol=1e-6, atol=1e-5)
    assert by_trees.sharing is not None
    assert by_trees.sharing.flat == sum(row.tokens for row in theirs)
    assert by_trees.sharing.flat != sum(row.tokens for row in rows)


def test_a_packed_score_that_differs_is_computed_by_rows_and_said(
    weaker: Path, rows: list[PairRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "TOLERANCE", dict.fromkeys(scorer.TOLERANCE, -1.0))
    found = reference_logps(weaker, rows)
    assert "tree packing is off for this model" in " ".join(found.remarks)
    assert found.sharing is None
    np.testing.assert_array_equal(
        found.chosen, reference_logps(weaker, rows, by_trees=False).chosen
    )


def test_the_divergence_of_two_models_counts_every_token_of_every_row(
    policy: Path, weaker: Path, rows: list[PairRow]
) -> None:
    ours, theirs = load_model(policy), load_model(weaker)
    total, count = 0.0, 0
    for ids, mask in zip(*scored_sequences(rows), strict=True):
        tokens, scored = torch.tensor([ids]), torch.tensor(mask[1:]).bool()
        with torch.no_grad():
            one, other = (
                model(input_ids=tokens).logits[0, :-1][scored] for model in (ours, theirs)
            )
        total += float(token_kl(one, other).sum())
        count += int(scored.sum())
    assert _mean_kl(ours, theirs, rows) == pytest.approx(total / count, abs=2e-6)
