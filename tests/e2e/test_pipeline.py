"""The whole pipeline through the real command line, on the micro recipe: nothing is mocked."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from .conftest import Command, run_tratree

REFERENCE = re.compile(r"^[a-z-]+:[0-9a-f]{64}\n$")


def test_report_takes_webshop_from_demonstrations_to_a_table(studied: Path) -> None:
    table = (studied / "report.txt").read_text("utf-8")
    for row in (
        "expert",
        "random",
        "SFT weak",
        "SFT strong",
        "W2SG tree-DPO",
        "W2SG MCTS",
        "unstructured DPO",
    ):
        assert row in table
    assert table.rstrip().splitlines()[-1].startswith("Next: tratree")


def test_a_second_report_is_cached_and_quick(studied: Path) -> None:
    began = time.process_time()
    again = run_tratree(studied, "report", "--recipe", "micro")
    assert again.returncode == 0, again.stderr
    assert again.stdout == (studied / "report.txt").read_text("utf-8")
    assert not re.search(r"^(…|✓)", again.stderr, re.MULTILINE), again.stderr
    assert time.process_time() - began < 5


def test_frozen_is_satisfied_by_the_cache_and_refuses_the_rest(studied: Path) -> None:
    assert run_tratree(studied, "report", "--recipe", "micro", "--frozen").returncode == 0
    other = run_tratree(studied, "report", "--recipe", "micro", "--frozen", "--seed", "1")
    assert other.returncode == 4
    assert "SFT weak" in other.stderr


def test_dry_run_prints_the_plan_and_runs_nothing(studied: Path) -> None:
    plan = run_tratree(studied, "report", "--recipe", "micro", "--seed", "1", "-n", "--json")
    lines = [json.loads(line) for line in plan.stdout.splitlines()]
    states = {line["label"]: line["state"] for line in lines}
    assert states["demonstrations"] == "cached"
    assert states["SFT weak model"] == "would run"
    assert states["trajectory trees"].startswith("depends on")
    code = run_tratree(studied, "report", "--recipe", "micro", "--seed", "1", "-n", "--exit-code")
    assert code.returncode == 4


def test_stages_pipe_into_each_other(studied: Path) -> None:
    reference = ""
    for words in (
        ("explore", "--recipe", "micro"),
        ("build-tree",),
        ("mcts",),
        ("train-strong", "--method", "mcts"),
        ("eval",),
    ):
        done = run_tratree(studied, *words, stdin=reference or None)
        assert done.returncode == 0, done.stderr
        assert REFERENCE.match(done.stdout), done.stdout
        reference = done.stdout
    assert reference.startswith("evaluation:")
    # Typed stage by stage it is what the report had pulled, to the byte.
    assert "✓" not in done.stderr, "the evaluation was computed again"


def test_training_infers_its_method_from_what_it_is_given(studied: Path) -> None:
    for kind, method in (("paths@latest", "mcts"), ("pairs@latest", None)):
        shown = run_tratree(studied, "train-strong", kind, "--json", "--dry-run")
        assert shown.returncode == 0, shown.stderr
        labels = [json.loads(line)["label"] for line in shown.stdout.splitlines()]
        assert labels[-1].startswith("strong model")
        assert method is None or method in labels[-1]
    wrong = run_tratree(studied, "train-strong", "paths@latest", "--method", "tree-dpo")
    assert wrong.returncode == 2
    assert "trains on pairs" in wrong.stderr


def test_asking_for_more_samples_plays_only_the_difference(studied: Path) -> None:
    more = run_tratree(studied, "explore", "--recipe", "micro", "-m", "4", "--json")
    assert more.returncode == 0, more.stderr
    answer = json.loads(more.stdout)
    assert answer["summary"]["trajectories"] == 4 * 24
    shards = list((studied / ".tratree" / "partial").rglob("*.zst"))
    before = {p: p.stat().st_mtime_ns for p in shards}
    again = run_tratree(studied, "explore", "--recipe", "micro", "-m", "4", "--force")
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == answer["ref"]
    assert {p: p.stat().st_mtime_ns for p in shards} == before


def test_one_json_object_describes_an_artifact(studied: Path) -> None:
    done = run_tratree(studied, "mine-pairs", "--recipe", "micro", "--json")
    record = json.loads(done.stdout)
    assert record["kind"] == "pairs"
    assert record["ref"] == f"pairs:{record['object']}"
    assert (studied / record["path"]).is_dir()
    assert record["summary"]["pairs"] >= 0


def test_every_kind_can_be_shown(studied: Path) -> None:
    for kind in ("demos", "model", "rollouts", "tree", "pairs", "paths", "evaluation", "report"):
        shown = run_tratree(studied, "show", f"{kind}@latest")
        assert shown.returncode == 0, f"{kind}: {shown.stderr}"
        assert shown.stdout.strip()
        assert "\x1b" not in shown.stdout


@pytest.mark.slow
def test_a_crash_between_two_stages_costs_only_what_is_missing(
    studied: Path, tratree: Command, tmp_path: Path
) -> None:
    """The demonstrations are there, the model is not: only the model is made."""
    first = tratree("sft", "--recipe", "micro", environment={"TRATREE_FAULT": ""}, timeout=300)
    assert first.returncode == 0, first.stderr
    removed = tratree("store", "ls", "--json")
    assert removed.returncode == 0, removed.stderr
    kinds = {json.loads(line)["kind"] for line in removed.stdout.splitlines()}
    assert kinds == {"demos", "model"}
    again = tratree("explore", "--recipe", "micro", "--dry-run", "--json")
    states = {line["label"]: line["state"] for line in map(json.loads, again.stdout.splitlines())}
    assert states == {
        "demonstrations": "cached",
        "SFT weak model": "cached",
        "exploration": "would run",
    }
    assert tmp_path.is_dir()
    assert studied.is_dir()


def test_the_page_opens_with_what_was_done_in_numbers(studied: Path) -> None:
    written = run_tratree(studied, "report", "--recipe", "micro", "-o", "page.html")
    assert written.returncode == 0
    page = (studied / "page.html").read_text("utf-8")
    story = page[page.index('<section id="story">') : page.index('<section id="summary">')]
    steps = re.findall(r'class="number">([\d,+ ]+)</span> <span class="what">(.*?)</span>', story)
    labels = [re.sub("<[^>]+>", "", label) for _, label in steps]
    assert labels[:1] == ["demonstrations"] and "rollouts" in labels and "trees" in labels
    assert labels[-1].startswith("W2SG")
    assert 'data-drawing="rewards"' in story and "The most telling tree" in story
    assert re.search(r"Made \d{4}-\d\d-\d\d \d\d:\d\d UTC · tratree \d", page)
    assert page.count('<section id="gallery">') == 1
    # What is of this run stands in no artifact.
    (artifact,) = run_tratree(studied, "report", "--recipe", "micro", "--json").stdout.splitlines()
    stored = json.loads(Path(json.loads(artifact)["path"], "report.json").read_text("utf-8"))
    assert stored["origin"] == [] and "UTC" not in json.dumps(stored)
