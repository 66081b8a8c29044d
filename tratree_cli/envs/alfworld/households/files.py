"""A household as the files that the original engine reads: the game and its description.

``game.tw-pddl`` holds rules, sentences and the problem; ``traj_data.json`` says what kind of task
it is. Folders are named as the original's are, so its loader finds and filters them alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.envs.alfworld.households.household import Household, openable
from tratree_cli.envs.alfworld.households.inventory import PLACES, ROOMS, THINGS
from tratree_cli.envs.alfworld.logic import domain_text, grammar_text

TRAITS = (
    ("c", "cleanable"),
    ("h", "heatable"),
    ("l", "coolable"),
    ("s", "sliceable"),
    ("t", "toggleable"),
)
VESSELS = frozenset({"Bowl", "Box", "Cup", "Mug", "Pan", "Plate", "Pot"})
"""Things that count as containers, which only shows when one is examined."""

_MANGLED = str.maketrans({"|": "_bar_", "-": "_minus_", "+": "_plus_", ".": "_dot_"})


def game_record(household: Household, edition: str, name: str) -> dict[str, Any]:
    """The content of ``game.tw-pddl`` in an edition (``put`` or ``move``)."""
    return {
        "pddl_domain": domain_text(edition),
        "grammar": grammar_text(edition, household.sentence()),
        "pddl_problem": problem_text(household, name),
        "solvable": True,
    }


def description(household: Household, name: str, seed: int) -> dict[str, Any]:
    """The content of ``traj_data.json``."""
    task = household.task
    return {
        "task_id": name,
        "task_type": task.type,
        "pddl_params": {
            "mrecep_target": "",
            "object_sliced": False,
            "object_target": task.thing,
            "parent_target": task.place,
            "toggle_target": task.lamp,
        },
        "scene": {
            "floor_plan": f"FloorPlan{household.plan}",
            "scene_num": household.plan,
            "random_seed": seed,
        },
        "turk_annotations": {"anns": [{"task_desc": household.sentence()}]},
    }


def write_game(folder: Path, household: Household, edition: str, name: str, seed: int) -> Path:
    """Write both files under ``folder`` and return the game's."""
    task = household.task
    label = f"{task.type}-{task.thing}-None-{task.place or task.lamp}-{household.plan}"
    place = folder / label / name
    place.mkdir(parents=True, exist_ok=True)
    game = place / "game.tw-pddl"
    game.write_bytes(orjson.dumps(game_record(household, edition, name)))
    about = orjson.dumps(description(household, name, seed), option=orjson.OPT_INDENT_2)
    (place / "traj_data.json").write_bytes(about)
    return game


def problem_text(household: Household, name: str) -> str:
    """The household as a PDDL problem."""
    objects = [
        "agent1 - agent",
        *(f"{_mangled(thing.id)} - object" for thing in household.things),
        *(f"{_mangled(piece.id)} - receptacle" for piece in household.furniture),
        *(f"{place} - location" for place in _standing(household)),
    ]
    facts = [f"(atLocation agent1 {_mangled(household.middle)})", *_facts(household)]
    return (
        f"(define (problem {name})\n(:domain alfred)\n(:objects\n"
        + "\n".join([*objects, *_types()])
        + ")\n(:init\n"
        + "\n".join([*facts, *_compatible()])
        + f")\n(:goal\n    {household.task.goal()}))\n"
    )


def _facts(household: Household) -> Iterator[str]:
    for piece in household.furniture:
        name = _mangled(piece.id)
        yield f"(receptacleType {name} {piece.kind}Type)"
        yield f"(receptacleAtLocation {name} {_mangled(piece.place)})"
        if openable(piece):
            yield f"(openable {name})"
    for thing in household.things:
        name = _mangled(thing.id)
        can = THINGS[thing.kind].can
        yield f"(objectType {name} {thing.kind}Type)"
        yield f"(inReceptacle {name} {_mangled(thing.piece.id)})"
        yield f"(objectAtLocation {name} {_mangled(thing.piece.place)})"
        if "f" not in can:
            yield f"(pickupable {name})"
        if thing.kind in VESSELS:
            yield f"(isReceptacleObject {name})"
        for mark, trait in TRAITS:
            if mark in can:
                yield f"({trait} {name})"


@lru_cache(maxsize=1)
def _types() -> tuple[str, ...]:
    furniture = sorted({kind for room in ROOMS.values() for kind in room.furniture})
    # Sinks are no furniture here, but a rule of one edition names their type.
    return (
        *(f"{kind}Type - otype" for kind in [*THINGS, "Sink"]),
        *(f"{kind}Type - rtype" for kind in furniture),
    )


@lru_cache(maxsize=1)
def _compatible() -> tuple[str, ...]:
    return tuple(
        f"(canContain {place}Type {kind}Type)"
        for kind, thing in THINGS.items()
        for place in sorted(PLACES[thing.group] | ({"Microwave"} if "h" in thing.can else set()))
    )


def _standing(household: Household) -> list[str]:
    places = {household.middle, *(piece.place for piece in household.furniture)}
    return sorted(_mangled(place) for place in places)


def _mangled(name: str) -> str:
    return name.translate(_MANGLED)
