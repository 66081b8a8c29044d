"""The rollout loop's rules: parsing, endings, scores, and environments that crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.agents.toy import ToyEnvironment, open_environment
from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.policy import Opening, Policy, Reply, Turn
from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import RolloutProgress, play
from tratree_cli.agents.scripted import ScriptedPolicy
from tratree_cli.envs.protocol import INVALID_FORMAT
from tratree_cli.errors import InputError
from tratree_cli.formats.agent_text import parse, storable
from tratree_cli.formats.rollouts import (
    CONTEXT_OVERFLOW,
    DONE,
    ENVIRONMENT_ERROR,
    POLICY_ERROR,
    STEP_LIMIT,
    UNPARSABLE,
    Rollouts,
    TextTable,
    Trajectory,
    conversation,
    read_rollouts,
    write_rollouts,
)


def saying(*outputs: str) -> Policy:
    """A policy that says these things in turn, then the last one for ever."""

    def make(opening: Opening) -> Callable[[Turn], str]:
        left = list(outputs)
        return lambda turn: left.pop(0) if len(left) > 1 else left[0]

    return ScriptedPolicy(make)


def one(policy: Policy, **parameters: Any) -> tuple[Trajectory, TextTable]:
    environment = open_environment(**parameters)
    trajectories, texts = play(environment, policy, [EpisodeRequest("0", seed=5)])
    return trajectories[0], texts


@pytest.mark.parametrize(
    ("output", "parsed"),
    [
        ("Thought: to the hall\nAction: go hall", ("to the hall", "go hall")),
        ("Action: go hall\n", (None, "go hall")),
        ("well Action: a Action: b", ("well", "a Action: b")),
        ("Action: click[x]\nObservation: y", (None, "click[x]\nObservation: y")),
        ("Action:go", (None, None)),
        ("Action: ", (None, None)),
        ("action: go", (None, None)),
    ],
)
def test_the_action_is_everything_after_the_first_mark(
    output: str, parsed: tuple[str | None, str | None]
) -> None:
    assert parse(output) == parsed


def test_an_expert_episode_is_recorded_whole() -> None:
    trajectory, texts = one(open_policy("expert"))
    assert (trajectory.end, trajectory.success, trajectory.score) == (DONE, True, 1.0)
    assert trajectory.scores == (0.25, 1.0)
    assert [texts[n] for n in trajectory.actions] == ["go kitchen", "light"]
    assert texts[trajectory.thoughts[0]] == "I must get to the kitchen."
    assert len(trajectory.observations) == 3
    assert texts[trajectory.instruction] == "Task 0: light the lamp."
    assert trajectory.sampled_tokens == 0


def test_an_output_without_action_is_a_step_and_does_not_reach_the_environment() -> None:
    trajectory, texts = one(saying("Action: go kitchen", "hm", "Action: light"))
    assert trajectory.actions[1] == -1
    assert texts[trajectory.observations[2]] == INVALID_FORMAT
    assert trajectory.scores == (0.25, 0.25, 1.0)
    assert trajectory.valid == (True, False, True)
    assert trajectory.end == DONE


def test_three_unparsable_outputs_in_a_row_end_the_episode_with_the_score_so_far() -> None:
    trajectory, _ = one(saying("Action: go kitchen", "a", "b", "c"))
    assert (trajectory.end, trajectory.score, trajectory.steps) == (UNPARSABLE, 0.25, 4)
    assert trajectory.counted


def test_two_unparsable_outputs_are_forgiven() -> None:
    trajectory, _ = one(saying("a", "b", "Action: go kitchen", "Action: light"))
    assert trajectory.end == DONE


def test_the_step_limit_keeps_the_score_so_far() -> None:
    trajectory, _ = one(saying("Action: go kitchen"), steps=4)
    assert (trajectory.end, trajectory.score, trajectory.steps) == (STEP_LIMIT, 0.25, 4)


def test_an_unknown_action_is_recorded_as_without_effect() -> None:
    trajectory, _ = one(saying("Action: \x00fly\x1b[31m", "Action: light"))
    assert trajectory.valid == (False, True)


@pytest.mark.parametrize("end", [CONTEXT_OVERFLOW, POLICY_ERROR])
def test_a_policy_that_cannot_go_on_ends_the_episode(end: str) -> None:
    class Stuck(ScriptedPolicy):
        def collect(self) -> list[Reply]:
            return [Reply(reply.slot, end=end) for reply in super().collect()]

    trajectory, _ = one(Stuck(lambda opening: lambda turn: ""))
    assert (trajectory.end, trajectory.steps) == (end, 0)
    assert trajectory.score == (0.0 if end == CONTEXT_OVERFLOW else None)
    assert trajectory.counted == (end == CONTEXT_OVERFLOW)


def test_a_crashed_environment_repeats_only_its_episode(tmp_path: Path) -> None:
    requests = [EpisodeRequest(str(task), seed=task) for task in range(6)]
    calm, _ = play(open_environment(), open_policy("expert"), requests)
    (tmp_path / "crash-3").write_text("2")
    shaky, _ = play(open_environment(crash=str(tmp_path)), open_policy("expert"), requests)
    assert shaky == calm
    assert not (tmp_path / "crash-3").exists()


def test_an_environment_that_keeps_crashing_leaves_an_episode_without_score(
    tmp_path: Path,
) -> None:
    (tmp_path / "crash-3").write_text("99")
    requests = [EpisodeRequest(str(task), seed=task) for task in range(6)]
    reports: list[RolloutProgress] = []
    trajectories, _ = play(
        open_environment(crash=str(tmp_path)),
        open_policy("expert"),
        requests,
        progress=reports.append,
    )
    assert [t.end for t in trajectories].count(ENVIRONMENT_ERROR) == 1
    assert trajectories[3].score is None
    assert not trajectories[3].counted
    assert (reports[-1].done, reports[-1].failed, reports[-1].scored) == (6, 1, 5)


def test_an_environment_that_is_gone_is_opened_again() -> None:
    class Gone(ToyEnvironment):
        def episode(self, task: str) -> Any:
            raise ConnectionError("the game server is gone")

    gone = Gone(open_environment().spec)
    requests = [EpisodeRequest("0"), EpisodeRequest("1")]
    trajectories, _ = play(gone, open_policy("expert"), requests, reopen=open_environment)
    assert [t.end for t in trajectories] == [DONE, DONE]


def test_texts_that_no_file_can_hold_are_made_storable(tmp_path: Path) -> None:
    trajectory, texts = one(saying("Action: \ud800 \x00 \u2028", "Action: " + "x" * (1 << 20)))
    rollouts = Rollouts(texts, [trajectory])
    write_rollouts(rollouts, tmp_path)
    again = read_rollouts(tmp_path)
    assert conversation(again, again.trajectories[0]) == conversation(rollouts, trajectory)
    assert storable("a\ud800b") == "a?b"


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_results_do_not_depend_on_how_many_episodes_live_at_once(batch: int) -> None:
    requests = [EpisodeRequest(str(task), seed=task * 31) for task in range(12)]
    reference = play(open_environment(), open_policy("random"), requests, batch=12)
    again = play(open_environment(), open_policy("random"), requests, batch=batch)
    assert again[0] == reference[0]
    assert again[1].texts == reference[1].texts


def test_replies_may_arrive_in_any_order() -> None:
    class Shuffled(ScriptedPolicy):
        def collect(self) -> list[Reply]:
            self._replies.sort(key=lambda reply: -reply.slot)
            return [self._replies.pop(0)]

    from tratree_cli.agents.scripted import random_agent

    requests = [EpisodeRequest(str(task), seed=task) for task in range(9)]
    shuffled = play(open_environment(), Shuffled(random_agent), requests)
    assert shuffled[0] == play(open_environment(), open_policy("random"), requests)[0]


def test_a_plain_function_is_a_policy() -> None:
    trajectory, texts = one(open_policy("python:tests.agents.toy:echo_agent"))
    assert texts[trajectory.outputs[0]].startswith("Action: ")


@pytest.mark.parametrize(
    "reference", ["python:tests.agents.toy:nobody", "python:nowhere:x", "python:math", "openai:x#"]
)
def test_a_bad_policy_reference_is_a_sentence(reference: str) -> None:
    with pytest.raises(InputError):
        open_policy(reference)


def test_the_policy_forgets_conversations_when_the_loop_is_interrupted() -> None:
    finished: list[int] = []

    class Interrupted(ScriptedPolicy):
        def collect(self) -> list[Reply]:
            raise KeyboardInterrupt

        def finish(self, slots: Any) -> None:
            finished.extend(slots)

    requests: Sequence[EpisodeRequest] = [EpisodeRequest("0"), EpisodeRequest("1")]
    with pytest.raises(KeyboardInterrupt):
        play(open_environment(), Interrupted(lambda o: lambda t: ""), requests)
    assert finished == [0, 1]
