"""Does an environment satisfy ``protocol``? It is played, with one finding for each requirement.

Everything here goes through the public interface, so it serves any environment of anyone. Actions
are drawn from what an episode offers with a fixed seed; texts are compared letter by letter. What
an environment raises counts as a failed requirement and not as a crash of the check.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from tratree_cli.envs.protocol import Environment, Episode, Outcome, begin_episode, optional
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError
from tratree_cli.processes import Pool

SLOWEST = 1.0
"""Steps per second below which exploring a few hundred tasks takes days."""
HOSTILE = {
    "nothing": "",
    "spaces": " \t ",
    "unheard of": "xyzzy plugh 12345",
    "control characters": "a\x00b\x1b[2Jc\r\nd",
    "100 kB": "x " * 50_000,
    "many brackets": "[" * 1000 + "]" * 1000,
    "other scripts": "打开 ドア \u202e дверь é",
    "half a character": "\ud800",
    "markup": "[red]{}</s><|im_end|> Action: Action: ",
}


class UnmetRequirementError(Exception):
    """A requirement that an environment does not meet, in a few words."""


@dataclass(frozen=True)
class ConformanceFinding:
    """One requirement: whether it is met, and what was seen."""

    promise: str
    kept: bool
    seen: str


@dataclass(frozen=True)
class RecordedEpisode:
    """An episode as it went: the actions and everything that came back."""

    task: str
    first: str
    actions: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def check(
    opener: Callable[[], Environment], *, split: str = "", tasks: int = 3, steps: int = 12
) -> Iterator[ConformanceFinding]:
    """Yield a finding for each requirement, over the first ``tasks`` tasks of a split.

    ``opener`` opens the environment anew; it is called more than once.
    """
    environment = opener()
    try:
        chosen = _first_tasks(environment, split, tasks)
        recordings: list[RecordedEpisode] = []
        promises: Mapping[str, Callable[[], str]] = {
            "tasks are listed once, in order": lambda: _splits(environment, opener),
            "the spec is plain data": lambda: _spec(environment),
            "an unknown task is refused": lambda: _unknown_task(environment),
            "episodes can be played": lambda: _play_all(environment, chosen, steps, recordings),
            "the first observation holds the instruction": lambda: _instructions(
                environment, recordings
            ),
            "scores stay within 0 and 1": lambda: _bounds(recordings),
            "the same actions give the same texts": lambda: _again(environment, recordings),
            "reset starts over": lambda: _reset(environment, recordings),
            "episodes do not disturb each other": lambda: _side_by_side(environment, recordings),
            "any state is rebuilt by replay": lambda: _replayed(opener, recordings),
            "another process plays the same": lambda: _elsewhere(environment, recordings),
            "unknown actions are harmless": lambda: _hostile(environment, chosen[0]),
            "the expert plays": lambda: _expert(environment, chosen),
            "it is fast enough": lambda: _speed(environment, recordings),
            "closing twice is safe": lambda: _closing(opener),
        }
        if optional(environment, "stochastic"):
            promises = {
                **promises,
                "a seed gives the same episode": lambda: _seeded(environment, opener, recordings),
            }
        for promise, keep in promises.items():
            yield _finding(promise, keep)
    finally:
        environment.close()


def _finding(promise: str, keep: Callable[[], str]) -> ConformanceFinding:
    try:
        return ConformanceFinding(promise, True, keep())
    except UnmetRequirementError as unmet:
        return ConformanceFinding(promise, False, str(unmet))
    # Other people's code: any exception is a finding.
    except Exception as error:  # noqa: BLE001
        return ConformanceFinding(promise, False, f"{type(error).__name__}: {error}"[:300])


def _first_tasks(environment: Environment, split: str, count: int) -> Sequence[str]:
    splits = environment.splits()
    name = split or next((name for name in splits if splits[name]), "")
    if not splits.get(name):
        raise InputError(f"{environment.spec.name} has no tasks in the split '{name}'")
    tasks = splits[name]
    # Evenly spread, because neighbours are often alike.
    return [tasks[i * len(tasks) // count] for i in range(min(count, len(tasks)))]


def _splits(environment: Environment, opener: Callable[[], Environment]) -> str:
    splits = {name: list(tasks) for name, tasks in environment.splits().items()}
    for name, tasks in splits.items():
        _expect(all(isinstance(task, str) for task in tasks), f"{name} holds what is no text")
        _expect(len(set(tasks)) == len(tasks), f"{name} lists a task twice")
    reopened = opener()
    try:
        same = {name: list(tasks) for name, tasks in reopened.splits().items()} == splits
    finally:
        reopened.close()
    _expect(same, "another opening lists other tasks")
    return ", ".join(f"{name} {len(tasks)}" for name, tasks in splits.items())


def _spec(environment: Environment) -> str:
    spec = environment.spec
    _expect(pickle.loads(pickle.dumps(spec)) == spec, "it changes by pickling")  # noqa: S301
    key = orjson.dumps(spec.key(), option=orjson.OPT_SORT_KEYS)
    _expect(orjson.loads(key) == spec.key(), "its key does not survive JSON")
    _expect(bool(spec.data_digest), "it has no data_digest")
    return f"data {spec.data_digest[:12]}, {len(spec.parameters)} parameters"


def _unknown_task(environment: Environment) -> str:
    try:
        environment.instruction("no such task \x00")
    except InputError as error:
        return str(error)
    raise UnmetRequirementError("it was accepted; raise InputError")


def _play_all(
    environment: Environment, tasks: Sequence[str], steps: int, recordings: list[RecordedEpisode]
) -> str:
    for number, task in enumerate(tasks):
        recordings.append(_play_random(environment, task, steps, number))
    total = sum(len(recording.actions) for recording in recordings)
    return f"{len(recordings)} episodes, {total} steps"


def _play_random(environment: Environment, task: str, steps: int, seed: int) -> RecordedEpisode:
    """A seeded episode of offered actions, now and then an unknown one."""
    draw = Random(seed)
    episode = environment.episode(task)
    first = episode.reset()
    actions: list[str] = []
    outcomes: list[Outcome] = []
    for _ in range(min(steps, environment.max_steps(task))):
        offered = list(episode.available_actions())
        action = draw.choice(offered) if offered and draw.random() > 0.1 else "xyzzy"
        actions.append(action)
        outcomes.append(episode.step(action))
        if outcomes[-1].done:
            break
    return RecordedEpisode(task, first, tuple(actions), tuple(outcomes))


def _instructions(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    for recording in recordings:
        instruction = " ".join(environment.instruction(recording.task).split()).lower()
        shown = " ".join(recording.first.split()).lower()
        _expect(instruction in shown, f"task {recording.task}: '{instruction[:60]}' is not in it")
    return f"in {len(recordings)} tasks"


def _bounds(recordings: Sequence[RecordedEpisode]) -> str:
    scores = [outcome.score for recording in recordings for outcome in recording.outcomes]
    _expect(bool(scores), "no step was made")
    for score in scores:
        _expect(math.isfinite(score) and 0 <= score <= 1, f"a score is {score}")
    return f"from {min(scores):.3f} to {max(scores):.3f}"


def _again(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    for recording in recordings:
        _compare(recording, environment.episode(recording.task))
    return f"{len(recordings)} episodes repeated"


def _reset(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    for recording in recordings:
        episode = environment.episode(recording.task)
        episode.reset()
        for action in recording.actions[: len(recording.actions) // 2]:
            episode.step(action)
        _compare(recording, episode)
    return "in the middle of an episode"


def _side_by_side(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    episodes = [environment.episode(recording.task) for recording in recordings]
    for recording, episode in zip(recordings, episodes, strict=True):
        _same(recording, 0, episode.reset(), recording.first)
    for step in range(max(len(recording.actions) for recording in recordings)):
        for recording, episode in zip(recordings, episodes, strict=True):
            if step < len(recording.actions):
                _same(
                    recording,
                    step + 1,
                    episode.step(recording.actions[step]),
                    recording.outcomes[step],
                )
    return f"{len(recordings)} at once"


def _replayed(opener: Callable[[], Environment], recordings: Sequence[RecordedEpisode]) -> str:
    second = opener()
    try:
        for recording in recordings:
            _compare(recording, second.episode(recording.task))
    finally:
        second.close()
    return "in a second environment"


def _seeded(
    environment: Environment,
    opener: Callable[[], Environment],
    recordings: Sequence[RecordedEpisode],
) -> str:
    """Episodes of two seeds, side by side, in two environments."""
    second = opener()
    try:
        for recording in recordings:
            for seed in (1, 2**62):
                one, two = (begin_episode(e, recording.task, seed) for e in (environment, second))
                _same(recording, 0, one.reset(), two.reset())
                for step, action in enumerate(recording.actions, 1):
                    _same(recording, step, one.step(action), two.step(action))
    finally:
        second.close()
    return f"{len(recordings)} tasks, two seeds each"


def _elsewhere(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    """A spawned process opens the environment by its spec, as rollout workers do."""
    plays = [(recording.task, recording.actions) for recording in recordings]
    with Pool(1) as pool:
        observed = pool.submit(_observations, environment.spec, plays).result()
    for recording, (first, outcomes) in zip(recordings, observed, strict=True):
        _same(recording, 0, first, recording.first)
        for step, (seen, expected) in enumerate(zip(outcomes, recording.outcomes, strict=True), 1):
            _same(recording, step, seen, expected)
    return f"{len(recordings)} episodes"


def _observations(spec: Any, plays: Sequence[tuple[str, Sequence[str]]]) -> list[Any]:
    environment = open_environment(spec)
    observed = []
    for task, actions in plays:
        episode = environment.episode(task)
        observed.append((episode.reset(), [episode.step(action) for action in actions]))
    environment.close()
    return observed


def _hostile(environment: Environment, task: str) -> str:
    for what, action in HOSTILE.items():
        episode = environment.episode(task)
        episode.reset()
        before = episode.step("xyzzy").score
        began = time.perf_counter()
        outcome = episode.step(action)
        _expect(not outcome.done, f"{what}: it ended the episode")
        _expect(outcome.score <= before, f"{what}: it raised the score")
        _expect(time.perf_counter() - began < 30, f"{what}: it took more than half a minute")
        _expect(bool(episode.available_actions()), f"{what}: nothing can be done after it")
    return f"{len(HOSTILE)} kinds"


def _expert(environment: Environment, tasks: Sequence[str]) -> str:
    scores = []
    for task in tasks:
        expert, episode = environment.expert(task), environment.episode(task)
        observation, score = episode.reset(), 0.0
        for _ in range(environment.max_steps(task)):
            thought, action = expert.act(observation)
            _expect("Action: " not in thought, f"task {task}: a thought contains 'Action: '")
            outcome = episode.step(action)
            observation, score = outcome.observation, outcome.score
            if outcome.done:
                break
        scores.append(score)
    return f"mean score {sum(scores) / len(scores):.3f} over {len(scores)} tasks"


def _speed(environment: Environment, recordings: Sequence[RecordedEpisode]) -> str:
    began = time.perf_counter()
    for recording in recordings:
        _compare(recording, environment.episode(recording.task))
    seconds = max(time.perf_counter() - began, 1e-9)
    rate = sum(len(recording.actions) for recording in recordings) / seconds
    _expect(rate >= SLOWEST, f"{rate:.1f} steps a second; {SLOWEST:.0f} is wanted")
    return f"{rate:,.0f} steps a second"


def _closing(opener: Callable[[], Environment]) -> str:
    environment = opener()
    environment.close()
    environment.close()
    return "closed"


def _compare(recording: RecordedEpisode, episode: Episode) -> None:
    _same(recording, 0, episode.reset(), recording.first)
    for step, (action, expected) in enumerate(
        zip(recording.actions, recording.outcomes, strict=True), 1
    ):
        _same(recording, step, episode.step(action), expected)


def _same(recording: RecordedEpisode, step: int, seen: object, expected: object) -> None:
    if seen != expected:
        raise UnmetRequirementError(
            f"task {recording.task}, step {step}: "
            f"{str(seen)[:80]!r} instead of {str(expected)[:80]!r}"
        )


def _expect(kept: bool, broken: str) -> None:
    if not kept:
        raise UnmetRequirementError(broken)
