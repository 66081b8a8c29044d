"""The real clients of other programs against the real server (``make test-all``).

They live in an environment of their own, ``.venv/clients``; without it these tests skip.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.envs.serve.conftest import REPOSITORY, Start
from tratree_cli.envs.agent_episode import AgentEpisode
from tratree_cli.envs.alfworld import open_environment as open_alfworld
from tratree_cli.envs.protocol import Environment
from tratree_cli.envs.webshop import open_environment as open_webshop

CLIENTS = Path(sys.prefix) / "clients" / "bin"
SCRIPTS = Path(__file__).parent / "clients"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLIENTS.is_dir(), reason="needs: make .venv/.clients"),
]


def client(script: str, *arguments: str) -> list[Any]:
    """What a script prints that runs among the clients."""
    done = subprocess.run(
        [CLIENTS / "python", SCRIPTS / script, *arguments], capture_output=True, text=True
    )
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip(f"the clients could not be installed: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def as_told(episode: AgentEpisode, *, began: bool) -> list[Any]:
    state = episode.state
    assert state is not None
    observation = {
        "text": state.text,
        "instruction": episode.instruction,
        "available_actions": episode.available_actions(),
        "score": state.score,
        "success": state.success,
        "valid": state.valid,
        "steps": state.steps,
    }
    return [observation, None if began else state.reward, state.done]


@pytest.mark.parametrize(
    ("name", "opened", "workers"),
    [
        ("webshop", open_webshop, "1"),
        ("webshop", open_webshop, "2"),
        ("alfworld", open_alfworld, "1"),
    ],
)
def test_openenvs_client_plays_200_episodes_over_64_connections_as_the_engine_does(
    start: Start, name: str, opened: Callable[[], Environment], workers: str
) -> None:
    environment = opened()
    split = "train"
    server = start(name, "--workers", workers)
    told = client("play_openenv.py", server.url, split, "200", "64")
    assert sorted(index for index, *_ in told) == list(range(200))
    for index, actions, seen, state in told:
        episode = AgentEpisode(environment, environment.splits()[split][index])
        episode.reset()
        expected = [as_told(episode, began=True)]
        for action in actions:
            episode.step(action)
            expected.append(as_told(episode, began=False))
        assert seen == expected, f"episode {index}"
        assert episode.state is not None
        assert sum(reward or 0 for _, reward, _ in seen) == pytest.approx(episode.state.score)
        assert (state["task"], state["step_count"]) == (episode.task, len(actions))
    assert server.stop() == ""


def test_openenvs_client_in_a_synchronous_program(start: Start) -> None:
    error, (reset, step, state) = client("play_openenv.py", start("webshop").url)
    assert "EXECUTION_ERROR" in error
    assert (reset[1], reset[2]) == (None, False) and step[0]["valid"] is False
    assert state["step_count"] == 1


def test_the_example_of_the_documentation_runs(start: Start, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "serving.md").read_text("utf-8")
    mark = r"<!-- tested by: \S+ -->\n"
    [example] = re.findall(mark + "```python\n(.*?)```", page, re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example.replace("http://127.0.0.1:8000", start("webshop").url))
    done = subprocess.run([CLIENTS / "python", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Page 1" in done.stdout


@contextmanager
def model_server(say: Callable[[list[str]], str]) -> Iterator[str]:
    """A chat model over HTTP that says what ``say`` makes of the user's messages."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            users = [one["content"] for one in body["messages"] if one["role"] == "user"]
            texts = [u if isinstance(u, str) else "".join(p["text"] for p in u) for u in users]
            delta = {"role": "assistant", "content": say(texts)}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            events = [
                {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": usage},
            ]
            head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
            stream = "".join(f"data: {json.dumps(head | event)}\n\n" for event in events)
            sent = (stream + "data: [DONE]\n\n").encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}/v1"
        served.shutdown()


def test_verifiers_openenv_taskset_runs_rollouts_with_a_scripted_model(
    start: Start, tmp_path: Path
) -> None:
    environment = open_webshop()
    dev = environment.splits()["dev"]
    server = start("webshop")

    def say(messages: list[str]) -> str:
        """The expert of the shop; it reads all observations again at every turn."""
        read = [json.loads(message)["observation"] for message in messages]
        by_instruction = {environment.instruction(task): task for task in dev[:4]}
        expert = environment.expert(by_instruction[read[0]["instruction"]])
        thought, action = [expert.act(observation["text"]) for observation in read][-1]
        return f"Thought: {thought}\nAction: {action}" if len(read) % 2 else action

    resets = ", ".join(f'{{split = "dev", index = {index}}}' for index in range(4))
    with model_server(say) as model:
        (tmp_path / "eval.toml").write_text(
            f'model = "scripted"\npush = false\noutput_dir = "{tmp_path}/out"\n'
            f'[client]\nbase_url = "{model}"\napi_key_var = "SCRIPTED_KEY"\n'
            f'[env.taskset]\nid = "openenv"\nbase_url = "{server.url}"\nresets = [{resets}]\n'
            '[env.player]\nharness = {id = "null"}\nruntime = {type = "subprocess"}\n'
        )
        # The harness would have uv install its chat program's packages anew; they are here.
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "uv").write_text(
            f'#!/bin/sh\n[ "$1" = python ] && echo {CLIENTS}/python\nexit 0\n'
        )
        (tools / "uv").chmod(0o755)
        done = subprocess.run(
            [CLIENTS / "vf-eval", "@", tmp_path / "eval.toml"],
            capture_output=True,
            text=True,
            env={**os.environ, "SCRIPTED_KEY": "x", "HOME": str(tmp_path),
                 "PATH": f"{tools}:{os.environ['PATH']}"},
        )  # fmt: skip
    traces = list(tmp_path.glob("out/*/traces.jsonl"))
    assert len(traces) == 1, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [json.loads(line) for line in traces[0].read_text().splitlines()]
    assert len(lines) == 4 and all(line["ok"] for line in lines), done.stdout[-2000:]
    for line in lines:
        task = dev[line["task"]["data"]["reset"]["index"]]
        expert, episode = environment.expert(task), AgentEpisode(environment, task)
        state = episode.reset()
        while not state.done:
            state = episode.step(expert.act(state.text)[1])
        rewards = json.dumps(line["traces"][0]["rewards"])
        assert "openenv_reward" in rewards
        assert str(round(state.score, 6)) in rewards, (rewards, state.score)
