"""OpenEnv's protocol: what is served is the engine's, and what is wrong costs one reply."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.envs.serve.conftest import Server, Start
from tests.envs.serve.waiting import NAME as WAITING
from tratree_cli.envs.agent_episode import AgentEpisode, AgentState
from tratree_cli.envs.alfworld import open_environment as open_alfworld
from tratree_cli.envs.protocol import Environment
from tratree_cli.envs.webshop import open_environment as open_webshop


def as_sent(episode: AgentEpisode, state: AgentState, *, reward: float | None) -> dict[str, object]:
    return {
        "observation": {
            "text": state.text,
            "instruction": episode.instruction,
            "available_actions": episode.available_actions(),
            "score": state.score,
            "success": state.success,
            "valid": state.valid,
            "steps": state.steps,
        },
        "reward": reward,
        "done": state.done,
    }


@pytest.mark.parametrize(
    ("name", "opened"), [("webshop", open_webshop), ("alfworld", open_alfworld)]
)
def test_an_episode_over_the_socket_is_the_engines(
    start: Start, name: str, opened: Callable[[], Environment]
) -> None:
    environment = opened()
    draw = Random(0)
    with start(name).session() as session:
        for index, task in enumerate(environment.splits()["dev"][:10]):
            episode = AgentEpisode(environment, task)
            state = episode.reset()
            assert session.reset(split="dev", index=index) == as_sent(episode, state, reward=None)
            total = 0.0
            while not state.done:
                action = draw.choice([*episode.available_actions(), "xyzzy"])
                state = episode.step(action)
                seen = session.step(draw.choice(["", "Thought: so.\nAction: "]) + action)
                assert seen == as_sent(episode, state, reward=state.reward)
                total += seen["reward"]
            assert total == pytest.approx(state.score)


def test_the_url_is_one_line_on_stdout_and_stopping_is_no_failure(start: Start) -> None:
    server = start("webshop")
    assert server.url.startswith("http://127.0.0.1:")
    server.process.terminate()
    rest, errors = server.process.communicate(timeout=60)
    assert (rest, errors, server.process.returncode) == ("", "", 0)


def test_what_a_client_asks_before_it_plays(shop: Server) -> None:
    assert shop.get("/health") == {"status": "healthy"}
    schema = shop.get("/schema")
    assert schema["action"]["required"] == ["action"]
    assert shop.get("/metadata")["name"] == "webshop"
    assert shop.get("/state") == {"episode_id": None, "step_count": 0}
    assert "/ws" in shop.get("/")
    assert shop.http("GET", "/nothing")[0] == shop.http("POST", "/health")[0] == 404
    with shop.session() as session:
        observation = session.reset()["observation"]
    assert set(observation) == set(schema["observation"]["properties"])
    assert session.socket.close_code == 1000


def test_the_task_api_lists_what_reset_takes(shop: Server) -> None:
    assert shop.get("/list_environments") == ["webshop"]
    splits = shop.get("/webshop/splits")
    assert {"name": "train", "type": "train"} in splits
    assert {"name": "dev", "type": "validation"} in splits
    assert shop.post("/webshop/num_tasks", split="dev") == {"num_tasks": 200}
    tasks = shop.post("/webshop/tasks", split="dev")["tasks"]
    assert len(tasks) == 200
    assert shop.post("/webshop/task", split="dev", index=3) == {"task": tasks[3]}
    assert shop.post("/webshop/task_range", split="dev", start=2, stop=4) == {"tasks": tasks[2:4]}
    assert shop.post("/webshop/task_range", split="dev", stop=2) == {"tasks": tasks[:2]}
    with shop.session() as session:
        session.reset(**tasks[3])
        assert session.ask({"type": "state"})["data"]["task"] == tasks[3]["task"]
    assert shop.http("POST", "/other/tasks", {"split": "dev"})[0] == 404
    for path, fields in (
        ("tasks", {"split": "dve"}),
        ("tasks", {}),
        ("task", {"split": "dev", "index": 200}),
        ("task", {"split": "dev"}),
        ("task_range", {"split": "dev", "start": "x"}),
    ):
        status, answer = shop.http("POST", f"/webshop/{path}", fields)
        assert status == 400 and answer["detail"], (path, fields)


def test_a_plug_in_is_served_under_its_place(start: Start) -> None:
    server = start(WAITING, "--split", "test")
    assert server.get(f"/{WAITING}/splits")[1] == {"name": "test", "type": "test"}
    with server.session() as session:
        assert session.reset()["observation"]["instruction"] == "Do c."
        assert session.reset(split="train")["observation"]["instruction"] == "Do a."


def test_tasks_are_chosen_in_reset(shop: Server) -> None:
    dev = open_webshop().splits()["dev"]
    with shop.session() as session:

        def task() -> str:
            return str(session.ask({"type": "state"})["data"]["task"])

        session.reset(split="dev", task=dev[5])
        assert task() == dev[5]
        session.reset(task=int(dev[6]))
        assert task() == dev[6]
        session.reset(seed=3)
        drawn = task()
        session.reset(seed=3)
        assert task() == drawn
        answer = session.reset(split="dev", index=0, taks="7", prompt="x")
        assert answer["metadata"] == {"ignored": ["taks", "prompt"]}
        for wanted in ({"split": "dve"}, {"index": -1}, {"task": "x"}, {"index": "x"}, {"seed": []},
                       {"max_steps": -1}, {"episode_id": 3}, {"available_actions": 1}):  # fmt: skip
            assert session.error({"type": "reset", "data": wanted}) == "VALIDATION_ERROR", wanted
        assert task() == dev[0], "a reset that fails changes nothing"


def test_reset_takes_a_label_a_step_limit_and_whether_actions_are_listed(shop: Server) -> None:
    with shop.session() as session:
        reset = session.reset(episode_id="mine", max_steps=2, available_actions=False)
        assert "available_actions" not in reset["observation"]
        state = session.ask({"type": "state"})["data"]
        assert (state["episode_id"], state["max_steps"]) == ("mine", 2)
        assert not session.step("x")["done"]
        assert session.step("x")["done"]


def test_any_json_scalar_is_an_action(start: Start) -> None:
    with start(WAITING).session() as session:
        session.reset()
        for action, seen in (
            (12, "did 12"),
            (1.5, "did 1.5"),
            (True, "did true"),
            (None, "did null"),
            (10**15, f"did {10**15}"),
            ([1, "a"], 'did [1,"a"]'),
            ("Thought: x Action: y", "did y"),
            ("half \ud800", "did half ?"),
        ):
            assert session.step(action)["observation"]["text"] == seen
        text = '{"type": "step", "data": {"action": NaN, "metadata": {}}}'
        assert session.ask(text)["data"]["observation"]["text"].lower() == "did null"


def test_what_is_wrong_with_a_message_is_one_error_and_the_session_goes_on(shop: Server) -> None:
    deep = "[" * 100_000
    with shop.session() as session:
        session.reset(split="dev", index=0)
        assert session.error("garbage") == "INVALID_JSON"
        assert session.error(b"\xff\xfe\x00") == "INVALID_JSON"
        assert session.error(deep) == "INVALID_JSON"
        assert session.error("9" * 5000) == "INVALID_JSON"
        assert session.error("") == "INVALID_JSON"
        for message in (
            [],
            3,
            None,
            {},
            {"type": "jump"},
            {"type": []},
            {"type": "mcp", "data": {}},
        ):
            assert session.error(message) == "UNKNOWN_TYPE", message
        for message in (
            {"type": "step"},
            {"type": "step", "data": None},
            {"type": "step", "data": "search[x]"},
            {"type": "step", "data": {}},
            {"type": "step", "data": {"actoin": "x"}},
            {"type": "step", "data": {"action": "x", "more": 1}},
            {"type": "step", "data": {"action": {"x": 1}}},
            {"type": "reset", "data": []},
            {"type": "reset", "data": {"split": "\ud800"}},
        ):
            assert session.error(message) == "VALIDATION_ERROR", message
        assert session.ask({"type": "state"})["data"]["step_count"] == 0
        assert session.step("search[shirt]")["observation"]["valid"]


def test_a_step_outside_an_episode_is_an_error(shop: Server) -> None:
    step = {"type": "step", "data": {"action": "search[x]"}}
    with shop.session() as session:
        assert session.error(step) == "EXECUTION_ERROR"
        assert session.ask({"type": "state"})["data"] == {"episode_id": None, "step_count": 0}
        session.reset(max_steps=1)
        assert session.step("search[x]")["done"]
        assert session.error(step) == "EXECUTION_ERROR"
        session.reset()
        assert not session.step("search[x]")["done"]


def test_an_environment_that_raises_costs_one_reply(start: Start) -> None:
    server = start(WAITING)
    with server.session() as session, server.session() as other:
        other.reset(task="a")
        session.reset(task="a")
        assert session.error({"type": "step", "data": {"action": "break"}}) == "EXECUTION_ERROR"
        assert session.step("go on")["observation"]["text"] == "did go on"
        assert session.error({"type": "reset", "data": {"task": "broken"}}) == "EXECUTION_ERROR"
        assert session.step("go on")["observation"]["steps"] == 2
        assert other.step("x")["observation"]["steps"] == 1
    assert "the environment failed: OSError" in server.stop()


def test_two_steps_at_once_are_answered_in_their_order(start: Start) -> None:
    server = start(WAITING)
    with server.session() as session, server.session() as other:
        session.reset(task="a")
        for action in ("wait 3", "second", "third"):
            session.send({"type": "step", "data": {"action": action}})
        assert other.lives(), "a slow step holds nobody up"
        seen = [session.receive()["data"]["observation"] for _ in range(3)]
        assert [(one["text"], one["steps"]) for one in seen] == [
            ("did wait 3", 1),
            ("did second", 2),
            ("did third", 3),
        ]


def test_an_episode_can_be_played_over_http(shop: Server) -> None:
    dev = open_webshop().splits()["dev"]
    first = shop.post("/reset", split="dev", index=0, max_steps=2)
    number = first["metadata"]["episode_id"]
    assert first["observation"]["steps"] == 0 and first["reward"] is None
    assert shop.get(f"/state?episode_id={number}")["task"] == dev[0]
    step = {"action": {"action": "search[shirt]"}, "episode_id": number}
    assert not shop.post("/step", **step)["done"]
    assert shop.post("/step", **step)["done"]
    assert shop.http("POST", "/step", step)[0] == 409, "it is freed when it is done"
    assert shop.http("POST", "/step", {"action": {"action": "x"}})[0] == 400
    assert shop.http("POST", "/step", {"episode_id": number, "action": "x"})[0] == 400
    assert shop.http("POST", "/reset", {"split": "dve"})[0] == 400
    assert shop.http("POST", "/reset", b"garbage")[0] == 400
    assert shop.http("POST", "/reset", [])[0] == 400
    assert shop.http("GET", "/state?episode_id=x")[0] == 400


def test_two_requests_at_once_for_one_session_are_refused_not_mixed(start: Start) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server = start(WAITING)
    number = server.post("/reset")["metadata"]["episode_id"]

    def step(_: int) -> tuple[int, object]:
        fields = {"action": {"action": "wait 10"}, "episode_id": number}
        return server.http("POST", "/step", fields)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(step, range(4)))
    statuses = sorted(status for status, _ in answers)
    # Requests that happened to come after an answer are answered too; none is lost or mixed.
    assert set(statuses) <= {200, 409} and statuses[0] == 200
    taken = statuses.count(200)
    assert server.get(f"/state?episode_id={number}")["step_count"] == taken


def test_a_message_that_is_too_long_is_refused(start: Start) -> None:
    from websockets.exceptions import ConnectionClosed

    server = start("webshop", "--message-bytes", "700000")
    step = {"type": "step", "data": {"action": "x" * 10_000_000}}
    with server.session() as session, server.session() as other:
        session.reset()
        assert session.error(step) == "VALIDATION_ERROR"
        assert session.step("search[x]")["observation"]["steps"] == 1
        assert session.step("x" * 600_000)["observation"]["valid"] is False
        with pytest.raises(ConnectionClosed):
            session.ask({"type": "step", "data": {"action": "x" * 20_000_000}})
        assert other.lives()
    status, answer = server.http("POST", "/reset", b" " * 800_000)
    assert status == 413 and "700,000" in answer["detail"]


def test_fragments_are_put_together_and_pings_are_answered_between_them(shop: Server) -> None:
    from websockets.exceptions import ConnectionClosedOK

    with shop.session() as session:

        def parts() -> Iterator[str]:
            yield '{"type": "reset", "data": '
            assert session.socket.ping().wait(60)
            yield '{"split": "dev", '
            yield '"index": 0}}'

        session.socket.send(parts())
        assert session.receive()["data"]["observation"]["steps"] == 0
        session.socket.send(iter([b'{"type": "st', b'ate"}']))
        assert session.receive()["type"] == "state"
        session.send({"type": "close"})
        with pytest.raises(ConnectionClosedOK):
            session.receive()


def test_no_other_path_is_a_websocket(shop: Server) -> None:
    other = Server(f"{shop.url}/elsewhere", shop.process)
    with pytest.raises(Exception, match="403"), other.session():
        pass
    assert shop.http("GET", "/ws")[0] == 404


def test_a_json_reply_is_plain_json(shop: Server) -> None:
    with shop.session() as session:
        session.send({"type": "reset", "data": {"split": "dev", "index": 1}})
        text = session.socket.recv()
    assert isinstance(text, str) and json.loads(text)["type"] == "observation"
