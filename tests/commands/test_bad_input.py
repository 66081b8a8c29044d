"""Bad input through the real command: one sentence, the right exit code, the store as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.command_line import invoke, run_tratree
from tests.e2e.conftest import Command
from tratree_cli.app import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRATREE_STORE", raising=False)


def assert_refused(done: object, *expected: str, code: int = 2) -> None:
    """Exit code, no traceback, one line of complaint with the expected words, nothing on stdout."""
    stderr = done.stderr  # type: ignore[attr-defined]
    assert done.returncode == code, stderr  # type: ignore[attr-defined]
    assert "Traceback" not in stderr
    complaint = [line for line in stderr.splitlines() if line.startswith("tratree: ")]
    assert len(complaint) == 1, stderr
    for words in expected:
        assert words in complaint[0]
    assert done.stdout == ""  # type: ignore[attr-defined]


def test_an_unknown_environment_names_the_nearest(tratree: Command, tmp_path: Path) -> None:
    assert_refused(tratree("explore", "--env", "webshp"), "webshp", "did you mean 'webshop'")
    assert not (tmp_path / ".tratree").exists()


def test_an_unknown_recipe_names_the_nearest(tratree: Command) -> None:
    assert_refused(tratree("explore", "--recipe", "quik"), "quik", "did you mean 'quick'")


def test_an_unknown_parameter_names_the_nearest(tratree: Command) -> None:
    assert_refused(
        tratree("explore", "--set", "explore.temprature=1"),
        "explore.temprature",
        "did you mean 'explore.temperature'",
    )


def test_an_ill_typed_parameter_says_what_it_must_be(tratree: Command) -> None:
    assert_refused(tratree("explore", "--set", "explore.m=many"), "explore.m", "whole number")


def test_an_unknown_pair_rule_and_method_are_named(tratree: Command) -> None:
    assert_refused(tratree("mine-pairs", "--rule", "tre"), "did you mean 'tree'")
    assert_refused(tratree("train-strong", "--method", "mtcs"), "did you mean 'mcts'")


def test_an_unknown_model_is_one_sentence(tratree: Command) -> None:
    assert_refused(tratree("sft", "--model", "tratree-x"), "tratree-x")


def test_an_unknown_prompt_lists_the_shipped_ones(tratree: Command) -> None:
    assert_refused(tratree("sft", "--prompt", "quik"), "did you mean 'quick'")


def test_a_missing_data_folder_is_named(tratree: Command) -> None:
    assert_refused(tratree("explore", "--data", "nowhere", "--policy", "expert"), "nowhere")


def test_a_data_folder_without_products_says_what_is_missing(
    tratree: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(tratree("explore", "--data", "empty", "--policy", "expert"), "items_shuffle")


def test_truncated_json_names_the_file_and_the_place(tratree: Command, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "items_shuffle.json").write_text('[{"asin": "B000000001", "name": "a"', "utf-8")
    (folder / "items_ins_v2.json").write_text("{}", "utf-8")
    done = tratree("explore", "--data", "broken", "--policy", "expert")
    assert_refused(done, "items_shuffle.json", "line 1")


def test_an_unreadable_project_file_is_named(tratree: Command, tmp_path: Path) -> None:
    (tmp_path / "tratree.toml").write_text("recipe = ", "utf-8")
    assert_refused(tratree("explore"), "tratree.toml")


def test_an_unknown_reference_is_refused(tratree: Command) -> None:
    assert_refused(tratree("build-tree", "rollouts:abcd1234"), "rollouts:abcd1234")


def test_an_empty_pipe_means_that_the_stage_before_failed(tratree: Command) -> None:
    assert_refused(tratree("build-tree", stdin=""), "the stage before failed")


def test_no_stdin_ignores_an_empty_pipe(tratree: Command) -> None:
    done = tratree("build-tree", "--no-stdin", "--dry-run", stdin="")
    assert done.returncode == 0, done.stderr
    assert "would run" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_named(tratree: Command, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = tratree("explore", "--policy", "expert", "--limit", "2", "--store", "locked/store")
    assert_refused(done, "locked")


def test_a_store_below_a_file_is_refused(tratree: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    for place in ("file", "file/store"):
        done = tratree("explore", "--policy", "expert", "--limit", "2", "--store", place)
        assert_refused(done, "is a file")
        assert_refused(tratree("show", "tree@latest", "--store", place), "file")


def test_an_output_folder_that_does_not_exist_is_named(tratree: Command) -> None:
    assert_refused(tratree("report", "--output", "nowhere/report.html"), "nowhere")


@pytest.mark.parametrize("command", [("eval",), ("explore",), ("run", "--set")])
def test_an_unknown_split_is_refused_before_anything_is_made_for_it(
    tratree: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    words = (*command, "eval.split=trian") if "--set" in command else (*command, "--split", "trian")
    # The second time the names of the splits are remembered.
    for _ in range(2):
        assert_refused(tratree(*words), "webshop has no split 'trian'", "did you mean 'train'?")
    assert not (tmp_path / ".tratree").exists()


def test_the_test_split_is_not_explored_by_accident(tratree: Command) -> None:
    assert_refused(tratree("explore", "--split", "test"), "--allow-test")


def test_errors_are_one_json_object_with_json(tratree: Command) -> None:
    done = tratree("explore", "--env", "webshp", "--json")
    assert done.returncode == 2
    assert "webshop" in json.loads(done.stdout)["error"]["message"]


class TestWrongArtifacts:
    """A stage says what it got and what it wants, and the store stays as it was."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        made = run_tratree(tmp_path, "explore", "--policy", "expert", "--limit", "4", "-m", "1")
        assert made.returncode == 0, made.stderr
        (tmp_path / "ref").write_text(made.stdout, "utf-8")
        return tmp_path

    def test_a_wrong_kind_is_named_with_the_wanted_one(self, folder: Path) -> None:
        ref = (folder / "ref").read_text("utf-8").strip()
        before = sorted(str(p) for p in (folder / ".tratree" / "objects").rglob("*"))
        assert_refused(run_tratree(folder, "mcts", ref), "'rollouts'", "'tree'")
        assert before == sorted(str(p) for p in (folder / ".tratree" / "objects").rglob("*"))

    def test_an_ambiguous_reference_lists_candidates(self, folder: Path) -> None:
        for limit in range(1, 4):
            run_tratree(folder, "explore", "--policy", "expert", "--limit", str(limit), "-m", "1")
        assert_refused(run_tratree(folder, "build-tree", "rollouts:"), "rollouts:")

    def test_a_flag_that_contradicts_the_lineage_is_refused(self, folder: Path) -> None:
        ref = (folder / "ref").read_text("utf-8").strip()
        contradiction = run_tratree(
            folder, "build-tree", ref, "--set", "env.parameters.page_size=9"
        )
        assert_refused(contradiction, "drop the flag")
        other_prompt = run_tratree(folder, "build-tree", ref, "--prompt", "eto")
        assert_refused(other_prompt, "made with the prompt 'quick'", "'eto'")
        assert_refused(
            run_tratree(folder, "build-tree", ref, "--recipe", "micro"), "quick", "micro"
        )
        other = run_tratree(folder, "build-tree", ref, "--env", "alfworld")
        assert_refused(other, "alfworld")


# -- flags that would say nothing, or the opposite of each other -------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval", "--policy", "random", "--best-of", "4", "--samples", "2"], "--samples"),
        (["eval", "--policy", "random", "--best-of", "4", "--temperature", "0"], "--temperature 0"),
        (["eval", "model@latest", "--policy", "random"], "not both"),
        (["explore", "--policy", "random", "--explorer", "strong"], "--explorer"),
        (["explore", "--policy", "random", "--address", "host:6379"], "--engine ray"),
        (["explore", "--engine", "rya"], "no engine is called 'rya'"),
        (["sft", "--diverge-weight", "0.5"], "--diverge-from"),
        (["train-strong", "--method", "mcts", "--beta", "0.2"], "--beta"),
        (["train-strong", "--method", "best-observed", "--ref", "weak"], "--ref"),
        (["train-strong", "--method", "sft-more", "--explicit-kl"], "--explicit-kl"),
        (["report", "--existing", "--controls"], "drop --controls"),
        (["explore", "--exit-code"], "--dry-run"),
        (["explore", "--force", "--frozen"], "--frozen"),
    ],
    ids=" ".join,
)
def test_a_flag_that_would_do_nothing_is_refused(words: list[str], said: str) -> None:
    done = invoke(app, [*words, "--no-stdin"])
    assert done.exit_code == 2, done.stderr
    assert said in done.stderr
    assert not Path(".tratree").exists()


@pytest.mark.parametrize("key", ["explore.limit", "eval.limit", "demos.limit", "seed"])
def test_a_number_below_its_bound_is_refused_and_not_counted_from_the_end(key: str) -> None:
    done = invoke(app, ["report", "--no-stdin", "--set", f"{key}=-3"])
    assert done.exit_code == 2
    assert f"'{key}' must be at least 0, not -3" in done.stderr


def test_no_limit_of_a_recipe_drops_a_task_that_was_named() -> None:
    words = ["explore", "--policy", "random", "--tasks", "1,2,3", "--set", "explore.limit=2", "-n"]
    done = invoke(app, [*words, "--no-stdin"])
    assert done.exit_code == 2
    assert "--limit" in done.stderr
    for limit in ("0", "2"):
        assert invoke(app, [*words, "--no-stdin", "--limit", limit]).exit_code == 0


def test_a_dry_run_plays_no_part() -> None:
    words = ["explore", "--policy", "random", "--limit", "2", "-m", "1", "--shard", "1/1", "-n"]
    done = invoke(app, [*words, "--no-stdin"])
    assert done.exit_code == 0, done.stderr
    assert "would run" in done.stdout
    assert not list(Path(".tratree").rglob("*.zst"))
