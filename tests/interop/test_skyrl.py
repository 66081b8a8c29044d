"""``skyrl_gym.make`` makes the environments, and their episodes are the engine's."""

from __future__ import annotations

import pytest

from tratree_cli.envs.agent_episode import EpisodeError
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError

skyrl_gym = pytest.importorskip("skyrl_gym", reason="needs: pip install skyrl-gym")

from tratree_cli.interop import skyrl  # noqa: E402


@pytest.mark.parametrize("name", ["webshop", "alfworld"])
def test_an_expert_plays_as_in_the_engine(name: str) -> None:
    engine = open_environment(name)
    for task in engine.splits()["dev"][:5]:
        extras = {"extra_info": {"environment": name, "task": task, "actions": True}}
        env = skyrl_gym.make("tratree", env_config={}, extras=extras)
        prompt, told = env.init([{"role": "system", "content": "Play."}])
        assert [message["role"] for message in prompt] == ["system", "user"]
        assert told["instruction"] == engine.instruction(task) and told["available_actions"]
        episode, expert = engine.episode(task), engine.expert(task)
        text = episode.reset()
        assert prompt[-1]["content"] == text
        total = 0.0
        for turn in range(1, engine.max_steps(task) + 1):
            thought, action = expert.act(text)
            outcome = episode.step(action)
            made = env.step(f"Thought: {thought}\nAction: {action}")
            text, total = outcome.observation, total + made["reward"]
            assert made["done"] == (outcome.done or turn == engine.max_steps(task))
            assert made["metadata"]["score"] == outcome.score
            if made["done"]:
                assert made["observations"] == []
                break
            assert made["observations"] == [{"role": "user", "content": text}]
        assert total == pytest.approx(outcome.score)
        assert env.get_metrics() == {
            "score": outcome.score,
            "success": float(outcome.success),
            "steps": turn,
        }
        env.close()
        env.close()
        with pytest.raises(EpisodeError, match="closed"):
            env.step("x")


def test_rows_must_name_a_task_and_metrics_are_averaged() -> None:
    with pytest.raises(InputError, match="a task, an index or a seed"):
        skyrl_gym.make("tratree", env_config={"environment": "webshop"}, extras={})
    env = skyrl.SkyRLEnv({"environment": "webshop", "split": "dev"}, {"index": 0})
    env.init([])
    env.step("no action")
    assert env.get_metrics()["steps"] == 1
    averaged = skyrl.SkyRLEnv.aggregate_metrics([{"score": 0.0}, {"score": 1.0}])
    assert averaged["score"] == 0.5
