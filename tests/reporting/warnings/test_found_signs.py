"""The signs of a study: who is compared with whom, where they stand, and when nothing is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import SIGNIFICANT, Table
from tratree_cli.envs.protocol import FINISHED
from tratree_cli.envs.registry import reward_parts
from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.reporting.cohorts import cohorts
from tratree_cli.reporting.rows import EvaluationRow, RowLineage
from tratree_cli.reporting.warnings.found import found_signs

Maker = Callable[..., EvaluationRow]
TASKS = 40


def played(
    row: EvaluationRow, *, unfinished: int = 0, repeats: int = 0, malformed: int = 0
) -> EvaluationRow:
    """The row with the first so many of its episodes ended by the limit, with a repetition, with a
    malformed turn."""
    results = tuple(
        replace(
            result,
            end="step-limit" if number < unfinished else "done",
            repeated=int(number < repeats),
            malformed=int(number < malformed),
        )
        for number, result in enumerate(row.evaluation.results)
    )
    metrics = summarise_results(results, resamples=200)
    return replace(row, evaluation=replace(row.evaluation, results=results, metrics=metrics))


def trained(row: EvaluationRow, **summary: Any) -> EvaluationRow:
    """The row of a model whose training stored these facts."""
    policy = SimpleNamespace(summary=summary, document={"params": {}}, recipe=row.ref)
    lineage = RowLineage(row.descriptor.method, cast(Any, policy), cast(Any, policy))
    return replace(row, lineage=lineage)


def study(make: Maker, method: str = "tree-dpo", **own: int) -> list[EvaluationRow]:
    scores = [1.0] * TASKS
    start = played(make("sft-strong", scores), unfinished=1, repeats=2)
    return [start, played(make(method, scores), **own)]


def words(rows: list[EvaluationRow], environment: str = "webshop") -> Mapping[str, str]:
    found = found_signs(cohorts(rows), reward_parts(environment))
    return {signs.own.method: signs.sentence for signs in found}


def test_a_policy_is_compared_with_the_model_that_its_training_started_from(make: Maker) -> None:
    assert words(study(make, unfinished=9, repeats=12, malformed=8)) == {
        "tree-dpo": "W2SG tree-DPO: malformed turns rise from 0.00 to 0.20 an episode; episodes "
        "that bought fall from 97.5 to 77.5 %; episodes that repeat an action rise from 5.0 to "
        "30.0 %."
    }


def test_a_policy_that_plays_as_its_start_has_signs_and_no_sentence(make: Maker) -> None:
    assert words(study(make, unfinished=1, repeats=2)) == {"tree-dpo": ""}


def test_an_environment_without_a_word_of_its_own_has_unfinished_episodes(make: Maker) -> None:
    rows = study(make, unfinished=9)
    (signs,) = found_signs(cohorts(rows), ())
    assert signs.sentence == "W2SG tree-DPO: unfinished episodes rise from 2.5 to 22.5 %."
    (signs,) = found_signs(cohorts(rows), (FINISHED,))
    assert signs.sentence == "W2SG tree-DPO: episodes that finished fall from 97.5 to 77.5 %."


def test_only_what_starts_from_the_baseline_is_compared_with_it(make: Maker) -> None:
    assert words(study(make, "sft-weak", unfinished=9)) == {}
    assert words(study(make, "expert", unfinished=9)) == {}
    start, own = study(make, unfinished=9)
    from_base = own.described(parameters={"train.init": "base"})
    assert words([start, from_base]) == {}
    assert words([own]) == {}


def test_facts_about_pairs_are_averaged_over_runs(make: Maker) -> None:
    rows = [
        trained(make("tree-dpo", [1.0, 0.0], seed=seed), initial_accuracy=share)
        for seed, share in enumerate((0.5, 0.8))
    ]
    later = trained(
        rows[0], initial_accuracy=0.8, initial_preferred=0.5, margin_variance_after_first_turn=0.93
    )
    assert words(rows) == {
        "tree-dpo": "W2SG tree-DPO: its start already preferred the better side of 65 % of the "
        "pairs."
    }
    assert words([later]) == {
        "tree-dpo": "W2SG tree-DPO: 93 % of the margin's variance lies after the first turn."
    }


def signs_table(rows: list[EvaluationRow]) -> Table:
    (table,) = (t for t in report_of(rows).tables() if t.key.startswith("signs-"))
    return table


def test_the_table_has_every_sign_and_marks_the_bad_ones(make: Maker) -> None:
    table = signs_table(study(make, unfinished=9, repeats=2))
    titles = [column.title for column in table.columns]
    assert titles == ["Policy", "Malformed", "Bought", "Repeats"]
    cells = dict(zip(titles, table.rows[0].cells, strict=True))
    assert cells["Bought"].value == -20.0 and cells["Bought"].mark == SIGNIFICANT
    assert cells["Repeats"].value == 0.0 and not cells["Repeats"].mark
    assert "up by 0.05" in table.notes[0]


def test_bad_signs_follow_the_verdict_among_the_first_sentences(make: Maker) -> None:
    section = report_of(study(make, unfinished=9)).section("summary")
    assert section is not None
    assert section.text[0].startswith("W2SG tree-DPO 100.0 is no more than SFT strong")
    assert section.text[1].startswith("W2SG tree-DPO: episodes that bought fall from 97.5")


def test_what_is_no_method_in_question_warns_in_the_table_alone(make: Maker) -> None:
    rows = study(make, "unstructured-dpo", unfinished=9)
    section = report_of(rows).section("summary")
    assert section is not None and section.text == ()
    assert signs_table(rows).rows[0].cells[0].value == "unstructured DPO"
