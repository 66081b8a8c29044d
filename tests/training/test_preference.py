"""Preference training: Eq. 6 by hand, against a live reference, and its failures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_models import digests, make_model
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.params import DPOParams, LoraParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import (
    ReferenceLogps,
    read_logps,
    reference_logps,
    rows_as_scored,
    saturation_warning,
    starting_point,
    with_reference,
    write_logps,
)

ONE_STEP = DPOParams(max_steps=1, batch_size=8, beta=0.3)


@pytest.fixture(scope="module")
def plain(policy: Path, pairs: Any) -> list[PairRow]:
    """Pairs without a reference."""
    return pair_rows(load_tokenizer(policy), pairs)[0]


@pytest.fixture(scope="module")
def rows(plain: list[PairRow], weaker: Path) -> list[PairRow]:
    """Pairs with the weaker model's log-probabilities."""
    return with_reference(plain, reference_logps(weaker, plain, batch=3))


def logps_of(rows: list[PairRow], chosen: float, rejected: float) -> ReferenceLogps:
    """The same sums for all rows."""
    sums = [np.full(len(rows), value, "f4") for value in (chosen, rejected)]
    return ReferenceLogps(*sums, [row.identity for row in rows], [0] * len(rows))


def logps_by_hand(model: Any, prompt: list[int], ids: list[int], mask: list[int]) -> list[float]:
    """log p (nats) of each scored token of a continuation, one sequence at a time."""
    import torch

    whole = prompt + ids
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole])).logits[0].double()
    logp = torch.log_softmax(logits, dim=-1)
    places = [len(prompt) + number for number, mine in enumerate(mask) if mine]
    return [float(logp[place - 1, whole[place]]) for place in places]


def equation_6(
    policy: Any, reference: Any, rows: list[PairRow], beta: float, nll: float = 0.0
) -> float:
    """-log sigmoid(beta * (log-ratio of the chosen - of the rejected)), mean over the pairs."""
    losses, chosen = [], []
    for row in rows:
        ratios = []
        for ids, mask in ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask)):
            ours = logps_by_hand(policy, row.prompt_ids, ids, mask)
            ratios.append(sum(ours) - sum(logps_by_hand(reference, row.prompt_ids, ids, mask)))
            if ids is row.chosen_ids:
                chosen += ours
        losses.append(math.log1p(math.exp(-beta * (ratios[0] - ratios[1]))))
    return sum(losses) / len(losses) - nll * sum(chosen) / len(chosen)


def test_the_reference_is_the_sum_over_the_agents_tokens(
    plain: list[PairRow], weaker: Path
) -> None:
    logps = reference_logps(weaker, plain, batch=3)
    model = load_model(weaker)
    for number, row in enumerate(plain):
        by_hand = [
            sum(logps_by_hand(model, row.prompt_ids, ids, mask))
            for ids, mask in (
                (row.chosen_ids, row.chosen_mask),
                (row.rejected_ids, row.rejected_mask),
            )
        ]
        assert [logps.chosen[number], logps.rejected[number]] == pytest.approx(by_hand, abs=1e-4)


def by_turns(row: PairRow, model: Any) -> list[list[float]]:
    """Sums of log p over the first turn and over all later ones, of the chosen and the rejected."""
    sums = []
    for ids, mask in ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask)):
        logp = logps_by_hand(model, row.prompt_ids, ids, mask)
        first = 0
        while first < len(mask) and mask[first]:
            first += 1
        sums.append([sum(logp[:first]), sum(logp[first:])])
    return sums


def test_first_turns_are_summed_beside_whole_continuations(
    plain: list[PairRow], weaker: Path, tmp_path: Path
) -> None:
    write_logps(reference_logps(weaker, plain, batch=3), tmp_path)
    logps, model = read_logps(tmp_path), load_model(weaker)
    assert logps.chosen_turn is not None and logps.rejected_turn is not None
    for number, row in enumerate(plain):
        (chosen, _), (rejected, _) = by_turns(row, model)
        found = [logps.chosen_turn[number], logps.rejected_turn[number]]
        assert found == pytest.approx([chosen, rejected], abs=1e-4)
    assert any(0 in row.chosen_mask for row in plain), "some have more than one turn"


def test_the_start_is_measured_on_every_pair_and_by_turns(
    policy: Path, weaker: Path, rows: list[PairRow]
) -> None:
    every = [replace(row, identity=f"{copy} {row.identity}") for copy in range(3) for row in rows]
    ours, theirs = load_model(policy), load_model(weaker)
    first, rest, preferred = [], [], []
    for row in rows:
        mine, other = by_turns(row, ours), by_turns(row, theirs)
        ratios = np.array(mine) - np.array(other)
        first.append(0.3 * (ratios[0][0] - ratios[1][0]))
        rest.append(0.3 * (ratios[0][1] - ratios[1][1]))
        preferred.append(mine[0][0] > mine[1][0])
    margins = np.array(first) + np.array(rest)
    share = np.cov(rest, margins)[0][1] / np.var(margins, ddof=1)
    facts = starting_point(load_model(policy), every, 0.3)
    assert facts == pytest.approx(
        {
            "initial_margin": margins.mean(),
            "initial_accuracy": (margins > 0).mean(),
            "initial_saturated": (abs(margins) > 4).mean(),
            "initial_preferred": np.mean(preferred),
            "margin_variance_after_first_turn": share,
        },
        abs=1e-3,
    )


def test_without_the_references_first_turns_the_share_is_left_out(
    policy: Path, plain: list[PairRow]
) -> None:
    facts = starting_point(load_model(policy), with_reference(plain, logps_of(plain, 0, 0)), 0.1)
    assert "margin_variance_after_first_turn" not in facts and "initial_preferred" in facts


@pytest.mark.parametrize("nll_weight", [0.0, 0.5])
def test_the_first_loss_is_equation_6_computed_by_hand(
    policy: Path, weaker: Path, rows: list[PairRow], tmp_path: Path, nll_weight: float
) -> None:
    config = replace(ONE_STEP, nll_weight=nll_weight)
    result = train_dpo(policy, rows, config, tmp_path / "out", tmp_path / "work")
    by_hand = equation_6(load_model(policy), load_model(weaker), rows, 0.3, nll_weight)
    assert result.curves["loss"][0][1] == pytest.approx(by_hand, abs=1e-5)


def test_stored_and_live_reference_train_alike(
    policy: Path, weaker: Path, plain: list[PairRow], rows: list[PairRow], tmp_path: Path
) -> None:
    import torch

    config = DPOParams(learning_rate=1e-3, epochs=3, batch_size=4)
    stored = train_dpo(policy, rows, config, tmp_path / "stored", tmp_path / "w1")
    live = train_dpo(policy, plain, config, tmp_path / "live", tmp_path / "w2", reference=weaker)
    for measure in ("loss", "margin"):
        one, two = (np.array(result.curves[measure]) for result in (stored, live))
        assert np.abs(one - two).max() < 1e-5
    ours = load_model(tmp_path / "stored").state_dict()
    theirs = load_model(tmp_path / "live").state_dict()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in ours)


@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)])
def test_training_prefers_the_chosen_side(
    policy: Path, rows: list[PairRow], tmp_path: Path, lora: LoraParams | None
) -> None:
    config = DPOParams(learning_rate=3e-3, epochs=4, batch_size=4, lora=lora)
    result = train_dpo(policy, rows, config, tmp_path / "out", tmp_path / "work")
    assert result.curves["accuracy"][-1][1] == 1.0
    assert result.curves["margin"][-1][1] > result.curves["margin"][0][1] + 0.1
    assert result.scored == 4 * sum(row.scored for row in rows)
    assert sorted(digests(tmp_path / "out")) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]


def test_observations_in_a_continuation_do_not_enter_the_loss(
    policy: Path, plain: list[PairRow], weaker: Path, tmp_path: Path
) -> None:
    """With everything but one token masked, that token alone is the loss."""
    row = plain[0]
    one = [0] * len(row.chosen_mask)
    one[2] = 1
    silent_row = replace(row, chosen_mask=one, rejected_mask=[0] * len(row.rejected_mask))
    rows = with_reference([silent_row], logps_of([silent_row], 0.0, 0.0))
    config = DPOParams(max_steps=1, batch_size=1, beta=1.0)
    result = train_dpo(policy, rows, config, tmp_path / "out", tmp_path / "work")
    (logp,) = logps_by_hand(load_model(policy), row.prompt_ids, row.chosen_ids, one)
    assert result.curves["loss"][0][1] == pytest.approx(math.log1p(math.exp(-logp)), abs=1e-5)


def test_the_explicit_kl_of_equation_6_is_added(
    policy: Path, weaker: Path, plain: list[PairRow], tmp_path: Path
) -> None:
    import torch

    config = replace(ONE_STEP, explicit_kl=True)
    result = train_dpo(policy, plain, config, tmp_path / "out", tmp_path / "work", reference=weaker)
    ours, theirs = load_model(policy), load_model(weaker)
    divergences: list[float] = []
    for row in plain:
        for ids, mask in ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask)):
            words = torch.tensor([row.prompt_ids + ids])
            with torch.no_grad():
                p, q = (torch.log_softmax(m(input_ids=words).logits[0], -1) for m in (ours, theirs))
            each = (p.exp() * (p - q)).sum(-1)
            start = len(row.prompt_ids) - 1
            divergences += [float(each[start + n]) for n, mine in enumerate(mask) if mine]
    kl = sum(divergences) / len(divergences)
    assert result.curves["kl"][0][1] == pytest.approx(kl, abs=1e-5)
    by_hand = equation_6(ours, theirs, plain, 0.3) + 0.3 * kl
    assert result.curves["loss"][0][1] == pytest.approx(by_hand, abs=1e-5)


def test_preference_training_takes_the_order_of_its_data_seed(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    def trained(data_seed: int | None) -> str:
        config = DPOParams(max_steps=2, batch_size=2, learning_rate=1e-3, data_seed=data_seed)
        train_dpo(policy, rows, config, tmp_path / f"out-{data_seed}", tmp_path / "work")
        return digests(tmp_path / f"out-{data_seed}")["model.safetensors"]

    plain, as_seed, other = (trained(seed) for seed in (None, 0, 5))
    assert plain == as_seed != other


def test_an_interrupted_training_resumes_to_the_same_bytes(
    policy: Path, rows: list[PairRow], tmp_path: Path
) -> None:
    config = DPOParams(learning_rate=1e-3, epochs=4, batch_size=3, checkpoint_every=2)
    train_dpo(policy, rows, config, tmp_path / "whole", tmp_path / "work-whole")

    def interrupt(done: int, total: int, facts: Any) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_dpo(policy, rows, config, tmp_path / "cut", tmp_path / "work-cut", interrupt)
    result = train_dpo(policy, rows, config, tmp_path / "cut", tmp_path / "work-cut")
    assert result.resumed_from == 6
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_training_writes_nothing_to_stdout_or_stderr(
    policy: Path, plain: list[PairRow], weaker: Path, tmp_path: Path, capfd: Any
) -> None:
    rows = with_reference(plain, reference_logps(weaker, plain))
    train_dpo(policy, rows, ONE_STEP, tmp_path / "out", tmp_path / "work")
    assert capfd.readouterr() == ("", "")


def test_reference_files_are_byte_stable_and_read_back(
    plain: list[PairRow], weaker: Path, tmp_path: Path
) -> None:
    logps = reference_logps(weaker, plain)
    for name in ("one", "two"):
        write_logps(logps, tmp_path / name)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    again = read_logps(tmp_path / "one")
    assert np.array_equal(again.chosen, logps.chosen)
    assert np.array_equal(again.rejected, logps.rejected)
    assert list(again.identities) == [row.identity for row in plain]
    assert list(again.removed) == [0] * len(plain)


def test_the_policy_is_trained_on_the_words_that_the_reference_scored(
    policy: Path, weaker: Path, pairs: Any, tmp_path: Path
) -> None:
    """Matched by the words themselves, in whatever order; what it left out is dropped."""
    tokenizer = load_tokenizer(policy)
    scored = pair_rows(tokenizer, [pairs[3], pairs[0]])[0]
    logps = reference_logps(weaker, scored)
    write_logps(logps, tmp_path)
    rows, report = rows_as_scored(tokenizer, pairs, read_logps(tmp_path))
    assert [row.identity for row in rows] == [pairs[0].identity, pairs[3].identity]
    assert [row.ref_chosen_logps for row in rows] == [logps.chosen[1], logps.chosen[0]]
    assert (report.rows, report.dropped) == (2, 6)


def test_a_reference_of_other_pairs_is_refused(plain: list[PairRow], weaker: Path) -> None:
    logps = reference_logps(weaker, plain[:3])
    with pytest.raises(InputError, match="no log-probabilities for 5 of 8 pairs"):
        with_reference(plain, logps)


def test_no_pairs_no_reference_and_no_live_model_are_said_so(
    policy: Path, plain: list[PairRow], rows: list[PairRow], tmp_path: Path
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    with pytest.raises(InputError, match="no pairs were given"):
        train_dpo(policy, [], ONE_STEP, out, work)
    with pytest.raises(InputError, match="no reference log-probabilities"):
        train_dpo(policy, plain, ONE_STEP, out, work)
    with pytest.raises(InputError, match="needs a live reference model"):
        train_dpo(policy, rows, replace(ONE_STEP, explicit_kl=True), out, work)


def test_a_live_reference_with_another_tokenizer_is_refused(
    policy: Path, plain: list[PairRow], tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other", family="llama3")
    with pytest.raises(InputError, match="another tokenizer"):
        train_dpo(policy, plain, ONE_STEP, tmp_path / "o", tmp_path / "w", reference=other)


def test_a_reference_with_another_tokenizer_scores_the_same_words(
    policy: Path, plain: list[PairRow], pairs: Any, tmp_path: Path
) -> None:
    """Each model reads the pairs in its own tokens; only sums of the agent's words meet."""
    other = make_model(tmp_path / "other", family="llama2", seed=5)
    theirs = pair_rows(load_tokenizer(other), pairs)[0]
    assert theirs[0].chosen_ids != plain[0].chosen_ids
    rows = with_reference(plain[2:], reference_logps(other, theirs))
    result = train_dpo(policy, rows, ONE_STEP, tmp_path / "out", tmp_path / "work")
    ours, reference = load_model(policy), load_model(other)
    margins = []
    for mine, their in zip(plain[2:], theirs[2:], strict=True):
        ratios = [
            sum(logps_by_hand(ours, mine.prompt_ids, *scored))
            - sum(logps_by_hand(reference, their.prompt_ids, *other_scored))
            for scored, other_scored in (
                ((mine.chosen_ids, mine.chosen_mask), (their.chosen_ids, their.chosen_mask)),
                (
                    (mine.rejected_ids, mine.rejected_mask),
                    (their.rejected_ids, their.rejected_mask),
                ),
            )
        ]
        margins.append(0.3 * (ratios[0] - ratios[1]))
    loss = sum(math.log1p(math.exp(-margin)) for margin in margins) / len(margins)
    assert result.curves["loss"][0][1] == pytest.approx(loss, abs=1e-4)
    assert result.facts["initial_margin"] == pytest.approx(sum(margins) / len(margins), abs=1e-4)


def test_a_saturated_start_is_warned_about(
    policy: Path, plain: list[PairRow], tmp_path: Path
) -> None:
    far = logps_of(plain, -5000.0, 0.0)
    config = replace(ONE_STEP, max_steps=1)
    result = train_dpo(
        policy, with_reference(plain, far), config, tmp_path / "out", tmp_path / "work"
    )
    said = saturation_warning(result.facts)
    assert said is not None and said.startswith("100% of the pairs start saturated")
    assert saturation_warning({"initial_margin": 0.1, "initial_saturated": 0.0}) is None
