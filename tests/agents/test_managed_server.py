"""Engines that tratree starts itself, with a program in vLLM's place that can misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.agents.started_engine import FAKE, Engine
from tratree_cli.agents.engines import ENGINES, Limits, ServedModel
from tratree_cli.agents.managed_server import Lease, ServerCommand, join
from tratree_cli.errors import InputError, StageError

MODEL = ServedModel(Path("/nowhere/model"), Path("/nowhere/model"))
USER = "import sys, time, tests.agents.test_managed_server as t; t.use(); time.sleep(600)"


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
