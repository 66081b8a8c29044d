"""One game file: the house it describes, its task, and what is wrong with a broken one.

Names are the original's: every thing is numbered within its kind, the last in alphabetical order
first, over all things that the initial facts mention.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.envs.alfworld.goal import Atom, GoalCondition, parse_goal
from tratree_cli.envs.alfworld.logic import Logic, read_logic
from tratree_cli.envs.alfworld.pddl import Node, PddlError, parse, sections, typed_list
from tratree_cli.errors import InputError

KEYS = ("pddl_domain", "grammar", "pddl_problem")
KINDS = ("agent", "location", "receptacle", "object", "rtype", "otype")
BAR = "_bar_"
CHANGING = frozenset(
    {
        "atlocation", "objectatlocation", "inreceptacle", "holds", "holdsany", "opened",
        "checked", "isclean", "ishot", "iscool", "ison", "istoggled", "issliced",
    }
)  # fmt: skip
"""Predicates that an action can change."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "atlocation": ("agent", "location"),
    "receptacleatlocation": ("receptacle", "location"),
    "objectatlocation": ("object", "location"),
    "inreceptacle": ("object", "receptacle"),
    "inreceptacleobject": ("object", "object"),
    "receptacletype": ("receptacle", "rtype"),
    "objecttype": ("object", "otype"),
    "cancontain": ("rtype", "otype"),
    "holds": ("agent", "object"),
    "holdsany": ("agent",),
    "openable": ("receptacle",),
    "opened": ("receptacle",),
}
"""Types of the arguments that the engine relies on."""


@dataclass(frozen=True)
class Game:
    """A game as it begins.

    ``kinds`` gives the type of every declared thing, ``names`` what the player calls the things of
    the initial facts (``fridge 1``), ``facts`` the arguments of each predicate's true atoms.
    """

    where: str
    logic: Logic
    task: str
    kinds: Mapping[str, str]
    names: Mapping[str, str]
    facts: Mapping[str, frozenset[tuple[str, ...]]]
    goal: GoalCondition

    def true(self, atom: Atom) -> bool:
        """Whether an atom holds when the game begins."""
        return atom[1:] in self.facts.get(atom[0], frozenset())


def read_game(path: Path) -> Game:
    """Read ``game.tw-pddl``; InputError names in one sentence what is wrong with it."""
    return parse_game(read_record(path), str(path))


def read_record(path: Path) -> dict[str, Any]:
    """The file's JSON object with its three texts, not looked into any further."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path} is not a whole game file ({error}); fetch or write it again"
        ) from None
    if not isinstance(record, dict) or any(not isinstance(record.get(k), str) for k in KEYS):
        raise InputError(f"{path} is no ALFWorld game: it lacks one of {', '.join(KEYS)}")
    return record


def parse_game(record: Mapping[str, Any], where: str) -> Game:
    """A game from the texts of its file; ``where`` names it in errors."""
    try:
        logic, task = read_logic(record["pddl_domain"], record["grammar"])
        problem = dict(sections(parse(record["pddl_problem"])))
        for section in (":objects", ":init", ":goal"):
            if section not in problem:
                raise PddlError(f"it has no section {section}")
        kinds = _kinds(problem[":objects"])
        facts = _facts(problem[":init"], kinds)
        agents = [name for name, kind in kinds.items() if kind == "agent"]
        if len(agents) != 1 or len(facts.get("atlocation", ())) != 1:
            raise PddlError("it needs one agent that is in one place")
        goal = parse_goal(problem[":goal"][0]) if problem[":goal"] else None
        if goal is None:
            raise PddlError("its goal is empty")
    except PddlError as error:
        raise InputError(f"{where} cannot be played: {error}") from None
    mentioned = {thing for atoms in facts.values() for atom in atoms for thing in atom}
    return Game(where, logic, task, kinds, _names(mentioned), facts, goal)


def _kinds(declarations: list[Node]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for name, kind in typed_list(declarations):
        if kind not in KINDS:
            raise PddlError(f"'{name}' is of the unknown type '{kind}'")
        if kinds.setdefault(name, kind) != kind:
            raise PddlError(f"'{name}' is declared both as {kinds[name]} and as {kind}")
    return kinds


def _facts(nodes: list[Node], kinds: Mapping[str, str]) -> dict[str, frozenset[tuple[str, ...]]]:
    facts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for node in nodes:
        if not isinstance(node, list) or not node:
            raise PddlError("its initial facts hold a word outside parentheses")
        if node[0] == "=":
            continue  # costs and distances, which only the original's planner reads
        symbols = [word for word in node if isinstance(word, str)]
        if len(symbols) != len(node):
            raise PddlError(f"its initial fact '{node[0]}' is nested")
        predicate, arguments = symbols[0], tuple(symbols[1:])
        for thing in arguments:
            if thing not in kinds:
                raise PddlError(f"a fact '{predicate}' names '{thing}', which is not declared")
        wanted = ARGUMENTS.get(predicate)
        if wanted is not None and tuple(kinds[thing] for thing in arguments) != wanted:
            raise PddlError(f"a fact '{predicate}' has arguments of the wrong types")
        facts[predicate].add(arguments)
    return {predicate: frozenset(atoms) for predicate, atoms in facts.items()}


def _names(things: Iterable[str]) -> dict[str, str]:
    ordered = sorted(things)
    left = Counter(_stem(thing) for thing in ordered if BAR in thing)
    names = {}
    for thing in ordered:
        stem = _stem(thing)
        if BAR in thing:
            names[thing] = f"{stem} {left[stem]}"
            left[stem] -= 1
        else:
            # The original leaves the blank where the number would be.
            names[thing] = f"{stem} "
    return names


def _stem(thing: str) -> str:
    stem = thing.split(BAR, 1)[0]
    if BAR not in thing:
        for mangled, plain in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
            stem = stem.replace(mangled, plain)
        return stem
    return f"{stem}basin" if "basin" in thing else stem
