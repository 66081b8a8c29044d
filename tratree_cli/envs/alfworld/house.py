"""What never changes in a game: places, traits of things, what goes where, and the goal.

Computed once per game and shared by all its runs, so that a step is a few look-ups.
"""

from __future__ import annotations

from collections import defaultdict

from tratree_cli.envs.alfworld.gamefile import CHANGING, Game
from tratree_cli.envs.alfworld.goal import Atom, GoalCheck

KNIVES = ("knifetype", "butterknifetype")


class House:
    """Everything about a game that stays as it is."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.names = game.names
        facts = game.facts
        ((_, self.start),) = facts["atlocation"]
        places = sorted(facts.get("receptacleatlocation", ()))
        self.at: dict[str, list[str]] = defaultdict(list)
        for receptacle, place in places:
            self.at[place].append(receptacle)
        self.everything = [f"a {self.names[receptacle]}" for receptacle, _ in places]
        self.goto: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for receptacle, place in places:
            self.goto[f"go to {self.names[receptacle]}"].append((receptacle, place))
        for trait in (
            "openable", "pickupable", "cleanable", "heatable", "coolable", "toggleable",
            "sliceable", "isreceptacleobject",
        ):  # fmt: skip
            setattr(self, trait, frozenset(a[0] for a in facts.get(trait, ()) if len(a) == 1))
        self.takes = self._takes()
        self.sinks = self._of_types(game.logic.sink_types)
        self.microwaves = self._of_types(("microwavetype",))
        self.fridges = self._of_types(("fridgetype",))
        self.knives = frozenset(o for o, t in facts.get("objecttype", ()) if t in KNIVES)
        self.inner: dict[str, list[str]] = defaultdict(list)
        for inner, outer in sorted(facts.get("inreceptacleobject", ())):
            self.inner[outer].append(inner)
        kinds: dict[str, list[str]] = defaultdict(list)
        for thing, kind in sorted(game.kinds.items()):
            kinds[kind].append(thing)
        self.goal = GoalCheck(game.goal, kinds, game.true, CHANGING)

    openable: frozenset[str]
    pickupable: frozenset[str]
    cleanable: frozenset[str]
    heatable: frozenset[str]
    coolable: frozenset[str]
    toggleable: frozenset[str]
    sliceable: frozenset[str]
    isreceptacleobject: frozenset[str]

    def winnable(self) -> bool:
        """Whether the goal's parts can each be brought about (not whether all at once)."""
        return self.goal.check(self._attainable)

    def _attainable(self, atom: Atom) -> bool:
        predicate = atom[0]
        if self.game.true(atom):
            return True
        match predicate:
            case "inreceptacle":
                return atom[1] in self.pickupable and atom[1] in self.takes.get(atom[2], ())
            case "holds":
                return atom[2] in self.pickupable
            case "isclean":
                return atom[1] in self.cleanable and bool(self.sinks)
            case "ishot":
                return atom[1] in self.heatable and bool(self.microwaves)
            case "iscool":
                return atom[1] in self.coolable and bool(self.fridges)
            case "istoggled" | "ison":
                return atom[1] in self.toggleable
        return predicate in CHANGING

    def _of_types(self, types: tuple[str, ...]) -> frozenset[str]:
        return frozenset(r for r, t in self.game.facts.get("receptacletype", ()) if t in types)

    def _takes(self) -> dict[str, frozenset[str]]:
        """Per receptacle the things that may be put there, by their types."""
        facts = self.game.facts
        of_type: dict[str, set[str]] = defaultdict(set)
        for thing, kind in facts.get("objecttype", ()):
            of_type[kind].add(thing)
        by_kind: dict[str, set[str]] = defaultdict(set)
        for kind, thing_kind in facts.get("cancontain", ()):
            by_kind[kind] |= of_type[thing_kind]
        takes: dict[str, set[str]] = defaultdict(set)
        for receptacle, kind in facts.get("receptacletype", ()):
            takes[receptacle] |= by_kind[kind]
        return {receptacle: frozenset(things) for receptacle, things in takes.items()}
