"""Engines that tratree starts itself, with a program in vLLM's place that can misbehave."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agents.fake_vllm import VERSION
from tests.command_line import run_tratree
from tratree_cli.agents.engine_policy import open_sglang, open_vllm
from tratree_cli.agents.engines import ENGINES, Limits, ServedModel
from tratree_cli.agents.managed_server import STOP_SECONDS, Lease, ServerCommand, join
from tratree_cli.agents.policy import Opening, PolicyOutageError, Turn
from tratree_cli.errors import InputError, StageError
from tratree_cli.formats.rollouts import read_rollouts

FAKE = Path(__file__).with_name("fake_vllm.py")
MODEL = ServedModel(Path("/nowhere/model"), Path("/nowhere/model"))
USER = "import sys, time, tests.agents.test_managed_server as t; t.use(); time.sleep(600)"


@dataclass(frozen=True)
class Engine:
    """The program in vLLM's place, and what it noted."""

    notes: Path
    monkeypatch: pytest.MonkeyPatch

    def behave(self, *how: str) -> None:
        self.monkeypatch.setenv("FAKE_VLLM", ",".join(how))

    def noted(self, name: str) -> list[Any]:
        file = self.notes / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.noted("processes") if is_running(pid)]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, value in {
        "FAKE_VLLM_NOTES": str(notes),
        "FAKE_VLLM_IDS": "[1, 2, 3]",
        "TRATREE_VLLM": shlex.join([sys.executable, str(FAKE)]),
        "TRATREE_SGLANG": shlex.join([sys.executable, str(FAKE)]),
        # Another cache is another server: no test meets one of another.
        "TRATREE_CACHE": str(tmp_path / "cache"),
        STOP_SECONDS: "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Engine(notes, monkeypatch)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], Any]) -> Any:
    """What ``condition`` gives once it gives anything; the limit is for a test that fails."""
    for _ in range(1200):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came about")


def command() -> ServerCommand:
    return ENGINES["vllm"].command(MODEL, Limits(64))


def use() -> Lease:
    lease = join(command())
    lease.wait_until_ready()
    return lease


def test_a_server_is_gone_when_its_last_lease_is_closed(engine: Engine) -> None:
    first, second = use(), use()
    assert first.url == second.url
    assert len(engine.noted("processes")) == 1
    first.close()
    assert engine.alive()
    second.close()
    assert not engine.alive()


def test_all_who_start_at_once_get_one_server(engine: Engine) -> None:
    with ThreadPoolExecutor(6) as threads:
        leases = list(threads.map(lambda _: use(), range(6)))
        assert len({lease.url for lease in leases}) == 1
        list(threads.map(Lease.close, leases))
    assert len(engine.noted("processes")) == 1
    assert not engine.alive()


def test_the_key_is_in_no_argument_and_the_address_is_of_this_machine_alone(engine: Engine) -> None:
    lease = use()
    (pid,) = engine.noted("processes")
    (words,) = engine.noted("arguments")
    assert lease.key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert lease.key.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    assert words[words.index("--host") + 1] == "127.0.0.1"
    lease.close()


@pytest.mark.parametrize("how", ["", "stubborn", "fork", "hang,stubborn,fork"])
def test_a_command_that_is_killed_leaves_nothing_behind(engine: Engine, how: str) -> None:
    engine.behave(how)
    user = subprocess.Popen([sys.executable, "-c", USER], cwd=FAKE.parents[2])
    wait_for(lambda: len(engine.noted("processes")) == 1 + ("fork" in how))
    user.kill()
    user.wait()
    wait_for(lambda: not engine.alive())


def test_a_supervisor_that_is_killed_leaves_nothing_behind(engine: Engine) -> None:
    engine.behave("fork")
    lease = use()
    first = engine.noted("processes")[0]
    supervisor = int(Path(f"/proc/{first}/stat").read_bytes().rpartition(b")")[2].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not engine.alive())
    assert "supervisor was ended" in lease.wait_until_ended()
    lease.close()
    again = use()
    again.close()


@pytest.mark.parametrize("how", ["stubborn", "fork"])
def test_what_ignores_sigterm_is_killed_with_its_helpers(engine: Engine, how: str) -> None:
    engine.behave(how)
    lease = use()
    assert len(engine.alive()) == 1 + (how == "fork")
    lease.close()
    assert not engine.alive()


def test_a_server_that_dies_in_warm_up_is_told_with_its_last_lines(engine: Engine) -> None:
    engine.behave("die", "fork")
    lease = join(command())
    with pytest.raises(StageError, match=r"(?s)exited with 1.*no room for the KV cache") as error:
        lease.wait_until_ready()
    assert "loading weights ***" in str(error.value)
    assert not engine.alive()


def test_a_server_that_never_answers_is_given_up(engine: Engine) -> None:
    engine.behave("hang")
    engine.monkeypatch.setenv("TRATREE_ENGINE_START_SECONDS", "0.5")
    lease = join(command())
    with pytest.raises(StageError, match="TRATREE_ENGINE_START_SECONDS"):
        lease.wait_until_ready()
    lease.close()
    assert not engine.alive()


def test_an_engine_that_cannot_be_started_is_one_sentence(engine: Engine) -> None:
    engine.monkeypatch.setenv("TRATREE_VLLM", str(engine.notes / "no-such-program"))
    with pytest.raises(InputError, match="TRATREE_VLLM="):
        command()
    broken = engine.notes / "broken"
    broken.write_text("no program")
    broken.chmod(0o755)
    engine.monkeypatch.setenv("TRATREE_VLLM", str(broken))
    with pytest.raises(StageError, match="could not be started"):
        join(command()).wait_until_ready()


# The policy


def adapter(folder: Path, base: Path, rank: int = 8) -> Path:
    """An adapter's folder without weights, which the program does not read."""
    folder.mkdir()
    for file in [*base.glob("token*"), *base.glob("*.jinja")]:
        (folder / file.name).write_bytes(file.read_bytes())
    config = {"r": rank, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_sampled_ids_go_into_the_next_request_as_they_were_sampled(
    engine: Engine, chatml_model: Path
) -> None:
    policy = open_vllm(str(chatml_model), {"max_new_tokens": 7, "max_context": 512}, 2)
    try:
        policy.begin([Opening(0, seed=5, setting={"temperature": 0.5})])
        for observation in ("You are in the hall.", "Nothing happens."):
            policy.submit([Turn(0, observation)])
            (reply,) = policy.collect()
            assert reply.tokens == (1, 2, 3)[: len(reply.tokens)]
        one, two = [r for r in engine.noted("requests") if r["path"] == "/v1/completions"]
        assert two["prompt"][: len(one["prompt"]) + len(reply.tokens)] == [
            *one["prompt"],
            *reply.tokens,
        ]
        assert (one["max_tokens"], one["temperature"], one["return_token_ids"]) == (7, 0.5, True)
        assert one["seed"] != two["seed"]
        policy.submit([Turn(0, "lamp " * 600)])
        assert policy.collect()[0].end == "context-overflow"
    finally:
        policy.close()
    assert not engine.alive()


def test_adapters_of_one_base_share_a_server(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folders = [adapter(tmp_path / f"a{rank}", chatml_model, rank) for rank in (8, 16)]
    policies = [open_vllm(str(folder), {}, 1) for folder in folders]
    for policy in policies:
        policy.begin([Opening(0, seed=1)])
        policy.submit([Turn(0, "You are in the hall.")])
        policy.collect()
    requests = engine.noted("requests")
    loaded = [r["lora_path"] for r in requests if r["path"] == "/v1/load_lora_adapter"]
    assert loaded == [str(folder) for folder in folders]
    names = [r["lora_name"] for r in requests if "lora_name" in r]
    assert [r["model"] for r in requests if "model" in r] == names
    assert len(engine.noted("processes")) == 1
    (words,) = engine.noted("arguments")
    assert words[1] == str(chatml_model)
    assert words[words.index("--max-lora-rank") + 1] == "64"
    for policy in policies:
        policy.close()
    assert not engine.alive()


def test_sglang_is_sent_ids_and_its_key_in_a_file(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folder = adapter(tmp_path / "adapter", chatml_model)
    policy = open_sglang(str(folder), {"max_new_tokens": 7}, 1)
    policy.begin([Opening(0, seed=5, setting={"temperature": 0.5})])
    policy.submit([Turn(0, "You are in the hall.")])
    assert policy.collect()[0].tokens
    policy.close()
    loaded, asked = engine.noted("requests")
    assert asked["lora_path"] == loaded["lora_name"]
    assert asked["input_ids"]
    assert asked["sampling_params"]["max_new_tokens"] == 7
    assert engine.noted("key-file") == [0o600]
    (words,) = engine.noted("arguments")
    assert not Path(words[words.index("--config") + 1]).exists()
    assert not engine.alive()


def test_an_adapter_that_is_refused_ends_the_server(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    engine.behave("refuse")
    folder = adapter(tmp_path / "adapter", chatml_model)
    with pytest.raises(StageError, match=r"refuses the adapter .*rank 64 is greater than 16"):
        open_vllm(str(folder), {}, 1)
    assert not engine.alive()


def test_a_server_that_dies_while_it_plays_is_an_outage_with_its_last_lines(
    engine: Engine, chatml_model: Path
) -> None:
    engine.behave("die-later")
    policy = open_vllm(str(chatml_model), {}, 1)
    policy.begin([Opening(0, seed=1)])
    with pytest.raises(PolicyOutageError, match=r"(?s)exited with 3.*fell off the bus"):
        for _ in range(2):
            policy.submit([Turn(0, "You are in the hall.")])
            policy.collect()
    policy.close()
    assert not engine.alive()


# The command line

SHORT = ("--limit", "1", "-m", "1", "--no-stdin", "--set", "explore.max_new_tokens=16", "--json")


@pytest.mark.slow
def test_exploration_by_an_engine_says_so_and_is_another_artifact(
    engine: Engine, tmp_path: Path
) -> None:
    words = ("explore", "--policy", "tratree-s", *SHORT)
    done = run_tratree(tmp_path, *words, "--engine", "vllm")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert not engine.alive()
    assert made["summary"]["external"] is True
    assert made["summary"]["engine"] == {"name": "vllm", "version": VERSION}
    rollouts = read_rollouts(tmp_path / made["path"])
    assert rollouts.sources[0].startswith("base:sha256:")
    again = run_tratree(tmp_path, *words, "--engine", "vllm")
    assert json.loads(again.stdout)["ref"] == made["ref"]
    assert len(engine.noted("processes")) == 1
    planned = run_tratree(tmp_path, *words, "--dry-run")
    assert "would run" in planned.stdout
    checked = run_tratree(tmp_path, "store", "verify", made["ref"], "--recompute")
    assert "outside the store" in checked.stderr


@pytest.mark.slow
def test_a_served_model_is_shared_with_commands_until_it_is_interrupted(
    engine: Engine, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tratree_cli.app", "serve", "tratree-s", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    assert told["url"].startswith("http://127.0.0.1:")
    assert (told["engine"], told["version"]) == ("vllm", VERSION)
    evaluated = run_tratree(
        tmp_path, "eval", "--policy", "tratree-s", "--engine", "vllm", "--limit", "1", "--no-stdin"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert len(engine.noted("processes")) == 1
    assert engine.alive()
    server.send_signal(signal.SIGINT)
    assert server.wait() == 130
    assert not engine.alive()
    assert "Traceback" not in server.communicate()[1]


def test_an_engine_that_is_not_installed_is_one_sentence_with_what_to_type(
    engine: Engine, tmp_path: Path
) -> None:
    nowhere = {"TRATREE_VLLM": "no-such-vllm"}
    for words in (("eval", "--policy", "tratree-s", "--engine", "vllm", "--no-stdin"),
                  ("report", "--engine", "vllm", "--no-stdin"),
                  ("serve", "tratree-s")):  # fmt: skip
        done = run_tratree(tmp_path, *words, environment=nowhere)
        assert done.returncode == 2, done.stderr
        assert "pip install vllm" in done.stderr
        assert 'TRATREE_VLLM="uvx' in done.stderr
        assert "Traceback" not in done.stderr
