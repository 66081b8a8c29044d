"""An episode for other programs is the rollout loop's, with rewards that add up; choosing tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from tests.agents.toy import open_environment as open_toy
from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.policy import Opening, Turn
from tratree_cli.agents.rollout import play
from tratree_cli.agents.scripted import ScriptedPolicy
from tratree_cli.envs.agent_episode import AgentEpisode, EpisodeError
from tratree_cli.envs.alfworld import open_environment as open_alfworld
from tratree_cli.envs.protocol import INVALID_FORMAT, Environment
from tratree_cli.envs.task_choice import TaskChooser
from tratree_cli.envs.webshop import open_environment as open_webshop
from tratree_cli.errors import InputError


@pytest.fixture(scope="module")
def webshop() -> Environment:
    return open_webshop()


def random_outputs(environment: Environment, task: str, seed: int) -> list[str]:
    """What a clumsy agent says until the episode ends: real actions, nonsense, no action at all."""
    draw, episode, outputs = Random(seed), environment.episode(task), []
    episode.reset()
    for _ in range(environment.max_steps(task)):
        action = draw.choice([*episode.available_actions(), "xyzzy"])
        kind = draw.random()
        outputs.append(f"Thought: so.\nAction: {action}" if kind < 0.8 else "I do not know.")
        if kind < 0.8 and episode.step(action).done:
            break
    return outputs


def as_rolled_out(environment: Environment, task: str, outputs: Sequence[str]) -> list[object]:
    def make(opening: Opening) -> Callable[[Turn], str]:
        left = iter(outputs)
        return lambda turn: next(left)

    (trajectory,), texts = play(environment, ScriptedPolicy(make), [EpisodeRequest(task)])
    return [
        [texts[number] for number in trajectory.observations],
        list(trajectory.scores),
        list(trajectory.valid),
        trajectory.success,
        trajectory.end,
    ]


def as_served(environment: Environment, task: str, outputs: Sequence[str]) -> list[object]:
    episode = AgentEpisode(environment, task, react=True)
    states = [episode.reset()]
    for output in outputs:
        states.append(episode.step(output))
        if states[-1].done:
            break
    last = states[-1]
    assert last.done and sum(state.reward for state in states) == pytest.approx(last.score)
    limit = "step-limit" if last.steps == episode.max_steps else "unparsable"
    return [
        [state.text for state in states],
        [state.score for state in states[1:]],
        [state.valid for state in states[1:]],
        last.success,
        "done" if last.terminated else limit,
    ]


@pytest.mark.parametrize("opened", [open_webshop, open_alfworld])
def test_an_episode_is_what_the_rollout_loop_would_have_played(
    opened: Callable[[], Environment],
) -> None:
    environment = opened()
    for number, task in enumerate(environment.splits()["dev"][:20]):
        outputs = random_outputs(environment, task, number)
        assert as_served(environment, task, outputs) == as_rolled_out(environment, task, outputs)


def test_three_outputs_without_an_action_end_an_episode_that_wants_them() -> None:
    episode = AgentEpisode(open_toy(), "0", react=True)
    episode.reset()
    states = [episode.step("hm") for _ in range(3)]
    assert [state.text for state in states] == [INVALID_FORMAT] * 3
    assert [state.truncated for state in states] == [False, False, True]
    assert not states[-1].terminated and not states[-1].success


def test_a_bare_action_is_an_action_and_a_lone_surrogate_is_harmless(webshop: Environment) -> None:
    task = webshop.splits()["dev"][0]
    bare, marked = AgentEpisode(webshop, task), AgentEpisode(webshop, task)
    bare.reset(), marked.reset()
    assert bare.step(" search[shirt]\n") == marked.step("Thought: x\nAction: search[shirt]")
    assert not bare.step("click[\ud800]").valid
    assert bare.available_actions() == marked.available_actions()


def test_a_step_outside_an_episode_is_refused(webshop: Environment) -> None:
    episode = AgentEpisode(webshop, webshop.splits()["dev"][0], max_steps=1)
    with pytest.raises(EpisodeError, match="not begun"):
        episode.step("search[x]")
    assert episode.available_actions() == []
    episode.reset()
    assert episode.step("search[x]").truncated
    assert episode.available_actions() == []
    with pytest.raises(EpisodeError, match="over"):
        episode.step("search[x]")
    assert episode.reset().steps == 0
    assert episode.step("search[x]").steps == 1


def test_tasks_are_chosen_by_name_place_or_seed(webshop: Environment) -> None:
    chooser = TaskChooser(webshop)
    train, dev = webshop.splits()["train"], webshop.splits()["dev"]
    assert chooser.choose(task=dev[3]) == chooser.choose(task=int(dev[3])) == dev[3]
    assert chooser.choose(split="dev", task=dev[3], seed=1) == dev[3]
    for index in (3, 3.0, "3"):
        assert chooser.choose(split="dev", index=index, seed=1) == dev[3]
    assert chooser.choose(seed=5) == chooser.choose(seed="5") in train
    assert len({chooser.choose(seed=seed) for seed in range(100)}) > 50
    assert [chooser.choose() for _ in range(len(train) + 1)] == [*train, train[0]]
    assert TaskChooser(webshop, "dev").choose(index=0) == dev[0]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"split": 3}, "split is a name"),
        ({"task": "99999"}, "no task '99999'"),
        ({"task": []}, "task is a whole number, not"),
        ({"split": "dev", "task": "x"}, "the split dev of webshop has no task 'x'"),
        ({"index": -1}, "no index -1 in train"),
        ({"index": 600}, "it has 600 tasks"),
        ({"index": True}, "index is a whole number, not True"),
        ({"index": 1.5}, "index is a whole number, not 1.5"),
        ({"index": "²"}, "index is a whole number"),
        ({"index": "9" * 5000}, "index is a whole number"),
        ({"index": "--1"}, "index is a whole number"),
        ({"index": 1, "task": "1"}, "not both"),
        ({"seed": "x"}, "seed is a whole number"),
    ],
)
def test_what_names_no_task_is_refused_in_words(
    webshop: Environment, wanted: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        TaskChooser(webshop).choose(**wanted)
