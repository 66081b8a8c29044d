"""gymnasium's own checker accepts the environments, and the texts are the engine's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError

gymnasium = pytest.importorskip("gymnasium", reason="needs: pip install gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from tratree_cli.interop.gymnasium_env import TextEnv  # noqa: E402
from tratree_cli.interop.gymnasium_vector import TextVectorEnv  # noqa: E402


@pytest.mark.parametrize("name", ["webshop", "alfworld"])
def test_gymnasiums_checker_has_nothing_to_say(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*casting.*")
        check_env(TextEnv(name, render_mode="ansi"), skip_render_check=True)


def test_an_environment_is_made_by_its_name() -> None:
    env = gymnasium.make("tratree_cli.interop.gymnasium_env:tratree/webshop-v0", split="dev")
    text, told = env.reset(options={"index": 3})
    assert told["task"] == open_environment("webshop").splits()["dev"][3]
    assert text == open_environment("webshop").episode(told["task"]).reset()
    vector = gymnasium.make_vec("tratree/webshop-v0", 2, vectorization_mode="vector_entry_point")
    assert isinstance(vector.unwrapped, TextVectorEnv)


def test_an_episode_is_the_engines_and_its_rewards_add_up() -> None:
    env, engine = TextEnv("webshop", split="dev"), open_environment("webshop")
    for seed in range(20):
        draw = Random(seed)
        text, told = env.reset(seed=seed)
        episode = engine.episode(told["task"])
        assert text == episode.reset()
        total, over = 0.0, False
        while not over:
            assert told["available_actions"] == list(episode.available_actions())
            action = draw.choice([*told["available_actions"], "xyzzy"])
            outcome = episode.step(action)
            text, reward, terminated, truncated, told = env.step(f"Thought: x\nAction: {action}")
            total += reward
            over = terminated or truncated
            assert (text, terminated) == (outcome.observation, outcome.done)
            assert (told["score"], told["valid"]) == (outcome.score, outcome.valid)
            if over:
                break
        assert truncated == (not outcome.done) and told["steps"] <= 10
        assert total == pytest.approx(outcome.score)


def test_tasks_are_named_in_the_options_and_a_wrong_one_is_a_sentence() -> None:
    env = TextEnv("webshop")
    task = open_environment("webshop").splits()["test"][7]
    assert env.reset(options={"task": task})[1]["task"] == task
    assert env.reset(options={"split": "test", "index": 7})[1]["task"] == task
    assert env.reset(seed=5)[0] == env.reset(seed=5)[0]
    with pytest.raises(InputError, match="did you mean 'test'"):
        env.reset(options={"split": "tset"})


@pytest.mark.parametrize("name", ["webshop", "alfworld"])
def test_a_vector_of_episodes_is_as_many_single_ones(name: str) -> None:
    count, draw = 12, Random(0)
    vector = TextVectorEnv(name, count, split="dev", autoreset_mode="disabled", max_steps=6)
    singles = [TextEnv(name, max_steps=6) for _ in range(count)]
    texts, told = vector.reset(seed=1)
    assert vector.observation_space.contains(texts)
    assert len(set(told["task"])) == count
    assert texts == tuple(
        env.reset(options={"task": task})[0]
        for env, task in zip(singles, told["task"], strict=True)
    )
    for _ in range(3):
        actions = [draw.choice([*offered, "x"]) for offered in told["available_actions"]]
        if any(not offered for offered in told["available_actions"]):
            break
        texts, rewards, terminated, truncated, told = vector.step(actions)
        expected = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        assert texts == tuple(one[0] for one in expected)
        assert rewards.tolist() == [one[1] for one in expected]
        assert terminated.tolist() == [one[2] for one in expected]
        assert truncated.tolist() == [one[3] for one in expected]
        for field in ("score", "success", "valid", "steps", "available_actions"):
            assert list(told[field]) == [one[4][field] for one in expected]
            assert told[f"_{field}"].all()


def buy_nothing(vector: TextVectorEnv, times: int) -> Any:
    for _ in range(times):
        result = vector.step(["x"] * vector.num_envs)
    return result


def test_ended_episodes_begin_again_as_gymnasiums_modes_say() -> None:
    make: Callable[..., TextVectorEnv] = lambda mode: TextVectorEnv(  # noqa: E731
        "webshop", 2, max_steps=2, autoreset_mode=mode
    )
    after = make("next_step")
    _, first = after.reset(seed=0)
    _, _, _, truncated, told = buy_nothing(after, 2)
    assert truncated.all() and (told["task"] == first["task"]).all()
    texts, rewards, _, truncated, told = buy_nothing(after, 1)
    assert not truncated.any() and (told["steps"] == 0).all() and not rewards.any()
    assert all("Instruction" in text for text in texts)

    same = make("same_step")
    same.reset(seed=0)
    _, _, _, truncated, told = buy_nothing(same, 2)
    assert truncated.all() and told["_final_obs"].all() and (told["steps"] == 0).all()
    assert [info["steps"] for info in told["final_info"]] == [2, 2]

    never = make("disabled")
    never.reset(seed=0)
    buy_nothing(never, 2)
    with pytest.raises(InputError, match="the episode is over"):
        buy_nothing(never, 1)
    _, told = never.reset(options={"reset_mask": np.array([True, False])})
    assert told["steps"].tolist() == [0, 2]


def test_a_group_plays_one_task_and_tasks_can_be_named() -> None:
    vector = TextVectorEnv("webshop", 6, group_size=3, split="dev")
    _, told = vector.reset(seed=3)
    assert len(set(told["task"][:3])) == len(set(told["task"][3:])) == 1 < len(set(told["task"]))
    assert (vector.reset(seed=3)[1]["task"] == told["task"]).all()
    _, named = vector.reset(options={"tasks": told["task"][::-1].tolist()})
    assert named["task"].tolist() == told["task"][::-1].tolist()
    _, placed = vector.reset(options={"indices": [0, 5], "split": "test"})
    assert placed["task"][0] == open_environment("webshop").splits()["test"][0]
    with pytest.raises(InputError, match="2 tasks are needed, not 1"):
        vector.reset(options={"tasks": ["0"]})
    with pytest.raises(InputError, match="options are"):
        vector.reset(options={"task": "0"})
    with pytest.raises(InputError, match="multiple of group_size"):
        TextVectorEnv("webshop", 5, group_size=2)


def test_an_output_without_action_is_answered_as_in_rollouts_where_wanted() -> None:
    env = TextEnv("webshop", react=True)
    env.reset(seed=0)
    for number in range(3):
        text, _, _, truncated, told = env.step("I would buy it")
        assert "Invalid format" in text and not told["valid"]
        assert truncated == (number == 2)


@pytest.mark.slow
def test_scienceworld_is_solved_as_by_its_own_solution() -> None:
    pytest.importorskip("scienceworld", reason="needs: pip install 'tratree[scienceworld]'")
    task = "lifespan-longest-lived/0"
    env, engine = TextEnv("scienceworld"), open_environment("scienceworld")
    expert, total = engine.expert(task), 0.0
    text, told = env.reset(options={"task": task})
    assert "focus on" in " ".join(told["available_actions"])
    for _ in range(engine.max_steps(task)):
        text, reward, terminated, truncated, told = env.step(expert.act(text)[1])
        total += reward
        if terminated or truncated:
            break
    assert terminated and told["success"] and total == pytest.approx(1.0)
    engine.close()
