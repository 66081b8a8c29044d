"""What the original WebShop answered is what the drop-ins answer; verl-agent's contract holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.envs.alfworld.engine import WELCOME
from tratree_cli.envs.alfworld.households.files import write_game
from tratree_cli.envs.alfworld.households.household import draw_household
from tratree_cli.envs.alfworld.households.inventory import SEEN
from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.envs.webshop.nouns import Nouns, given_nouns
from tratree_cli.errors import InputError
from tratree_cli.interop.verl_agent import build_alfworld_envs, build_webshop_envs
from tratree_cli.interop.webshop_text_env import ShopServer, WebAgentTextEnv

EDGE60 = Path(__file__).parents[1] / "envs" / "data" / "edge60"


def lines(name: str) -> Iterator[Any]:
    with (EDGE60 / name).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.fixture(scope="module")
def nouns() -> Nouns:
    return given_nouns({line["title"]: line["nouns"] for line in lines("title_nouns.jsonl")})


@pytest.fixture(scope="module")
def originals(nouns: Nouns) -> dict[str, WebAgentTextEnv]:
    """The two catalogues that the recordings are of, opened by the original's arguments."""
    files = {
        "file_path": str(EDGE60 / "items_shuffle.json"),
        "attr_path": str(EDGE60 / "items_ins_v2.json"),
        "nouns": nouns,
    }
    return {
        "edge60-human": WebAgentTextEnv("text", human_goals=True, seed=2, **files),
        "edge60-synth": WebAgentTextEnv("text", human_goals=False, seed=3, **files),
    }


def test_recorded_episodes_of_the_original_are_played_to_the_same_texts(
    originals: dict[str, WebAgentTextEnv],
) -> None:
    played = 0
    for trace in lines("traces.jsonl"):
        if trace["tag"].startswith("quirk:"):
            continue
        env = originals[trace["env_id"]]
        assert env.reset(session=trace["session"]) == (trace["reset_obs"], None)
        assert env.get_available_actions() == trace["reset_available"]
        for step in trace["steps"]:
            if "exception" in step:
                break
            text, reward, done, info = env.step(step["action"])
            assert (text, done, info) == (step["obs"], step["done"], None)
            assert reward == pytest.approx(step["reward"], abs=1e-9)
            available = {name: step[name] for name in ("has_search_bar", "clickables")}
            assert env.get_available_actions() == available
        played += 1
    assert played == 19


def test_goals_are_listed_under_the_originals_names(originals: dict[str, WebAgentTextEnv]) -> None:
    for kind in ("human", "synth"):
        recorded = list(lines(f"goals.{kind}.jsonl"))
        goals = originals[f"edge60-{kind}"].server.goals
        assert len(goals) == len(recorded)
        for goal, record in zip(goals, recorded, strict=True):
            common = goal.keys() & record.keys()
            assert {"asin", "instruction_text", "goal_options", "price_upper"} <= common
            assert {key: goal[key] for key in common - {"weight"}} == {
                key: record[key] for key in common - {"weight"}
            }


def test_sessions_keep_their_goal_and_goals_can_be_chosen_and_limited() -> None:
    env = WebAgentTextEnv("text")
    first, _ = env.reset(session="me")
    assert env.reset(session="me")[0] == first
    assert env.get_instruction_text() in first.replace(" [SEP] ", " ")
    one = WebAgentTextEnv("text", filter_goals=lambda i, goal: i == 7)
    assert [goal["instruction_text"] for goal in one.server.goals] == [
        env.server.goals[7]["instruction_text"]
    ]
    assert one.reset(session=0)[0] == env.reset(session=7)[0]
    few = WebAgentTextEnv("text", limit_goals=5)
    assert len(few.server.goals) == 5
    shared = WebAgentTextEnv("text", None, env.server)
    assert shared.server is env.server and isinstance(env.server, ShopServer)
    with pytest.raises(InputError, match="there is no goal 1320"):
        env.reset(session=1320)


def test_earlier_pages_and_actions_are_put_before_the_page_where_wanted() -> None:
    env = WebAgentTextEnv("text", num_prev_obs=1, num_prev_actions=1)
    start, _ = env.reset(session=0)
    text, *_ = env.step("search[shirt]")
    assert text == " [SEP] ".join([start, "search[shirt]", env.observation])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation_mode": "html"}, "observation_mode is text"),
        ({"get_image": 1}, "get_image"),
        ({"file_path": "/nowhere/items_shuffle.json"}, "there is no product file"),
    ],
)
def test_what_cannot_be_had_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WebAgentTextEnv(**arguments)


def managers_view(texts: list[str]) -> list[str]:
    """What verl-agent's manager takes from an observation: the part after ``Instruction:``."""
    parts = [text.split(" [SEP] ") for text in texts]
    assert all(part[1] == "Instruction:" for part in parts)
    return [part[2] for part in parts]


def test_webshop_keeps_verl_agents_contract() -> None:
    envs = build_webshop_envs(
        seed=0, env_num=3, group_n=2, is_train=True, env_kwargs={"observation_mode": "text"}
    )
    texts, infos = envs.reset()
    assert len(texts) == len(infos) == envs.num_processes == 6
    tasks = managers_view(texts)
    assert tasks[0] == tasks[1] and tasks[2] == tasks[3] and len(set(tasks)) == 3
    for info in infos:
        assert info["available_actions"].keys() == {"has_search_bar", "clickables"}
        assert info["available_actions"]["has_search_bar"] is True
        assert info["won"] is False
    texts, rewards, dones, infos = envs.step([f"search[{task}]" for task in tasks])
    assert all(text.split(" [SEP] ")[0] == "Instruction:" for text in texts)
    assert rewards == [0.0] * 6 and dones == [False] * 6
    first = [info["available_actions"]["clickables"][2] for info in infos]
    envs.step([f"click[{asin}]" for asin in first])
    _, rewards, dones, infos = envs.step(["click[buy now]"] * 6)
    assert all(dones)
    for reward, info in zip(rewards, infos, strict=True):
        assert info.keys() == {"available_actions", "task_score", "won"}
        assert info["won"] == (info["task_score"] == 1.0) and reward == 10.0 * info["won"]
        assert info["available_actions"] == {"has_search_bar": False, "clickables": []}
    assert envs.reset()[0] != texts


def test_goals_are_drawn_as_verl_agent_draws_them() -> None:
    train = build_webshop_envs(1, 4, 2, True, {})
    evaluation = build_webshop_envs(1, 4, 1, {"num_cpus": 0.1}, False, None)
    assert train.goal_idxs == range(500, 1320) and evaluation.goal_idxs == range(500)
    instructions = [goal["instruction_text"] for goal in evaluation.server.goals]
    places = [instructions.index(text) for text in managers_view(evaluation.reset()[0])]
    assert len(set(places)) == 4 and max(places) < 500
    again = build_webshop_envs(1, 4, 1, is_train=False)
    assert [instructions.index(text) for text in managers_view(again.reset()[0])] == places
    with pytest.raises(InputError, match="group_n is 1"):
        build_webshop_envs(1, 4, 2, is_train=False)
    with pytest.raises(InputError, match="expected 4 actions, got 1"):
        again.step(["x"])
    with pytest.raises(InputError, match="501 different goals"):
        build_webshop_envs(1, 501, 1, is_train=False)


def test_the_first_products_of_a_file_make_the_shop(nouns: Nouns) -> None:
    kwargs = {"file_path": str(EDGE60 / "items_shuffle.json"), "num_products": 30, "nouns": nouns}
    envs = build_webshop_envs(3, 2, 1, is_train=False, env_kwargs=kwargs)
    assert 25 <= len(envs.server.shop.inventory.products) <= 30


def test_alfworld_keeps_verl_agents_contract_on_invented_households() -> None:
    envs = build_alfworld_envs(None, 0, 2, 2, {"num_cpus": 0.1}, is_train=False)
    texts, images, infos = envs.reset()
    assert images is None and len(texts) == len(infos) == 4
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert all(text.startswith(WELCOME) and "Your task is to: " in text for text in texts)
    assert envs.get_admissible_commands == [info["admissible_commands"] for info in infos]
    for info in infos:
        assert info["won"] is False and "look" in info["admissible_commands"]
        assert any(kind in info["extra.gamefile"] for kind in TYPES)
    going = [next(c for c in i["admissible_commands"] if c.startswith("go to")) for i in infos]
    texts, images, rewards, dones, infos = envs.step(going)
    assert images is None and rewards == [0.0] * 4 and dones == [False] * 4
    assert [info["observation_text"] for info in infos] == texts
    for _ in range(49):
        *_, dones, _ = envs.step(["look"] * 4)
    assert dones == [True] * 4
    assert envs.reset()[0] != texts


def test_a_game_that_is_won_is_worth_ten(tmp_path: Path) -> None:
    data = tmp_path / "json_2.1.1"
    for number in range(3):
        household = draw_household(f"x{number}", SEEN, TYPES[0], "tiny")
        write_game(data / "valid_seen", household, "put", f"trial_{number}", number)
    config = tmp_path / "config_tw.yaml"
    config.write_text(
        "env: {type: AlfredTWEnv, task_types: [1, 2]}\n"
        f"dataset: {{eval_id_data_path: {data}/valid_seen}}\n"
        "rl: {training: {max_nb_steps_per_episode: 40}}\n"
    )
    envs = build_alfworld_envs(str(config), 3, 1, 2, is_train=False)
    from tratree_cli.envs.registry import open_environment

    environment = open_environment("alfworld", str(tmp_path))
    for _ in range(3):
        texts, _, infos = envs.reset()
        game = Path(infos[0]["extra.gamefile"])
        assert game.is_file()
        expert = environment.expert(game.parent.relative_to(data).as_posix())
        text = texts[0].partition("\n\n")[2].replace("\n\n", "\n")
        for _ in range(40):
            _, action = expert.act(text)
            texts, _, rewards, dones, infos = envs.step([action, "look"])
            arrival = texts[0].startswith("You arrive at loc ")
            text = "Observation: " + (texts[0].partition(". ")[2] if arrival else texts[0])
            if dones[0]:
                break
        assert rewards == [10.0, 0.0] and infos[0]["won"] and not infos[1]["won"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("env: {type: AlfredThorEnv}", "AlfredTWEnv here"),
        ("env: {type: AlfredTWEnv}", "holds no|no dataset.data_path"),
        ("[", "is not YAML"),
    ],
)
def test_an_unusable_configuration_is_explained(tmp_path: Path, config: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    with pytest.raises(InputError, match=message):
        build_alfworld_envs(str(path), 0, 1, 1)
