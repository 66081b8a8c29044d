"""``tratree explore`` as people call it, on policies that cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.agents.conftest import REPOSITORY
from tests.agents.test_served import Server, completion
from tests.command_line import invoke
from tratree_cli.app import app
from tratree_cli.formats.rollouts import Rollouts, read_rollouts


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRATREE_STORE", raising=False)
    return tmp_path


def explore(*words: str, **options: Any) -> tuple[int, dict[str, Any], str]:
    """Exit code, what ``--json`` says, and stderr."""
    done = invoke(app, ["explore", "--json", "--no-stdin", *words], **options)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.exit_code, orjson.loads(lines[-1]) if lines else {}, done.stderr


def rollouts(*words: str, **options: Any) -> Rollouts:
    code, answer, errors = explore(*words, **options)
    assert code == 0, errors
    return read_rollouts(Path(answer["path"]))


def shards(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in (folder / ".tratree" / "partial").rglob("*.zst")}


def test_ten_samples_after_six_play_only_four(folder: Path) -> None:
    words = ("--policy", "random", "--limit", "5", "--set", "explore.block=5")
    six = rollouts(*words, "-m", "6")
    before = shards(folder)
    ten = rollouts(*words, "-m", "10")
    after = shards(folder)
    assert len(before) == 6
    assert len(after) == 10
    assert {place: after[place] for place in before} == before
    seeds = {(one.task, one.sample): one.seed for one in ten.trajectories}
    assert all(seeds[one.task, one.sample] == one.seed for one in six.trajectories)
    assert len({one.seed for one in ten.trajectories}) == 50


def test_each_trajectory_names_its_policy_and_its_settings(folder: Path) -> None:
    grid = ("--temperature", "0.7,1.0", "--top-p", "0.9,1.0", "-m", "4", "--limit", "3")
    found = rollouts("--policy", "expert", "--policy", "random", *grid)
    assert found.sources == ["expert", "random"]
    settings = [(one["temperature"], one["top_p"]) for one in found.settings]
    assert settings == [(0.7, 0.9), (0.7, 1.0), (1.0, 0.9), (1.0, 1.0)]
    assert {(one.sample, one.setting) for one in found.trajectories} == {
        (number, number) for number in range(4)
    }
    assert len(found.trajectories) == 3 * 4 * 2
    means = [
        sum(one.score or 0 for one in found.trajectories if one.source == source)
        for source in (0, 1)
    ]
    assert means[0] > means[1]


def test_shards_that_another_plan_played_are_numbered_as_this_one(folder: Path) -> None:
    """The same policy and setting stand at other places of the two plans."""
    one = rollouts("--policy", "random", "--limit", "3", "-m", "2", "--temperature", "1.0")
    assert {trajectory.setting for trajectory in one.trajectories} == {0}
    known = shards(folder)
    words = ("--policy", "expert", "--policy", "random", "--temperature", "0.5,1.0")
    both = rollouts(*words, "--limit", "3", "-m", "2")
    assert set(known) & set(shards(folder)) == set(known)
    assert {(t.source, t.sample, t.setting) for t in both.trajectories} == {
        (source, sample, sample) for source in (0, 1) for sample in (0, 1)
    }
    same = [t for t in both.trajectories if (t.source, t.setting) == (1, 1)]
    assert [t.seed for t in same] == [t.seed for t in one.trajectories if t.sample == 1]


def test_tasks_are_chosen_by_name_split_and_number(folder: Path) -> None:
    words = ("--policy", "random", "-m", "1")
    first = [one.task for one in rollouts(*words, "--limit", "4").trajectories]
    named = ",".join([first[3], first[1]])
    assert [t.task for t in rollouts(*words, "--tasks", named).trajectories] == [
        first[1],
        first[3],
    ]
    (folder / "names.txt").write_text(f"{first[2]}\n\n{first[0]}\n")
    listed = rollouts(*words, "--tasks", "@names.txt", "--limit", "1")
    assert [t.task for t in listed.trajectories] == first[:1]
    dev = rollouts(*words, "--split", "dev", "--limit", "2")
    assert not {t.task for t in dev.trajectories} & set(first)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tasks", "nowhere"), "no task 'nowhere'"),
        (("--tasks", "@nofile"), "cannot be read"),
        (("--tasks", ","), "no task is named"),
        (("--policy", "random"), "named twice"),
        (("--model-revision", "x"), "served models"),
        (("--policy", "openai:http://me:secret@host/v1#m"), "TRATREE_API_KEY"),
        (("--policy", "nomodel"), "nomodel"),
    ],
)
def test_what_cannot_be_explored_is_a_sentence(words: tuple[str, ...], said: str) -> None:
    code, _, errors = explore("--policy", "random", "--limit", "2", *words)
    assert code == 2
    assert said in errors


def test_a_person_plays_one_episode_after_the_other() -> None:
    words = ("--policy", "human", "--limit", "2", "-m", "1", "--workers", "2")
    typed = "search[lamp]\nThought: hm Action: search[rug]\n" + "click[Back to Search]\n" * 40
    code, answer, errors = explore(*words, input=typed)
    assert code == 0, errors
    found = read_rollouts(Path(answer["path"]))
    texts = [found.texts[number] for number in found.trajectories[0].outputs[:2]]
    assert texts == ["Action: search[lamp]", "Thought: hm Action: search[rug]"]
    assert answer["summary"]["external"] is True


def test_a_person_who_leaves_interrupts_and_keeps_what_is_finished(folder: Path) -> None:
    words = ("--policy", "human", "--limit", "2", "-m", "1")
    code, _, errors = explore(*words, input="click[x]\n" * 18)
    assert code == 130, errors
    assert len(shards(folder)) == 1


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.behave = lambda request: (200, completion("Action: search[lamp]"))
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_a_served_policy_is_known_by_its_model_and_not_by_its_address(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRATREE_API_KEY", "hush-hush-hush")
    words = ("--limit", "2", "-m", "1", "--policy")
    code, first, errors = explore(*words, f"openai:{server.url}#toy")
    assert code == 0, errors
    assert first["summary"]["external"] is True
    asked = len(server.requests)
    moved = explore(*words, f"openai:http://127.0.0.1:9/v1,{server.url}#toy")[1]
    assert moved["object"] == first["object"]
    assert len(server.requests) == asked
    other = explore(*words, f"openai:{server.url}#toy", "--model-revision", "v2")[1]
    assert other["recipe"] != first["recipe"]
    assert len(server.requests) > asked
    for place in (path for path in folder.rglob("*") if path.is_file()):
        assert b"hush" not in place.read_bytes()


def test_further_fields_reach_the_server_and_enter_the_key_only_when_they_are_set(
    server: Server,
) -> None:
    words = ("--limit", "1", "-m", "1", "--policy", f"openai:{server.url}#toy")
    fields = {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}
    plain = explore(*words)[1]
    assert explore(*words, "--extra-body", "{}")[1]["recipe"] == plain["recipe"]
    server.requests.clear()
    code, typed, errors = explore(*words, "--extra-body", orjson.dumps(fields).decode())
    assert code == 0, errors
    assert server.requests
    assert all(request | fields == request for request in server.requests)
    assert typed["recipe"] != plain["recipe"]
    configured = explore(
        *words,
        "--set",
        "explore.extra_body.top_k=20",
        "--set",
        "explore.extra_body.chat_template_kwargs.enable_thinking=false",
    )[1]
    assert configured["recipe"] == typed["recipe"]


def test_further_fields_change_no_key_where_no_served_policy_plays() -> None:
    words = ("--limit", "1", "-m", "1", "--policy", "random")
    plain = explore(*words)[1]
    assert explore(*words, "--set", "explore.extra_body.top_k=20")[1]["recipe"] == plain["recipe"]


def test_an_evaluation_sends_further_fields_too(server: Server) -> None:
    words = ("--limit", "1", "--policy", f"openai:{server.url}#toy", "--extra-body", '{"top_k": 7}')
    done = invoke(app, ["eval", "--json", "--no-stdin", *words])
    assert done.exit_code == 0, done.stderr
    assert {request["top_k"] for request in server.requests} == {7}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--extra-body", "{top_k: 20}"), "--extra-body is not JSON"),
        (("--extra-body", "[1]"), "takes a JSON object"),
        (("--extra-body", '{"top_k": NaN}'), "'top_k' has a value that JSON cannot hold"),
        (("--extra-body", '{"messages": []}'), "'messages' cannot be set here"),
        (("--extra-body", '{"temperature": 1}'), "'temperature' cannot be set here"),
        (("--extra-body", '{"API_KEY": "x"}'), "set TRATREE_API_KEY"),
        (("--set", "explore.extra_body.model=x"), "'model' cannot be set here: name the model"),
        (("--set", "explore.extra_body=5"), "must be a table"),
    ],
)
def test_further_fields_that_cannot_be_sent_are_a_sentence(
    words: tuple[str, ...], said: str
) -> None:
    code, _, errors = explore("--policy", "openai:http://127.0.0.1:9/v1#toy", *words)
    assert code == 2
    assert said in errors


def test_further_fields_without_a_served_policy_are_refused() -> None:
    code, _, errors = explore("--policy", "random", "--extra-body", '{"top_k": 20}')
    assert code == 2
    assert "--extra-body is about served models" in errors


def test_what_a_server_refuses_is_kept_with_the_episode_without_the_key(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRATREE_API_KEY", "hush-hush-hush")
    server.behave = lambda request: (400, {"error": {"message": "key hush-hush-hush is odd"}})
    words = ("--limit", "1", "-m", "1", "--policy", f"openai:{server.url}#toy")
    code, answer, errors = explore(*words)
    assert code == 3
    assert "1 by policy-error" in errors
    assert "*** is odd" in errors
    (kept,) = read_rollouts(Path(answer["path"])).trajectories
    assert kept.score is None
    assert kept.detail.startswith("400: ")
    assert "hush" not in kept.detail
    assert "*** is odd" in kept.detail


def test_an_outage_is_exit_3_and_the_same_command_goes_on(folder: Path, server: Server) -> None:
    words = ("--limit", "2", "-m", "2", "--set", "explore.block=1", "--policy")
    calls = iter(range(1000))

    def dies(request: dict[str, Any]) -> tuple[int, Any]:
        return (401, {}) if next(calls) > 25 else (200, completion("Action: search[lamp]"))

    server.behave = dies
    code, _, errors = explore(*words, f"openai:{server.url}#toy")
    assert code == 3
    assert "TRATREE_API_KEY" in errors
    finished = shards(folder)
    assert 0 < len(finished) < 4
    server.behave = lambda request: (200, completion("Action: search[lamp]"))
    code, answer, errors = explore(*words, f"openai:{server.url}#toy")
    assert code == 0, errors
    assert answer["summary"]["trajectories"] == 4
    assert {place: shards(folder)[place] for place in finished} == finished


def test_ones_own_policy_explores_from_the_working_folder(folder: Path) -> None:
    code = "def answer(messages, seed):\n    return 'Action: search[rug]'\n"
    (folder / "mine.py").write_text(code)
    words = ("--policy", "python:mine:answer", "--limit", "2", "-m", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", "explore", "--no-stdin", "--json", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = orjson.loads(done.stdout)
    assert answer["summary"]["endings"] == {"step-limit": 2}
    # Whole lines and nothing that moves the cursor, where there is no terminal.
    assert "\x1b" not in done.stderr


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_bytes_of_one_that_was_not(folder: Path) -> None:
    words = [sys.executable, "-m", "tratree_cli.app", "explore", "--no-stdin", "--policy", "random"]
    words += ["-m", "30", "--limit", "60", "--set", "explore.block=6"]
    partial = folder / "a" / "partial"
    killed = 0
    for wait in range(1, 40):
        process = subprocess.Popen(
            [*words, "--store", "a"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        have = len(list(partial.rglob("*.zst")))
        end = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < end:
            if len(list(partial.rglob("*.zst"))) >= have + 25 + wait % 7:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.005)
        out, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
    assert killed >= 5
    whole = subprocess.run([*words, "--store", "b"], capture_output=True, text=True, check=True)
    assert out == whole.stdout


@pytest.mark.slow
def test_the_slurm_array_of_the_real_command_gives_what_one_run_gives(folder: Path) -> None:
    binary = folder / "bin"
    binary.mkdir()
    command = binary / "tratree"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tratree_cli.app "$@"\n')
    command.chmod(0o755)
    words = ["--policy", "random", "-m", "4", "--limit", "8", "--set", "explore.block=3"]

    def job(**variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{binary}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", str(REPOSITORY / "templates" / "cluster" / "explore.slurm"), *words],
            env={**os.environ, "PATH": path, "TRATREE_STORE": "shared", **variables},
            capture_output=True,
            text=True,
            check=True,
        )

    for index in ("3", "1", "2"):
        played = job(SLURM_ARRAY_TASK_ID=index, SLURM_ARRAY_TASK_COUNT="3")
        assert played.stdout == ""
    merged = job(TRATREE_MERGE="1", TRATREE_SHARE=str(folder / "results")).stdout.strip()
    alone = invoke(app, ["explore", "--no-stdin", *words, "--store", "alone"])
    assert alone.stdout.strip() == merged
    pulled = invoke(app, ["store", "pull", "results", merged, "--store", "home"])
    assert pulled.exit_code == 0, pulled.output
    assert invoke(app, ["show", merged, "--store", "home"]).exit_code == 0


def test_that_code_of_model_folders_was_allowed_is_recorded_and_no_part_of_the_key() -> None:
    words = ("--policy", "random", "--limit", "1", "-m", "1")
    recipes, recorded = set(), []
    for more in ((), ("--trust-remote-code", "--force")):
        ref = explore(*words, *more)[1]["ref"]
        shown = orjson.loads(invoke(app, ["store", "show", "--json", ref]).stdout)
        recipes.add(shown["recipe"])
        recorded.append(shown["provenance"].get("trust_remote_code", False))
    assert recorded == [False, True]
    assert len(recipes) == 1
