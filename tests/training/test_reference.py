"""Reference scores: where a training starts, what is kept, what is refused, and their stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tratree_store import Entry, Recipe

from tratree_cli.config import load_recipe
from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages, PairRecord, write_pairs
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.pipeline.graph import Job, Options, Result
from tratree_cli.stages import ref_logps
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.lengths import LengthPolicy
from tratree_cli.training.params import TrainingParams
from tratree_cli.training.reference import (
    LOGPS_FILE,
    SATURATED,
    ReferenceLogps,
    preferred,
    read_logps,
    reference_logps,
    rows_as_scored,
    saturation_warning,
    scored_sequences,
    starting_point,
    with_reference,
    write_logps,
)


@pytest.fixture(scope="module")
def tokenizer_of(weaker: Path) -> Any:
    return load_tokenizer(weaker)


@pytest.fixture(scope="module")
def plain(tokenizer_of: Any, pairs: Any) -> list[PairRow]:
    """Eight pairs without a reference."""
    return pair_rows(tokenizer_of, pairs)[0]


@pytest.fixture(scope="module")
def scored(weaker: Path, plain: list[PairRow]) -> ReferenceLogps:
    return reference_logps(weaker, plain)


def shifted(rows: Sequence[PairRow], scores: ReferenceLogps, by: Sequence[float]) -> list[PairRow]:
    """Rows of which row i has the margin ``by[i]`` (at beta 1), a quarter by its rejected side."""
    return [
        replace(
            row,
            ref_chosen_logps=float(scores.chosen[number % len(scores)]) - 0.75 * by[number],
            ref_rejected_logps=float(scores.rejected[number % len(scores)]) + 0.25 * by[number],
        )
        for number, row in enumerate(rows)
    ]


def test_the_start_is_beta_times_the_difference_of_log_ratios(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    by = [1.0, 1.0, 1.0, -1.0, 30.0, -30.0, 2.0, 2.0]
    facts = starting_point(weaker, shifted(plain, scored, by), beta=0.5)
    assert scored.chosen_turn is not None and scored.rejected_turn is not None
    assert facts == {
        "initial_margin": pytest.approx(0.5 * sum(by) / 8, abs=1e-5),
        "initial_accuracy": 6 / 8,
        "initial_saturated": 2 / 8,
        "initial_preferred": float((scored.chosen_turn > scored.rejected_turn).mean()),
    }


def test_all_pairs_are_looked_at(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    many = plain * 5
    by = [float(number) for number in range(len(many))]
    facts = starting_point(weaker, shifted(many, scored, by), beta=1.0)
    assert facts["initial_margin"] == pytest.approx(np.mean(by), abs=1e-4)


def test_what_the_later_turns_add_to_the_spread_of_the_margins_is_told_by_hand_computation(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    """Whole margins 1, 2, 3 and 6, of which the first turns give 1, 1, 2 and 4."""
    assert scored.chosen_turn is not None and scored.rejected_turn is not None
    whole, first = [1.0, 2.0, 3.0, 6.0], [1.0, 1.0, 2.0, 4.0]
    rows = [
        replace(
            row,
            ref_chosen_turn_logps=float(scored.chosen_turn[number]) - 0.5 * first[number],
            ref_rejected_turn_logps=float(scored.rejected_turn[number]) + 0.5 * first[number],
        )
        for number, row in enumerate(shifted(plain[:4], scored, whole))
    ]
    # Later turns: 0, 1, 1, 2 (mean 1); margins around their mean 3: -2, -1, 0, 3.
    share = (2 + 0 + 0 + 3) / (4 + 1 + 0 + 9)
    for beta in (1.0, 0.1):
        told = starting_point(weaker, rows, beta)["margin_variance_after_first_turn"]
        assert told == pytest.approx(share, abs=1e-4)
    partly = [replace(rows[0], ref_chosen_turn_logps=None), *rows[1:]]
    assert "margin_variance_after_first_turn" not in starting_point(weaker, partly, 1.0)


def test_pairs_that_a_model_already_prefers_are_those_likelier_by_more_than_the_margin() -> None:
    chosen, rejected = np.array([[-4.0, -3.0, -1.5, -5.0], [-5.0] * 4], "f4")
    zero = np.zeros(4, "f4")
    scores = ReferenceLogps(zero, zero, ["a", "b", "c", "d"], [0] * 4, (), chosen, rejected)
    assert preferred(scores, 0.0) == {"a", "b", "c"}
    assert preferred(scores, 2.0) == {"c"}


def test_a_reference_that_is_the_policy_starts_at_nothing(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    facts = starting_point(load_model(weaker), with_reference(plain, scored), beta=0.1)
    zero = ("initial_margin", "initial_accuracy", "initial_saturated")
    assert [facts[name] for name in (*zero, "margin_variance_after_first_turn")] == [0.0] * 4


def test_a_margin_counts_as_saturated_beyond_the_bound_on_either_side(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    by = [SATURATED + 0.1, SATURATED - 0.1, -SATURATED - 0.1, -SATURATED + 0.1]
    facts = starting_point(weaker, shifted(plain[:4], scored, by), beta=1.0)
    assert facts["initial_saturated"] == 0.5


def test_shares_have_six_decimals(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    facts = starting_point(weaker, shifted(plain[:3], scored, [10.0, -1.0, -1.0]), beta=1.0)
    assert facts["initial_accuracy"] == facts["initial_saturated"] == 0.333333
    assert facts["initial_margin"] == round(facts["initial_margin"], 6)


def test_a_saturated_pair_has_under_two_percent_of_the_gradient_left() -> None:
    """The gradient of -log sigmoid(margin) at the bound, of which 1 is the most."""
    assert 0.01 < 1 / (1 + math.exp(SATURATED)) < 0.02


def test_half_of_the_pairs_saturated_is_no_warning_and_more_is() -> None:
    start = {"initial_margin": -7.25, "initial_saturated": 0.5}
    assert saturation_warning(start) is None
    assert saturation_warning({}) is None
    said = saturation_warning({**start, "initial_saturated": 0.5625})
    assert said is not None
    assert said.startswith("56% of the pairs start saturated (mean margin -7.2)")


def test_both_sides_are_read_after_the_prompt_and_scored_only_where_the_agent_speaks() -> None:
    row = PairRow([1, 2], [3, 4], [5], [1, 0], [1])
    other = PairRow([6], [7], [8, 9], [1], [0, 1])
    ids, masks = scored_sequences([row, other])
    assert ids == [[1, 2, 3, 4], [6, 7], [1, 2, 5], [6, 8, 9]]
    assert masks == [[0, 0, 1, 0], [0, 1], [0, 0, 1], [0, 0, 1]]


def test_progress_is_told_in_pairs_and_ends_with_all(weaker: Path, plain: list[PairRow]) -> None:
    told: list[tuple[int, int]] = []
    reference_logps(
        weaker, plain, batch=3, by_trees=False, progress=lambda a, b, facts: told.append((a, b))
    )
    assert told[-1] == (len(plain), len(plain))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 <= done <= len(plain) for done, _ in told)


def test_sums_do_not_depend_on_what_is_computed_together(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    for options in ({"by_trees": False, "batch": 1}, {"by_trees": False, "batch": 5}):
        again = reference_logps(weaker, plain, **options)
        assert again.chosen == pytest.approx(scored.chosen, abs=1e-4)
        assert again.rejected == pytest.approx(scored.rejected, abs=1e-4)


def test_a_folder_is_scored_with_the_precision_that_is_asked_for(
    weaker: Path, plain: list[PairRow], scored: ReferenceLogps
) -> None:
    config = TrainingParams(device="cpu", dtype="bfloat16")
    rough = reference_logps(weaker, plain, config=config)
    assert not np.array_equal(rough.chosen, scored.chosen)
    assert rough.chosen == pytest.approx(scored.chosen, rel=0.02)


def test_what_a_pair_lost_of_its_prompt_is_kept_with_its_scores(
    weaker: Path, tokenizer_of: Any, pairs: Any, tmp_path: Path
) -> None:
    """The policy reads the words that were scored, shortened by as many exchanges."""
    turns = [
        {"role": role, "content": f"{role} {number} " * 3}
        for number in range(4)
        for role in ("user", "assistant")
    ]
    long = replace(pairs[0], prompt=[*turns, {"role": "user", "content": "Search"}])
    whole = pair_rows(tokenizer_of, [long])[0][0].length
    shortened, _ = pair_rows(
        tokenizer_of, [pairs[1], long], LengthPolicy(whole - 1, "keep-last-turns")
    )
    assert [row.removed for row in shortened] == [0, 1]
    write_logps(reference_logps(weaker, shortened), tmp_path)
    kept = read_logps(tmp_path)
    assert list(kept.removed) == [0, 1]
    rows, report = rows_as_scored(tokenizer_of, [long, pairs[1], pairs[2]], kept)
    assert [row.removed for row in rows] == [1, 0]
    assert [row.identity for row in rows] == [long.identity, pairs[1].identity]
    assert rows[0].prompt_ids == shortened[1].prompt_ids
    assert (report.rows, report.shortened, report.dropped) == (2, 1, 1)


def test_pairs_of_which_none_was_scored_are_refused(
    tokenizer_of: Any, pairs: Any, scored: ReferenceLogps
) -> None:
    others = [replace(pair, prompt=[{"role": "user", "content": "Other"}]) for pair in pairs]
    with pytest.raises(InputError, match=f"none of {len(others)} pairs is left"):
        rows_as_scored(tokenizer_of, others, scored)


def test_a_pair_that_cannot_be_read_is_named_by_its_place(tokenizer_of: Any, pairs: Any) -> None:
    broken = [pairs[0], replace(pairs[1], rejected=[])]
    zero = np.zeros(2, "f4")
    scores = ReferenceLogps(zero, zero, [pair.identity for pair in broken], [0, 0])
    with pytest.raises(InputError, match="pair 2 has no 'rejected'"):
        rows_as_scored(tokenizer_of, broken, scores)


def test_the_first_pair_without_scores_is_named(
    plain: list[PairRow], scored: ReferenceLogps
) -> None:
    without = replace(scored, identities=["0" * 64, *scored.identities[1:]])
    with pytest.raises(InputError, match=r"1 of 8 pairs \(first: pair 1\)"):
        with_reference(plain, without)


def test_the_scores_of_no_pair_are_a_file_like_any_other(tmp_path: Path) -> None:
    write_logps(ReferenceLogps.empty(), tmp_path / "new" / "folder")
    again = read_logps(tmp_path / "new" / "folder")
    assert len(again) == 0
    assert list(again.identities) == list(again.removed) == []
    assert again.chosen.shape == again.rejected.shape == (0,)
    assert again.chosen_turn is not None and again.chosen_turn.shape == (0,)


def test_scores_that_are_missing_or_of_an_earlier_version_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"holds no {LOGPS_FILE}"):
        read_logps(tmp_path)
    save_file({"chosen": np.zeros(1, "f4")}, str(tmp_path / LOGPS_FILE))
    with pytest.raises(InputError, match="earlier version"):
        read_logps(tmp_path)


def record(pair: PairMessages) -> PairRecord:
    """A pair as its artifact keeps it; what training does not read is empty."""
    empty = {field.name: "" if field.type == "str" else 0 for field in fields(PairRecord)}
    words = {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
    return PairRecord(**{**empty, **words})  # type: ignore[arg-type]


def entry(kind: str, path: Path) -> Entry:
    recipe = Recipe("made", 1, kind, {})
    return Entry(
        kind=kind, object="0" * 64, recipe=recipe.digest, document=recipe.document, path=path,
        summary={}, provenance={}, created=0.0, seconds=0.0, size=0, stage="made",
    )  # fmt: skip


def scored_by_stage(
    pairs: Sequence[PairMessages], model: Path, policy: Path | None, tmp_path: Path, **params: Any
) -> tuple[Result, ReferenceLogps]:
    folder = tmp_path / "pairs"
    folder.mkdir()
    write_pairs([record(pair) for pair in pairs], folder)
    inputs = {"pairs": entry("pairs", folder), "model": entry("model", model)}
    trained = None if policy is None else entry("model", policy)
    node = ref_logps.node(
        load_recipe("micro"), pairs=inputs["pairs"], reference=inputs["model"], policy=trained
    )
    if trained is not None:
        inputs["policy"] = trained
    assert set(node.inputs) == set(inputs)
    assert set(node.models) == ({"policy"} if policy is None else set())
    node = replace(node, params=replace(node.params, **params))
    out = tmp_path / "out"
    out.mkdir()
    job: Job[Any] = Job(
        node=node,
        inputs={role: (given,) for role, given in inputs.items()},
        out=out,
        store_root=tmp_path,
        scratch=lambda _: tmp_path,
        options=Options(device="cpu"),
        progress=lambda *_: None,
        realise=lambda _: inputs["model"],
    )
    return ref_logps.run(job), read_logps(out)


def test_the_stage_scores_what_both_models_can_read(
    weaker: Path, policy: Path, pairs: Any, scored: ReferenceLogps, plain: list[PairRow],
    tmp_path: Path,
) -> None:  # fmt: skip
    long = replace(pairs[0], prompt=[{"role": "user", "content": "far too long " * 300}])
    result, kept = scored_by_stage(
        [*pairs, long], weaker, policy, tmp_path, max_length=400, too_long="drop", dtype="float32"
    )
    assert scored.sharing is not None
    assert result.summary == {
        "pairs": 8,
        "tokens": sum(row.tokens for row in plain),
        "sharing_ratio": round(scored.sharing.ratio, 2),
        "distinct_tokens": scored.sharing.unique,
        "repeated_tokens": 0,
    }
    assert any("1 of 9 pairs" in warning for warning in result.warnings), result.warnings
    assert list(kept.identities) == list(scored.identities)
    assert kept.chosen == pytest.approx(scored.chosen, abs=1e-5)


def test_the_stage_makes_an_empty_table_of_no_pairs(
    weaker: Path, policy: Path, tmp_path: Path
) -> None:
    result, kept = scored_by_stage([], weaker, policy, tmp_path)
    assert result.summary == {"pairs": 0, "tokens": 0}
    assert len(kept) == 0


def test_a_stage_in_which_no_pair_fits_is_a_sentence(
    weaker: Path, policy: Path, pairs: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="none of 8 pairs is left"):
        scored_by_stage(pairs, weaker, policy, tmp_path, max_length=3, too_long="drop")


def test_without_a_policy_the_strong_base_model_is_the_one_that_has_to_read_the_pairs(
    weaker: Path, pairs: Any, scored: ReferenceLogps, tmp_path: Path
) -> None:
    result, kept = scored_by_stage(pairs, weaker, None, tmp_path, too_long="drop", dtype="float32")
    assert result.summary["pairs"] == len(pairs)
    assert kept.rejected == pytest.approx(scored.rejected, abs=1e-5)
