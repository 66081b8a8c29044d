"""ScienceWorld behind tratree's environment protocol, with the rules of ETO's wrapper.

The first observation is the task's description alone, later ones begin with ``Observation:``. The
reward is the best score so far (a wrong focus sets the simulator's own score to -1) and success is
that the task has ended, which it does with a wrong focus too; ``success = "strict"`` counts only a
score of 1. Every action is a step, whether or not the simulator counts it as a move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import orjson

from tratree_cli.envs.parameters import checked_parameters
from tratree_cli.envs.protocol import EnvironmentSpec, Expert, Outcome
from tratree_cli.envs.scienceworld import tasks
from tratree_cli.envs.scienceworld.gold import GoldSolution, make_solution
from tratree_cli.envs.scienceworld.installation import (
    EMBEDDED,
    find_gateway,
    find_jar,
    find_java,
    jar_digest,
)
from tratree_cli.envs.scienceworld.observation_view import shown
from tratree_cli.envs.scienceworld.simulator import Simulator, SimulatorLostError
from tratree_cli.envs.scienceworld.simulator_pool import (
    ATTEMPTS,
    SimulatorPool,
    SimulatorState,
    Slot,
)
from tratree_cli.errors import InputError, StageError, did_you_mean

T = TypeVar("T")

TITLE = "Task Description:\n"
PREFIX = "Observation: "
LONGEST_ACTION = 300
"""No action that means anything is half as long; the parser's time grows with the length."""
SIMPLIFICATIONS = (
    "teleportAction",
    "openDoors",
    "selfWateringFlowerPots",
    "openContainers",
    "noElectricalAction",
)
PRESETS: Mapping[str, str] = {
    "none": "",
    "easy": "teleportAction,openDoors,selfWateringFlowerPots,noElectricalAction",
    "easy-open": "teleportAction,openDoors,selfWateringFlowerPots,openContainers,"
    "noElectricalAction",
}
"""The simulator's own word ``easy`` cannot be combined with others and hides what it means.

``easy-open`` is what ETO's prompt describes; it lets the bees out and makes some solutions fail.
"""
HASH_CODES = range(6)
"""The values of Java's ``-XX:hashCode``; any other number silently means its random default."""

_NO_EFFECT = ("No known action matches", "Unknown action.")
_AMBIGUOUS = "Ambiguous request"


@dataclass(frozen=True)
class Parameters:
    """Everything that changes a task, an observation or a score.

    ``simplifications`` is a preset (``easy``, ``easy-open``, ``none``) or a list; ``families``
    are patterns of task families; ``view`` is ``full`` or ``brief`` (see :mod:`.observation_view`);
    ``success`` is ``eto`` or ``strict``; ``max_steps`` replaces the published limits unless 0;
    ``hash_code`` is the Java flag that makes the simulator deterministic.
    """

    simplifications: str = "easy"
    families: str = "*"
    view: str = "full"
    success: str = "eto"
    max_steps: int = 0
    hash_code: int = 2


class ScienceEpisode:
    """One episode of a task: a list of actions, and a simulator that may change."""

    def __init__(self, environment: ScienceWorldEnvironment, task: str) -> None:
        self._environment = environment
        self._family, self._variation = tasks.parse(task)
        self._task = task
        self._actions: list[str] = []
        self._score = 0.0
        self._choices = 0
        self._over: Outcome | None = None

    def reset(self) -> str:
        self._actions, self._score, self._choices, self._over = [], 0.0, 0, None
        return TITLE + self._environment.instruction(self._task)

    def step(self, action: str) -> Outcome:
        if self._over is not None:
            return replace(self._over, valid=False)
        sent = _harmless(action)
        observation, score, completed = self._say(sent)
        self._actions.append(sent)
        # Blank cancels and a number chooses; the next words are an action again either way.
        self._choices = observation.count("\n") - 1 if observation.startswith(_AMBIGUOUS) else 0
        self._score = max(self._score, min(score, 1.0))
        parameters = self._environment.spec.parameters
        outcome = Outcome(
            observation=PREFIX + shown(observation, str(parameters["view"])),
            score=self._score,
            done=completed,
            success=completed and (parameters["success"] == "eto" or self._score >= 1.0),
            valid=not observation.startswith(_NO_EFFECT),
        )
        if completed:
            self._over = outcome
            self._environment.pool.leave(self)
        return outcome

    def available_actions(self) -> Sequence[str]:
        if self._over is not None:
            return []
        if self._choices > 0:
            return [str(number) for number in range(self._choices)]
        listed = orjson.loads(self._with_slot(lambda slot: slot.simulator.valid_actions()))
        actions = {str(entry["action"]) for entry in listed["validActions"]}
        # It would undo the progress of the task and means nothing inside an episode.
        return sorted(actions - {"reset task"})

    def _say(self, action: str) -> tuple[str, float, bool]:
        state = SimulatorState(self._family, self._variation, (*self._actions, action))

        def step(slot: Slot) -> tuple[str, float, bool]:
            slot.state = None
            answer = slot.simulator.step(action)
            slot.state = state
            return answer

        return self._with_slot(step)

    def _with_slot(self, act: Callable[[Slot], T]) -> T:
        """``act(slot)`` where the episode stands, again elsewhere when the simulator is lost."""
        state = SimulatorState(self._family, self._variation, tuple(self._actions))
        pool = self._environment.pool
        for attempt in range(ATTEMPTS):
            slot = pool.take(self, state)
            try:
                return act(slot)
            except SimulatorLostError as error:
                pool.drop(slot)
                if attempt == ATTEMPTS - 1:
                    raise StageError(
                        f"ScienceWorld's simulator was lost {ATTEMPTS} times in task "
                        f"{self._task} at step {len(self._actions) + 1} ({error})"
                    ) from error
        raise AssertionError("unreachable")


class ScienceWorldEnvironment:
    """All tasks of the simulator. Episodes share its Java processes and nothing else."""

    concurrent_episodes = 1
    """Episodes that are played one after the other never have to be replayed."""

    def __init__(self, spec: EnvironmentSpec, pool: SimulatorPool) -> None:
        self.spec = spec
        self.pool = pool
        self.notes = _notes(str(spec.parameters["families"]))
        self._instructions: dict[str, str] = {}
        self._plans: dict[str, GoldSolution] = {}

    def splits(self) -> Mapping[str, Sequence[str]]:
        return tasks.splits(str(self.spec.parameters["families"]))

    def instruction(self, task: str) -> str:
        if task not in self._instructions:
            family, variation = tasks.parse(task)
            slot = self.pool.take(self, SimulatorState(family, variation))
            self._instructions[task] = slot.description
            # The next episode of this task finds the simulator where it begins.
            self.pool.leave(self)
        return self._instructions[task]

    def task_type(self, task: str) -> str:
        return tasks.parse(task)[0]

    def max_steps(self, task: str) -> int:
        family, _ = tasks.parse(task)
        return int(self.spec.parameters["max_steps"]) or tasks.FAMILIES[family].limit

    def episode(self, task: str) -> ScienceEpisode:
        return ScienceEpisode(self, task)

    def expert(self, task: str) -> Expert:
        from tratree_cli.envs.scienceworld.expert import GoldExpert

        return GoldExpert(self.plan(task).actions)

    def no_demonstration(self, task: str) -> str:
        """Why the task has no demonstration, or nothing if it has one."""
        return self.plan(task).missing

    def plan(self, task: str) -> GoldSolution:
        """The shortest checked solution of a task; made once."""
        if task not in self._plans:
            family, variation = tasks.parse(task)
            limit = self.max_steps(task)
            slot = self.pool.take(self, SimulatorState(family, variation))
            slot.state = None
            try:
                self._plans[task] = make_solution(
                    slot.simulator, family, variation, self.pool.simplifications(family), limit
                )
            except SimulatorLostError as error:
                self.pool.drop(slot)
                self._plans[task] = GoldSolution((), f"the simulator failed ({error})")
            finally:
                self.pool.leave(self)
        return self._plans[task]

    def close(self) -> None:
        self.pool.close()


def open_scienceworld(data: str = EMBEDDED, **parameters: Any) -> ScienceWorldEnvironment:
    """Open ScienceWorld; no Java starts before the first task does.

    Raises ``InputError`` if the simulator or Java is missing, or a parameter is not known.
    """
    chosen = _checked(parameters)
    jar, java = find_jar(data), find_java()
    stat = jar.stat()
    digest = sha256(b"scienceworld 1\n" + jar_digest(jar, stat.st_size, stat.st_mtime_ns).encode())
    spec = EnvironmentSpec(
        "scienceworld",
        data if data == EMBEDDED else str(jar.parent),
        digest.hexdigest(),
        asdict(chosen),
    )
    pool = SimulatorPool(
        partial(Simulator, java, (find_gateway(), jar), chosen.hash_code),
        partial(_for_family, chosen.simplifications),
    )
    return ScienceWorldEnvironment(spec, pool)


def _harmless(action: str) -> str:
    """An action as the simulator gets it: one line, no control characters, not endless."""
    printable = "".join(letter if letter.isprintable() else " " for letter in action)
    return printable.strip()[:LONGEST_ACTION]


def _for_family(simplifications: str, family: str) -> str:
    """Tasks about electricity need what ``noElectricalAction`` takes away."""
    options = [option for option in simplifications.split(",") if option]
    if tasks.is_electrical(family):
        options = [option for option in options if option != "noElectricalAction"]
    return ",".join(options)


def _notes(families: str) -> tuple[str, ...]:
    chosen = tasks.choose_families(families)
    total = sum(tasks.FAMILIES[name].variations for name in chosen)
    return (
        f"{len(chosen)} of {len(tasks.FAMILIES)} task families, {total:,} tasks",
        f"{tasks.seen_in_training()} of ETO's dev tasks are also in its train list",
    )


def _checked(given: Mapping[str, Any]) -> Parameters:
    """Parameters from keywords; InputError names the nearest name or the bad value."""
    choices = {"view": ("full", "brief"), "success": ("eto", "strict")}
    chosen = checked_parameters(
        Parameters, "ScienceWorld", given, choices=choices, least={"max_steps": 0}
    )
    if chosen.hash_code not in HASH_CODES:
        raise InputError(
            f"ScienceWorld's hash_code is one of {', '.join(map(str, HASH_CODES))}, "
            f"not {chosen.hash_code}"
        )
    tasks.choose_families(chosen.families)
    return replace(chosen, simplifications=_listed(chosen.simplifications))


def _listed(simplifications: str) -> str:
    """The explicit list that a preset stands for, or a list that is checked word by word."""
    if simplifications in PRESETS:
        return PRESETS[simplifications]
    options = [option.strip() for option in simplifications.split(",") if option.strip()]
    for option in options:
        if option not in SIMPLIFICATIONS:
            known = (*SIMPLIFICATIONS, *PRESETS)
            raise InputError(
                f"ScienceWorld has no simplification '{option}'{did_you_mean(option, known)}; give "
                f"a preset ({', '.join(PRESETS)}) or a list of {', '.join(SIMPLIFICATIONS)}"
            )
    return ",".join(sorted(set(options), key=SIMPLIFICATIONS.index))
