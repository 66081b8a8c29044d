"""ScienceWorld with its real simulator: determinism, lost processes, demonstrations, whole runs.

Every test needs the extra ``scienceworld`` and seconds of Java; without it they skip.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tratree_cli.envs import conformance
from tratree_cli.envs.protocol import Outcome
from tratree_cli.envs.registry import open_environment
from tratree_cli.envs.scienceworld import tasks
from tratree_cli.envs.scienceworld.environment import PREFIX, ScienceWorldEnvironment
from tratree_cli.errors import InputError

pytest.importorskip("scienceworld", reason="needs: pip install 'tratree[scienceworld]'")
pytestmark = pytest.mark.slow

TASK = "find-animal/0"
ACTIONS = ("teleport to outside", "look around", "focus on dove", "pick up dove", "look around")


@pytest.fixture
def world() -> Iterator[ScienceWorldEnvironment]:
    environment = open_environment("scienceworld")
    assert isinstance(environment, ScienceWorldEnvironment)
    yield environment
    environment.close()


def simulators(world: ScienceWorldEnvironment) -> list[int]:
    return [slot.simulator.pid for slot in world.pool._slots]


def played(world: ScienceWorldEnvironment, task: str, actions: tuple[str, ...]) -> list[Outcome]:
    episode = world.episode(task)
    episode.reset()
    return [episode.step(action) for action in actions]


def test_the_same_actions_give_the_same_texts_after_other_episodes(
    world: ScienceWorldEnvironment,
) -> None:
    first = played(world, TASK, ACTIONS)
    played(world, "lifespan-longest-lived/3", ("teleport to outside", "focus on dove"))
    assert played(world, TASK, ACTIONS) == first
    assert first[0] == Outcome(PREFIX + "You teleport to the outside.", pytest.approx(1 / 6), False)
    assert max(outcome.score for outcome in first) == first[-1].score > 0.7


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_simulator_is_replaced_and_its_episode_goes_on(
    world: ScienceWorldEnvironment, blow: signal.Signals
) -> None:
    whole = played(world, TASK, ACTIONS)
    episode = world.episode(TASK)
    episode.reset()
    seen = [episode.step(action) for action in ACTIONS[:3]]
    [pid] = simulators(world)
    world.pool._slots[0].simulator.seconds = 3.0
    os.kill(pid, blow)
    seen += [episode.step(action) for action in ACTIONS[3:]]
    assert seen == whole
    assert simulators(world) != [pid] and gone(pid)


@pytest.mark.parametrize("blow", [None, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_simulator_outlives_its_program(tmp_path: Path, blow: signal.Signals | None) -> None:
    code = (
        "import signal, time\n"
        # A shell that starts tests in the background has them ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tratree_cli.envs.registry import open_environment\n"
        "world = open_environment('scienceworld')\n"
        "world.episode('boil/0').step('look around')\n"
        "print(world.pool._slots[0].simulator.pid, flush=True)\n"
        f"time.sleep({0 if blow is None else 600})\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    if blow is not None:
        # Not even one that is stopped, and so cannot notice anything.
        os.kill(pid, signal.SIGSTOP)
        program.send_signal(blow)
    program.wait()
    assert gone(pid)


def gone(pid: int) -> bool:
    for _ in range(200):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_more_episodes_than_simulators_take_turns(world: ScienceWorldEnvironment) -> None:
    alone = {task: played(world, task, ACTIONS) for task in (TASK, "find-plant/1", "boil/2")}
    world.pool.limit = 2
    episodes = {task: world.episode(task) for task in alone}
    together: dict[str, list[Outcome]] = {task: [] for task in alone}
    for episode in episodes.values():
        episode.reset()
    for action in ACTIONS:
        for task, episode in episodes.items():
            together[task].append(episode.step(action))
    assert together == alone
    assert len(simulators(world)) <= 2


def test_the_acting_part_says_what_the_part_in_front_of_it_says(
    world: ScienceWorldEnvironment,
) -> None:
    """The published wrapper asks the latter, which looks around and lists names beside acting."""
    draw = Random(0)
    for task in ("test-conductivity/3", "grow-plant/0", "chemistry-mix/1"):
        family, variation = tasks.parse(task)
        episode = world.episode(task)
        episode.reset()
        outcomes, actions = [], []
        for number in range(14):
            offered = list(episode.available_actions())
            odd = ("task", "OBJECTS ", "help", "xyzzy", "open door")
            actions.append(odd[number // 3] if number % 3 == 2 else draw.choice(offered))
            outcomes.append(episode.step(actions[-1]))
            if outcomes[-1].done:
                break
        simulator = world.pool._slots[0].simulator
        simulator.load(family, variation, world.pool.simplifications(family))
        best = 0.0
        for action, outcome in zip(actions, outcomes, strict=True):
            said = simulator._call("step", action.strip())
            score, over = simulator._call("getScore"), simulator._call("getCompleted")
            best = max(best, min(score, 1.0))
            assert (PREFIX + said, best) == (outcome.observation, outcome.score)
            assert (score < 0 or over) == outcome.done


def test_nothing_is_left_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: ScienceWorldEnvironment
) -> None:
    monkeypatch.chdir(tmp_path)
    played(world, TASK, ACTIONS[:1])
    assert list(tmp_path.iterdir()) == []


def test_hostile_actions_change_nothing(world: ScienceWorldEnvironment) -> None:
    episode = world.episode(TASK)
    episode.reset()
    for action in ("", "\x00\x1b[2J", "x" * 100_000, "focus on " * 12_000, "\ud800", "öffne"):
        outcome = episode.step(action)
        assert not outcome.valid and not outcome.done and outcome.score < 0.2
    assert episode.step(ACTIONS[0]).observation == PREFIX + "You teleport to the outside."


def test_an_ambiguous_action_is_answered_by_a_number(world: ScienceWorldEnvironment) -> None:
    episode = world.episode(TASK)
    episode.reset()
    asked = episode.step("open door")
    assert asked.valid and "Please enter the number" in asked.observation
    assert list(episode.available_actions()) == ["0", "1", "2", "3", "4", "5"]
    assert episode.step("0").observation == PREFIX + "The door is already open."
    assert "look around" in episode.available_actions()


def test_a_wrong_focus_ends_the_task_with_what_was_reached(world: ScienceWorldEnvironment) -> None:
    outcomes = played(world, "lifespan-longest-lived/0", ("teleport to outside", "focus on wood"))
    last = outcomes[-1]
    assert last.done and last.success and last.score == 0.5
    strict = open_environment("scienceworld", parameters={"success": "strict"})
    assert isinstance(strict, ScienceWorldEnvironment)
    ended = played(strict, "lifespan-longest-lived/0", ("teleport to outside", "focus on wood"))[-1]
    strict.close()
    assert ended.done and not ended.success and ended.score == 0.5


@pytest.mark.parametrize("family", ["lifespan-longest-lived", "find-plant", "power-component"])
def test_a_demonstration_plays_to_a_full_score_within_the_limit(
    world: ScienceWorldEnvironment, family: str
) -> None:
    task = f"{family}/1"
    assert world.no_demonstration(task) == ""
    expert, episode = world.expert(task), world.episode(task)
    observation = episode.reset()
    for _ in range(tasks.FAMILIES[family].limit):
        outcome = episode.step(expert.act(observation)[1])
        observation = outcome.observation
        if outcome.done:
            break
    assert outcome.done and outcome.score == 1.0


def test_a_task_whose_solution_is_too_long_has_no_demonstration() -> None:
    short = open_environment("scienceworld", parameters={"max_steps": 2})
    assert isinstance(short, ScienceWorldEnvironment)
    assert short.no_demonstration("find-plant/1") == "longer than the limit of 2 steps"
    short.close()


def test_the_worked_example_is_what_the_simulator_answers(world: ScienceWorldEnvironment) -> None:
    from tratree_cli.config import load_recipe
    from tratree_cli.stages.environments import prompt_folder, read_prompt

    _, _, first, *turns = read_prompt(prompt_folder(load_recipe("paper-llama2", "scienceworld")))
    episode = world.episode("find-plant/2")
    assert first["content"] == episode.reset()
    outcome = None
    for turn in turns:
        if turn["role"] == "assistant":
            outcome = episode.step(turn["content"].partition("Action: ")[2])
        else:
            assert outcome is not None and turn["content"] == outcome.observation
    assert outcome is not None and outcome.score == 1.0
    assert all("find-plant/2" not in world.splits()[name] for name in ("train", "dev", "test"))


def test_the_simulator_refuses_what_it_does_not_know(world: ScienceWorldEnvironment) -> None:
    world.episode(TASK).step("look around")
    simulator = world.pool._slots[0].simulator
    with pytest.raises(InputError, match="ScienceWorld refuses boil/999: ERROR"):
        simulator.load("boil", 999, "")


def test_the_facts_about_parts_are_the_simulators(world: ScienceWorldEnvironment) -> None:
    world.episode(TASK).step("look around")
    simulator = world.pool._slots[0].simulator
    for name in ("boil", "grow-plant", "inclined-plane-friction-named-surfaces"):
        assert simulator._call("getTaskMaxVariations", name) == tasks.FAMILIES[name].variations


def test_every_promise_of_an_environment_is_kept() -> None:
    found = list(
        conformance.check(
            lambda: open_environment("scienceworld", parameters={"families": "find-*"}),
            tasks=2,
            steps=6,
        )
    )
    assert [(finding.promise, finding.seen) for finding in found if not finding.kept] == []


def test_every_stage_runs_from_demonstrations_to_the_report(tmp_path: Path) -> None:
    small = ("demos.limit=4", "sft.epochs=1", "explore.limit=2", "explore.m=2", "eval.limit=2")
    words = [word for setting in small for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", "report", "--env", "scienceworld", *words],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ScienceWorld" in done.stdout and "sft-strong" in done.stdout.lower().replace(" ", "-")
