"""What is written is read back, in the same bytes each time, and broken files say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tratree_cli.errors import InputError
from tratree_cli.evaluation.artifact import (
    METRICS,
    Budget,
    Descriptor,
    read_evaluation,
    write_evaluation,
)
from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.evaluation.results import EpisodeResult

RESULTS = tuple(
    EpisodeResult(f"t{i % 3}", "shoes", i // 3, 0, i / 9, i > 2, 2, 0, "done", (0.0, i / 9))
    for i in range(9)
)
DESCRIPTOR = Descriptor(
    label="strong, tree-DPO",
    method="tree-dpo",
    environment="webshop",
    split="test",
    seed=1,
    budget=Budget(160, 1200, 60),
    parameters={"explore.m": 6, "dpo.beta": 0.1},
    varied=("dpo.beta",),
    warnings=("decoding was restricted to available actions",),
)


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    metrics = summarise_results(RESULTS)
    write_evaluation(tmp_path, metrics, RESULTS, DESCRIPTOR)
    evaluation = read_evaluation(tmp_path)
    assert evaluation.metrics == metrics
    assert evaluation.results == RESULTS
    assert evaluation.descriptor == DESCRIPTOR


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_evaluation(tmp_path / name, summarise_results(RESULTS), RESULTS, DESCRIPTOR)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_figures_alone_are_read_without_the_episodes(tmp_path: Path) -> None:
    write_evaluation(tmp_path, summarise_results(RESULTS), RESULTS, DESCRIPTOR)
    (tmp_path / "results.jsonl.zst").unlink()
    assert read_evaluation(tmp_path, with_results=False).metrics.tasks == 3
    with pytest.raises(InputError, match=r"results\.jsonl\.zst is missing"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "descriptor": {"x": 1}}']
)
def test_a_broken_file_is_named_in_one_sentence(tmp_path: Path, content: str) -> None:
    write_evaluation(tmp_path, summarise_results(RESULTS), RESULTS, DESCRIPTOR)
    (tmp_path / METRICS).write_text(content)
    with pytest.raises(InputError, match=str(tmp_path)):
        read_evaluation(tmp_path)


def test_the_small_file_can_be_read_by_people_and_names_its_format(tmp_path: Path) -> None:
    write_evaluation(tmp_path, summarise_results(RESULTS), RESULTS, DESCRIPTOR)
    text = (tmp_path / METRICS).read_text("utf-8")
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document["format"] == 1
    assert "protocol" not in document["descriptor"]


def test_a_protocol_is_written_where_there_is_one_and_sets_figures_apart(tmp_path: Path) -> None:
    followed = replace(DESCRIPTOR, protocol="paper 1")
    write_evaluation(tmp_path, summarise_results(RESULTS), RESULTS, followed)
    assert read_evaluation(tmp_path).descriptor == followed
    assert (DESCRIPTOR.task_set, followed.task_set) == ("test", "test (paper 1)")


def test_a_policy_that_learnt_nothing_here_has_a_budget_of_zero_and_others_an_unknown_one() -> None:
    assert Budget() == Budget(0, 0, 0, None)
    assert Descriptor("x", "served").budget == Budget(None, None, None, None)


def test_an_evaluation_without_any_scored_episode_is_read_back(tmp_path: Path) -> None:
    broken = [replace(RESULTS[0], score=None)]
    metrics = summarise_results(broken, best_of=2)
    write_evaluation(tmp_path, metrics, broken, DESCRIPTOR)
    assert read_evaluation(tmp_path).metrics == metrics
