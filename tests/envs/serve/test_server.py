"""The server's life: places, freed ones, tokens, workers, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.command_line import invoke
from tests.envs.serve.conftest import COMMAND, REPOSITORY, Server, Start
from tests.envs.serve.waiting import NAME as WAITING
from tratree_cli.commands.env import app
from tratree_cli.envs.serve import server as serving
from tratree_cli.errors import InputError


def soon(holds: Callable[[], bool]) -> None:
    """Wait, for a minute at most, until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about within a minute"
        time.sleep(0.05)


def has_room(server: Server) -> bool:
    with server.session() as session:
        return bool(session.ask({"type": "state"})["type"] == "state")


def test_sessions_beyond_the_limit_are_refused_and_closed_ones_make_room(start: Start) -> None:
    server = start("webshop", "--sessions", "2")
    with server.session() as one, server.session() as other:
        assert one.lives() and other.lives()
        with server.session() as refused:
            answer = refused.receive()
            assert answer["type"] == "error"
            assert answer["data"]["code"] == "CAPACITY_REACHED"
            assert (answer["data"]["active_sessions"], answer["data"]["max_sessions"]) == (2, 2)
        assert server.http("POST", "/reset")[0] == 503
        assert server.http("POST", "/agentgym/create")[0] == 503
        assert one.lives()
    soon(lambda: has_room(server))


def test_the_session_of_a_vanished_client_is_freed(start: Start) -> None:
    server = start("webshop", "--sessions", "1")
    with server.session() as session:
        session.reset()
        session.socket.socket.shutdown(socket.SHUT_RDWR)
        soon(lambda: has_room(server))


def test_an_idle_session_is_told_and_freed(start: Start) -> None:
    server = start("webshop", "--sessions", "2", "--idle", "0.2")
    number = server.post("/agentgym/create")
    with server.session() as session:
        answer = session.receive()
        assert answer["data"]["code"] == "SESSION_ERROR" and "idle" in answer["data"]["message"]
    fields = {"env_idx": number, "session_id": 1}
    soon(lambda: server.http("POST", "/agentgym/reset", fields)[0] == 400)
    soon(lambda: has_room(server))


def began(server: Server) -> str:
    """What the environment has begun to do; waits for it."""
    assert server.process.stderr is not None
    return server.process.stderr.readline().strip()


def test_stopping_loses_no_answer_that_is_being_made(start: Start) -> None:
    server = start(WAITING)
    with server.session() as session, server.session() as idle:
        session.reset()
        session.send({"type": "step", "data": {"action": "wait 5"}})
        assert began(server) == "wait 5"
        server.process.send_signal(signal.SIGTERM)
        assert session.receive()["data"]["observation"]["text"] == "did wait 5"
        assert idle.receive()["data"]["message"] == "the server stops"
        assert server.process.wait(timeout=60) == 0
        assert idle.socket.close_code in (1001, None)


def test_stopping_waits_for_nobody_who_does_not_answer(start: Start) -> None:
    server = start(WAITING)
    with server.session() as session:
        session.reset()
        session.send({"type": "step", "data": {"action": "wait 6000"}})
        assert began(server) == "wait 6000"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0  # and not after ten minutes


def test_ctrl_c_ends_it_in_the_same_way(start: Start) -> None:
    server = start("webshop")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=60) == 0


@pytest.mark.parametrize("name", ["webshop", WAITING])
def test_a_client_that_asks_without_waiting_gets_all_answers_in_order(
    start: Start, name: str
) -> None:
    server = start(name)
    with server.session() as session, server.session() as other:
        session.reset(max_steps=5000)
        for _ in range(3000):
            session.send({"type": "step", "data": {"action": "x"}})
        assert other.lives()
        seen = [session.receive()["data"]["observation"]["steps"] for _ in range(3000)]
        assert seen == list(range(1, 3001))


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_client_that_does_not_read_is_nobody_elses_trouble(start: Start) -> None:
    server = start("webshop")
    text = b'{"type":"reset","data":{"index":0}}'
    frame = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
    with server.session() as session, socket.create_connection(address_of(server)) as slow:
        slow.sendall(HANDSHAKE)
        slow.settimeout(2)
        sent = 0
        # Answers are not read, so at some point the server reads no further questions.
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                sent += slow.send(frame * 1000)
        session.reset()
        for _ in range(5):
            assert session.step("search[x]")["observation"]["steps"]
        assert resident(server.process.pid) < 400 << 20


def address_of(server: Server) -> tuple[str, int]:
    place = urlsplit(server.url)
    return str(place.hostname), int(place.port or 0)


def resident(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def many_connections(server: Server, count: int) -> None:
    opened = [socket.create_connection(address_of(server)) for _ in range(count)]
    try:
        for number, one in enumerate(opened):
            # A third says nothing, a third something else, a third begins and goes no further.
            if number % 3:
                one.sendall((b"\x00garbage\r\n\r\n", b"GET /ws HTTP/1.1\r\nUpgrade: ")[number % 2])
        with server.session() as session:
            session.reset()
            assert session.step("search[x]")["observation"]["steps"] == 1
    finally:
        for one in opened:
            one.close()
    assert has_room(server)


def test_hundreds_of_connections_that_say_nothing_are_harmless(start: Start) -> None:
    many_connections(start("webshop"), 300)


@pytest.mark.slow
def test_ten_thousand_connections_are_harmless(start: Start) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        # Both ends of a connection are files, but of different processes.
        count = min(10_000, hard - 200)
        many_connections(start("webshop", "--sessions", "10000"), count)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_beyond_loopback_a_token_is_made_up_and_wanted(start: Start) -> None:
    server = start("webshop", "--host", "0.0.0.0")
    assert re.fullmatch(r"http://0\.0\.0\.0:\d+/token/[\w-]{32}", server.url)
    with server.session() as session:
        assert session.reset()["observation"]["text"]
    assert server.get("/schema") and isinstance(server.post("/agentgym/create"), int)
    base, _, token = server.url.partition("/token/")
    bare, wrong = Server(base, server.process), Server(f"{base}/token/x", server.process)
    for refused in (bare, wrong):
        assert refused.http("GET", "/schema")[0] == 401
        assert refused.http("POST", "/agentgym/create")[0] == 401
        with pytest.raises(Exception, match="403"), refused.session():
            pass
    assert bare.get("/health") == {"status": "healthy"}
    assert bare.http("GET", "/schema", Authorization=f"Bearer {token}")[0] == 200
    assert bare.http("GET", "/schema", Authorization="Bearer nothing")[0] == 401
    with bare.session(additional_headers={"Authorization": f"Bearer {token}"}) as session:
        assert session.lives()


def test_a_token_may_be_given_in_the_environment() -> None:
    process = subprocess.Popen(
        [*COMMAND, "webshop"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "TRATREE_SERVE_TOKEN": "open-sesame"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.endswith("/token/open-sesame")
        assert Server(url, process).get("/schema")
        assert Server(url[: -len("/token/open-sesame")], process).http("GET", "/schema")[0] == 401
    finally:
        process.kill()
        process.communicate()


def test_workers_share_a_port_and_hand_each_other_numbered_sessions(start: Start) -> None:
    server = start("webshop", "--workers", "3", "--sessions", "40")
    numbers = [server.post("/agentgym/create") for _ in range(30)]
    assert {number % 3 for number in numbers} == {0, 1, 2}
    for goal, number in enumerate(numbers):
        # Each request is a connection of its own and may reach any of the three.
        page, _ = server.post("/agentgym/reset", env_idx=number, session_id=goal)
        assert server.get(f"/agentgym/observation?env_idx={number}") == page
    with server.session() as session:
        assert session.reset()["observation"]["steps"] == 0
    assert [server.http("POST", "/agentgym/create")[0] for _ in range(30)].count(200) == 10
    assert server.stop() == ""


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(start: Start) -> None:
    server = start(WAITING, "--workers", "2")
    numbers = [server.post("/reset", task="a")["metadata"]["episode_id"] for _ in range(24)]
    dies = numbers[0]
    held_by = int(dies) % 2
    assert {int(number) % 2 for number in numbers} == {0, 1}
    step = {"action": {"action": "die"}, "episode_id": dies}
    with contextlib.suppress(OSError):  # it was the worker itself that had the request
        assert server.http("POST", "/step", step)[0] == 503
    step["action"] = {"action": "go on"}
    for number in numbers:
        if int(number) % 2 != held_by:
            answer = None
            while answer is None:
                try:
                    answer = server.http("POST", "/step", {**step, "episode_id": number})
                except OSError:
                    continue  # it had been dealt to the worker that died
            assert answer[0] == 200
    soon(lambda: server.http("POST", "/step", step)[0] == 409)
    assert f"worker process {held_by} died (exit 3)" in server.stop()


def test_workers_end_with_their_parent_however_that_ends(start: Start) -> None:
    server = start("webshop", "--workers", "2")
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 2
    server.process.kill()
    soon(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_a_port_that_is_taken_is_an_error_in_a_sentence(start: Start) -> None:
    port = start("webshop", "--workers", "2").url.rpartition(":")[2]
    for workers in ("1", "2"):
        result = invoke(app, ["serve", "webshop", "--port", port, "--workers", workers])
        assert isinstance(result.exception, InputError)
        assert f"cannot listen at 127.0.0.1 port {port}" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nothing"], "there is no environment"),
        (["webshop", "--split", "tset"], "did you mean 'test'"),
        (["webshop", "--set", "page_sice=3"], "no parameter 'page_sice'"),
        (["webshop", "--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        (["webshop", "--idle", "nan"], "--idle"),
        (["webshop", "--token", "a/b"], "a token is made of"),
        ([WAITING, "--split", "empty"], "the split empty"),
    ],
)
def test_what_cannot_be_served_is_refused_before_a_url_is_printed(
    options: list[str], message: str
) -> None:
    result = invoke(app, ["serve", *options])
    assert result.stdout == "" and isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "PACKAGES", ("no_such_web_server",))
    result = invoke(app, ["serve", "webshop"])
    assert "pip install 'tratree[serve-env]'" in str(result.exception)
