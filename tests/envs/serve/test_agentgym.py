"""AgentGym's dialect: the calls that its clients make, answered with the engine's texts."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.envs.serve.conftest import Server, Start, started
from tratree_cli.envs.alfworld import open_environment as open_alfworld
from tratree_cli.envs.webshop import WebShop
from tratree_cli.envs.webshop import open_environment as open_webshop


@pytest.fixture(scope="module")
def household() -> Iterator[Server]:
    with started() as start:
        yield start("alfworld")


def test_webshop_is_the_original_sites_text_environment(shop: Server) -> None:
    engine: WebShop = open_webshop().shop
    draw = Random(1)
    assert shop.get("/agentgym/") == "ok"
    number = shop.post("/agentgym/create")
    assert isinstance(number, int)
    for goal in (0, 7, 1319):
        session = engine.session()
        page = session.reset(goal)
        assert shop.post("/agentgym/reset", env_idx=number, session_id=goal) == [page, None]
        done, steps = False, 0
        while not done and steps < 25:
            assert shop.get(f"/agentgym/observation?env_idx={number}") == page
            assert shop.get(f"/agentgym/available_actions?env_idx={number}") == {
                "has_search_bar": session.has_search_bar,
                "clickables": list(session.clickables()),
            }
            action = draw.choice([*session.available_actions(), "think[hm]"])
            page, reward, done = session.step(action)
            assert shop.post("/agentgym/step", env_idx=number, action=action) == {
                "state": page,
                "reward": reward,
                "done": done,
                "info": None,
            }
            steps += 1
    text = shop.get(f"/agentgym/instruction_text?env_idx={number}")
    assert text == f"Instruction: {engine.goals[1319].instruction}"
    assert shop.post("/agentgym/close", env_idx=number) == {"closed": True}
    assert shop.http("POST", "/agentgym/close", {"env_idx": number})[0] == 400


def test_webshop_has_no_step_limit_there_unless_the_server_has_one(start: Start) -> None:
    def steps(server: Server) -> int:
        number = server.post("/agentgym/create")
        server.post("/agentgym/reset", env_idx=number, session_id=0)
        for step in range(1, 30):
            if server.post("/agentgym/step", env_idx=number, action="click[x]")["done"]:
                return step
        return 0

    assert steps(start("webshop")) == 0
    assert steps(start("webshop", "--max-steps", "12")) == 12


def test_alfworld_is_the_originals_text_without_the_welcome(household: Server) -> None:
    environment = open_alfworld()
    draw = Random(2)
    number = household.post("/agentgym/create")["id"]
    for game, task in ((0, "train-0"), (1200, "dev-0")):
        episode = environment.episode(task)
        first = episode.reset()
        answer = household.post("/agentgym/reset", id=number, game=game, world_type="Text")
        assert answer == {
            "id": number,
            "observation": first,
            "available_actions": list(episode.available_actions()),
            "task_type": environment.task_type(task),
        }
        for _ in range(12):
            action = draw.choice(list(episode.available_actions()))
            outcome = episode.step(action)
            text = outcome.observation.removeprefix("Observation: ")
            answer = household.post("/agentgym/step", id=number, action=action)
            assert answer == {
                "observation": text,
                "reward": outcome.score,
                "available_actions": [] if outcome.done else list(episode.available_actions()),
                "done": outcome.done,
            }
            if outcome.done:
                break
            assert household.get(f"/agentgym/observation?id={number}") == text
            assert household.get(f"/agentgym/available_actions?id={number}") == list(
                episode.available_actions()
            )
        assert household.get(f"/agentgym/detail?id={number}") == {
            "world_type": "Text",
            "game": game,
            "deleted": False,
            **answer,
        }
    assert household.post("/agentgym/close", id=number) == {"closed": True}


def test_what_is_wrong_is_said_in_the_dialects_own_way(shop: Server, household: Server) -> None:
    number = shop.post("/agentgym/create")
    bad: list[tuple[str, dict[str, Any]]] = [
        ("step", {"env_idx": number, "action": "x"}),  # before a reset
        ("step", {"env_idx": 1, "action": "x"}),
        ("step", {"action": "x"}),
        ("step", {"env_idx": "x", "action": "x"}),
        ("reset", {"env_idx": number, "session_id": 99999}),
        ("reset", {"env_idx": number, "session_id": "x"}),
    ]
    for path, fields in bad:
        status, answer = shop.http("POST", f"/agentgym/{path}", fields)
        assert status == 400 and answer["error"], (path, fields)
    assert shop.http("POST", "/agentgym/reset", [])[0] == 400
    assert shop.http("POST", "/agentgym/nothing", {})[0] == 404
    assert shop.http("GET", "/agentgym/step")[0] == 405
    place = household.post("/agentgym/create")["id"]
    for path, fields in (
        ("step", {"id": place, "action": "look"}),
        ("reset", {"id": place, "game": 10**6, "world_type": "Text"}),
        ("reset", {"id": place, "game": 0, "world_type": "Dream"}),
        ("reset", {"id": 3, "game": 0}),
    ):
        assert household.post(f"/agentgym/{path}", **fields)["error"], (path, fields)


def test_a_plug_in_has_no_such_dialect(start: Start) -> None:
    from tests.envs.serve.waiting import NAME

    assert start(NAME).http("POST", "/agentgym/create")[0] == 404


@pytest.mark.slow
def test_scienceworld_is_the_originals_with_our_score(start: Start) -> None:
    pytest.importorskip("scienceworld", reason="needs: pip install 'tratree[scienceworld]'")
    from tratree_cli.envs.scienceworld import open_environment

    server = start("scienceworld")
    number = server.post("/agentgym/create")["id"]
    # The first family is boil with 30 variations, the second melt.
    reset = server.post("/agentgym/reset", id=number, data_idx=30)
    assert (reset["task_name"], reset["var_num"]) == ("melt", 0)
    assert reset["task_description"].startswith("Your task is to melt")
    environment = open_environment()
    try:
        episode = environment.episode("melt/0")
        episode.reset()
        look = episode.step("look around")
        assert reset["observation"] == look.observation.removeprefix("Observation: ")
        assert (reset["score"], reset["done"]) == (round(100 * look.score), False)
        before = reset["score"]
        for action in ("open door to kitchen", "go to kitchen", "dance"):
            outcome = episode.step(action)
            assert server.post("/agentgym/step", id=number, action=action) == {
                "observation": outcome.observation.removeprefix("Observation: "),
                "reward": round(100 * outcome.score) - before,
                "score": round(100 * outcome.score),
                "done": outcome.done,
            }
            before = round(100 * outcome.score)
        hint = server.get(f"/agentgym/action_hint?id={number}")
        assert hint["possible_actions"] == list(episode.available_actions())
    finally:
        environment.close()
    assert server.get(f"/agentgym/goals?id={number}")["error"]
    assert server.get(f"/agentgym/detail?id={number}")["task_name"] == "melt"
    assert server.post("/agentgym/close", id=number) == {"closed": True}
