"""What ``--dry-run`` says of memory, and ``explore.block = auto``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Answer, Folder, run_tratree
from tests.peak_memory import forecast, measured
from tests.test_startup import HEAVY, loaded
from tests.tiny_models import make_model
from tratree_cli.models import free_memory
from tratree_cli.stages import memory_forecast

GB = 10**9
TALK = [{"role": "user", "content": "Red?"}, {"role": "assistant", "content": "Action: buy"}]


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("TRATREE_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path, monkeypatch)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what is free on the machine."""

    def set_to(gigabytes: float) -> None:
        monkeypatch.setattr(free_memory, "main_memory", lambda: round(gigabytes * GB))
        monkeypatch.setattr(free_memory, "gpu_memory", list)
        memory_forecast.device_of.cache_clear()

    set_to(16)
    return set_to


def forecasts(answer: Answer) -> dict[str, Any]:
    """The lines of ``--dry-run --json`` by the stage's name, their memory alone."""
    assert answer.code == 0, answer.err
    return {line["stage"]: line["memory"] for line in answer.lines}


def test_a_plan_says_device_bytes_and_parts_of_what_computes_with_models(
    tratree: Folder, memory: Any
) -> None:
    found = forecasts(tratree("explore", "--dry-run", "--json", "--recipe", "large"))
    assert found["demos"] is None
    # Qwen2.5-1.5B: 1,543,714,304 frozen weights, in bfloat16.
    parts = found["sft"]["parts"]
    assert parts["weights"] == 2 * 1_543_714_304
    assert found["sft"]["bytes"] == sum(parts.values())
    assert (found["sft"]["device"], found["sft"]["at_most"]) == ("cpu", True)
    assert found["explore"]["parts"]["weights"] == 4 * 1_543_714_304


def test_people_read_it_beside_the_time_and_the_parts_with_v(tratree: Folder, memory: Any) -> None:
    shown = tratree("explore", "--dry-run", "--recipe", "paper-llama2").out
    assert re.search(r"SFT weak +\? +≤ [\d,]+ GB", shown)
    assert "most memory: ≤ " in " ".join(shown.split())
    assert "keys and values" not in shown
    assert "keys and values" in tratree("explore", "-n", "-v", "--recipe", "paper-llama2").out


def test_a_model_of_unknown_shape_has_no_forecast(tratree: Folder, memory: Any) -> None:
    folder = tratree.path / "odd"
    make_model(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8}))
    found = forecasts(tratree("sft", "--model", str(folder), "--dry-run", "--json"))
    assert found["sft"] is None


def test_served_and_scripted_policies_take_no_memory_of_ours(tratree: Folder, memory: Any) -> None:
    assert forecasts(tratree("explore", "--policy", "random", "-n", "--json"))["explore"] is None


def test_a_forecast_counts_texts_that_exist_without_importing_anything_heavy(
    tmp_path: Path,
) -> None:
    (tmp_path / "demos.jsonl").write_text(json.dumps({"messages": TALK}) + "\n")
    words = ("sft", "--demos", "demos.jsonl", "--model", "tratree-s", *QUICK)
    # It is trained once, so that the demonstrations are in the store.
    assert run_tratree(tmp_path, *words, "--no-stdin").returncode == 0
    words = (*words, "--force")
    planned = run_tratree(tmp_path, *words, "-n", "--json", "--no-stdin")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout.splitlines()[-1])["memory"]["at_most"] is False
    heavy = loaded(tmp_path, *words, "-n") & set(HEAVY)
    assert not heavy


def block(answer: Answer) -> int:
    """The number that the plan resolved."""
    assert answer.code == 0, answer.err
    (said,) = re.findall(r"explore\.block = (\d+), chosen by auto", answer.err)
    return int(said)


AUTO = ("explore", "--recipe", "small", "--set", "explore.block=auto", "--dry-run")


def test_concurrency_follows_free_memory_and_says_so(tratree: Folder, memory: Any) -> None:
    memory(16)
    answer = tratree(*AUTO)
    assert block(answer) == 32
    assert "81,920 bytes of keys and values a token, 16.0 GB free on cpu" in answer.err


def test_what_was_decided_stays_when_memory_changes(tratree: Folder, memory: Any) -> None:
    first = block(tratree(*AUTO))
    memory(3)
    again = tratree(*AUTO)
    assert block(again) == first
    assert "as decided before" in again.err
    # Another limit is another question.
    assert block(tratree(*AUTO, "--set", "explore.max_context=2048")) < first


def test_the_number_is_recorded_and_keyed_as_if_it_had_been_written(
    tratree: Folder, memory: Any
) -> None:
    play = ("explore", "--policy", "random", "--limit", "2", "-m", "1", "--json")
    auto = tratree(*play, "--set", "explore.block=auto")
    fixed = tratree(*play, "--set", f"explore.block={block(auto)}")
    assert auto.json["recipe"] == fixed.json["recipe"]
    made = json.loads(tratree("store", "show", auto.json["ref"], "--json").out.splitlines()[-1])
    assert made["recipe"] == auto.json["recipe"]
    # What is made of it inherits the number, and decides nothing again.
    memory(1)
    assert "chosen by auto" not in tratree("build-tree", auto.json["ref"]).err


def test_a_number_is_taken_as_it_is_and_another_word_is_refused(
    tratree: Folder, memory: Any
) -> None:
    fixed = tratree("explore", "--policy", "random", "--set", "explore.block=7", "--dry-run")
    assert fixed.code == 0 and "chosen by auto" not in fixed.err
    tratree("explore", "--set", "explore.block=most", "--dry-run").refused("explore.block", "auto")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read as Linux tells it")
def test_training_and_exploring_take_what_was_said_within_a_fifth(tmp_path: Path) -> None:
    model = ("--env", "webshop", "--set", "models.weak=tratree-m", "--set", "demos.limit=64")
    short = (*model, "--set", "sft.weak.epochs=0.5")
    for batch in ("1", "8"):
        words = ("sft", *short, "--set", f"sft.micro_batch={batch}")
        peak = measured(tmp_path, *words)
        assert forecast(tmp_path, "sft", *words) == pytest.approx(peak, rel=0.2)
    play = ("explore", *short, "--set", "sft.micro_batch=8", "--limit", "48", "-m", "1")
    peak = measured(tmp_path, *play)
    assert forecast(tmp_path, "explore", *play) == pytest.approx(peak, rel=0.2)
