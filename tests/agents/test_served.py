"""Served policies against a real HTTP server that can be told to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.agents.toy import open_environment
from tratree_cli.agents.policy import Opening, PolicyOutageError, Turn
from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import EpisodeRequest, play
from tratree_cli.agents.served import ServedPolicy
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, DONE, POLICY_ERROR, Trajectory

Behave = Callable[[dict[str, Any]], "tuple[int, Any] | None"]


class Server:
    """Answers with the way to the lamp; ``behave`` may answer (status, body) in its place."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.behave: Behave = lambda request: None
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.requests.append(request)
                    outer.headers.append(dict(self.headers))
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                status, content = outer.behave(request) or (200, completion(way(request)))
                with outer.lock:
                    outer.at_once -= 1
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                if status < 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


def completion(text: str, reason: str = "stop") -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": reason}]}


def way(request: dict[str, Any]) -> str:
    room = request["messages"][0]["content"].split("lamp in the ")[1].split(".")[0]
    there = request["messages"][-1]["content"].endswith(f"in the {room}.")
    return "Action: light" if there else f"Action: go {room}"


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server(), Server()]
    yield made
    for server in made:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def server(servers: list[Server]) -> Server:
    return servers[0]


def episodes(policy: Any, count: int = 6, batch: int = 32) -> list[Trajectory]:
    requests = [EpisodeRequest(str(task), seed=1000 + task) for task in range(count)]
    try:
        return play(
            open_environment(), policy, requests, [{"temperature": 0.5, "top_p": 0.9}], batch=batch
        )[0]
    finally:
        policy.close()


def opened(*urls: str, **options: Any) -> ServedPolicy:
    return ServedPolicy.open(",".join(urls) + "#toy", **{"pause": 0.01, **options})


def test_episodes_are_played_through_a_server(server: Server) -> None:
    trajectories = episodes(open_policy(f"openai:{server.url}#toy"))
    assert [t.end for t in trajectories] == [DONE] * 6
    assert all(t.score == 1.0 for t in trajectories)
    request = server.requests[0]
    assert (request["model"], request["temperature"], request["top_p"]) == ("toy", 0.5, 0.9)
    longest = max(server.requests, key=lambda one: len(one["messages"]))["messages"]
    assert [message["role"] for message in longest] == ["user", "assistant", "user"]


def test_every_episode_and_turn_has_its_own_seed(server: Server) -> None:
    episodes(opened(server.url))
    seeds = [request["seed"] for request in server.requests]
    assert len(set(seeds)) > 6
    first = sorted(seeds)
    server.requests.clear()
    episodes(opened(server.url))
    assert sorted(request["seed"] for request in server.requests) == first


def test_requests_run_at_once_but_not_more_than_allowed(server: Server) -> None:
    def slow(request: dict[str, Any]) -> None:
        time.sleep(0.05)

    server.behave = slow
    episodes(opened(server.url, concurrency=4), count=12)
    assert 2 <= server.most_at_once <= 4


@pytest.mark.parametrize("status", [429, 500, 503, -1])
def test_what_passes_is_tried_again(server: Server, status: int) -> None:
    failures = iter([True, True, False])

    def shaky(request: dict[str, Any]) -> tuple[int, Any] | None:
        return (status, {}) if next(failures, False) else None

    server.behave = shaky
    assert [t.end for t in episodes(opened(server.url))] == [DONE] * 6


def test_servers_are_balanced_and_a_dead_one_is_passed_by(servers: list[Server]) -> None:
    one, two = servers
    episodes(opened(one.url, two.url), count=12)
    assert abs(len(one.requests) - len(two.requests)) <= 1
    dead = "http://127.0.0.1:9/v1"
    assert [t.end for t in episodes(opened(dead, two.url))] == [DONE] * 6


def test_an_outage_ends_after_bounded_retries(server: Server) -> None:
    server.behave = lambda request: (503, {})
    with pytest.raises(PolicyOutageError, match="3 tries") as raised:
        episodes(opened(server.url, retries=2), count=2)
    assert raised.value.exit_code == 3
    assert len(server.requests) <= 6


def test_a_server_that_does_not_answer_in_time_is_an_outage(server: Server) -> None:
    def asleep(request: dict[str, Any]) -> None:
        time.sleep(0.6)

    server.behave = asleep
    with pytest.raises(PolicyOutageError, match="timed out"):
        episodes(opened(server.url, retries=1, timeout=0.1), count=1)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ((400, {"error": {"message": "This model's maximum context length is 9"}}), "overflow"),
        ((400, {"error": {"message": "flagged"}}), POLICY_ERROR),
        ((200, completion("", "content_filter")), POLICY_ERROR),
        ((200, b"<html>"), POLICY_ERROR),
        ((200, {"choices": []}), POLICY_ERROR),
        ((200, {"choices": [{"message": None}]}), POLICY_ERROR),
    ],
)
def test_what_a_server_refuses_ends_only_that_episode(
    server: Server, answer: tuple[int, Any], end: str
) -> None:
    server.behave = lambda request: (
        answer if "Task 2:" in request["messages"][0]["content"] else None
    )
    heard: list[Any] = []
    policy = opened(server.url, on_refusal=heard.append)
    trajectories = episodes(policy)
    expected = CONTEXT_OVERFLOW if end == "overflow" else end
    assert [t.end for t in trajectories] == [DONE, DONE, expected, DONE, DONE, DONE]
    assert heard == policy.refusals
    assert len(heard) == (expected == POLICY_ERROR)


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_stops_the_run_with_a_sentence(server: Server, status: int) -> None:
    server.behave = lambda request: (status, {})
    with pytest.raises(PolicyOutageError, match=r"key|knows no model"):
        episodes(opened(server.url))


def test_the_key_is_sent_and_told_to_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRATREE_API_KEY", "hush-hush")
    server.behave = lambda request: (503, {})
    with pytest.raises(PolicyOutageError) as raised:
        episodes(opened(server.url, retries=0), count=1)
    assert server.headers[0]["Authorization"] == "Bearer hush-hush"
    assert "hush" not in str(raised.value)


def test_poisoned_answers_are_kept_in_bounds(server: Server) -> None:
    long = "Action: " + "x" * (3 << 20)
    answers = iter([long, "Action: \ud800\x00<|im_end|>", "Action: light"])
    server.behave = lambda request: (200, completion(next(answers)))
    trajectory = episodes(opened(server.url), count=1)[0]
    assert (trajectory.end, trajectory.valid) == (DONE, (False, False, True))


def test_closing_does_not_wait_for_a_server_that_hangs(server: Server) -> None:
    def asleep(request: dict[str, Any]) -> None:
        time.sleep(3)

    server.behave = asleep
    policy = opened(server.url)
    policy.begin([Opening(0, 0)])
    policy.submit([Turn(0, "the lamp in the hall.")])
    time.sleep(0.3)
    began = time.monotonic()
    policy.close()
    with pytest.raises(PolicyOutageError):
        policy.collect()
    assert time.monotonic() - began < 2


def test_extra_fields_reach_the_server(server: Server) -> None:
    episodes(opened(server.url, extra_body={"top_k": 5}), count=1)
    assert server.requests[0]["top_k"] == 5


@pytest.mark.parametrize("reference", ["openai:", "openai:localhost#m", "openai:http://x/v1"])
def test_an_incomplete_reference_is_a_sentence(reference: str) -> None:
    with pytest.raises(InputError, match="openai:http"):
        open_policy(reference)
