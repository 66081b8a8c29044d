"""Solutions to demonstrate with: the simulator's own, shortened, and checked by playing them.

The simulator's solutions walk through every door and never teleport. The shortened one drops doors
and joins walks into one teleport, which tasks that wait for something do not always survive; so
both are played, and the shorter one that reaches a score of 1 within the step limit is kept. A look
at the place goes before the first thing that is named there, because an agent that sees only texts
could not see it otherwise; where the limit leaves no room for looks they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tratree_cli.envs.scienceworld.simulator import Simulator

LOOK = "look around"
_WALK = "go to "
_TELEPORT = "teleport to "
_DOOR = "open door to "
_PLAIN = (
    (re.compile(r" in inventory\b"), ""),
    (re.compile(r" containing (?:(?! to | into | on ).)+"), ""),
    (re.compile(r"\b(\w+) \1\b"), r"\1"),
    (re.compile(r"\begg (\w[\w ]*?) egg\b"), r"\1 egg"),
    (re.compile(r"\begg (?!in\b|on\b|to\b)(\w+(?: \w+)?)$"), r"\1 egg"),
)


@dataclass(frozen=True)
class GoldSolution:
    """Actions that solve a task, or why there are none that may be shown."""

    actions: tuple[str, ...]
    missing: str = ""


def make_solution(
    simulator: Simulator, family: str, variation: int, simplifications: str, limit: int
) -> GoldSolution:
    """The shortest of the candidates that plays to a score of 1 within ``limit`` steps."""
    task = simulator.load(family, variation, simplifications, gold=True)
    full = [action for action in simulator.gold_path() if not action.startswith("ERROR")]
    if not full:
        return GoldSolution((), "the simulator knows no solution")

    def play(actions: Sequence[str]) -> tuple[str, ...] | None:
        simulator.load(family, variation, simplifications)
        return _play(simulator, actions)

    teleports = "teleportAction" in simplifications
    preferred = next(candidates(full, teleports, task))
    if played := play(preferred[:limit]):
        return GoldSolution(played)
    # The step at which the simulator's own solution is complete shows how much of it is needed, and
    # so which of the others cannot be short enough; to play them all would take ten seconds for a
    # long task.
    whole = play(full)
    shortest = len(whole or ())
    for candidate in candidates(whole or full, teleports, task):
        if whole and (len(candidate) > limit or candidate == preferred[: len(candidate)]):
            continue
        played = whole if candidate == list(whole or ()) else play(candidate)
        if played is None:
            continue
        if len(played) <= limit:
            return GoldSolution(played)
        shortest = min(shortest or len(played), len(played))
    if shortest:
        return GoldSolution((), f"longer than the limit of {limit} steps")
    return GoldSolution((), "no solution reaches a score of 1")


def candidates(full: Sequence[str], teleports: bool, task: str) -> Iterator[list[str]]:
    """Ways to show a solution, the ones to be preferred first; none twice."""
    doorless = [action for action in full if not action.startswith(_DOOR)]
    variants = [compress(doorless)] if teleports else []
    variants.append(doorless)
    tried: list[list[str]] = []
    for variant in variants:
        plain = [plainly(action) for action in variant]
        for candidate in (with_looks(plain, task), with_looks(variant, task), plain, variant):
            if candidate not in tried:
                tried.append(candidate)
                yield candidate
    yield list(full)


def plainly(action: str) -> str:
    """The action with the names that looks show instead of the simulator's full descriptions."""
    for pattern, replacement in _PLAIN:
        action = pattern.sub(replacement, action)
    return action


def compress(full: Sequence[str]) -> list[str]:
    """Runs of walks as one teleport to where the last one leads."""
    short: list[str] = []
    for action in full:
        if action.startswith(_WALK):
            if short and short[-1].startswith(_TELEPORT):
                short.pop()
            short.append(_TELEPORT + action.removeprefix(_WALK))
        else:
            short.append(action)
    return short


def with_looks(actions: Sequence[str], task: str) -> list[str]:
    """A look in each place before the first deed there with something not named before."""
    shown: list[str] = []
    known = _words(task)
    looked = False
    for action in actions:
        if action.startswith((_WALK, _TELEPORT)):
            looked = False
        elif action == LOOK:
            if looked:
                continue
            looked = True
        elif not looked and not _words(action.partition(" ")[2]) <= known:
            shown.append(LOOK)
            looked = True
        known |= _words(action)
        shown.append(action)
    return shown


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) | {"up", "on", "to", "the", "1", "egg"}


def _play(simulator: Simulator, actions: Sequence[str]) -> tuple[str, ...] | None:
    """The actions up to the one that completes the task with a score of 1, or None."""
    for count, action in enumerate(actions, 1):
        _, score, completed = simulator.step(action)
        if completed:
            return tuple(actions[:count]) if score >= 1.0 else None
    return None
