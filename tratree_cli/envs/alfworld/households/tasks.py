"""Tasks in a household: the six kinds, their goals in PDDL and their sentences.

Sentences are the original's short forms; the original draws one of two anew in every run, here the
game's own seed does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACE, LOOK, CLEAN = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
)
HEAT, COOL, TWO = (
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
TYPES = (PLACE, CLEAN, HEAT, COOL, LOOK, TWO)

STATES: Mapping[str, tuple[str, str, str]] = {
    CLEAN: ("c", "cleanable", "isClean"),
    HEAT: ("h", "heatable", "isHot"),
    COOL: ("l", "coolable", "isCool"),
}
"""Per task type with a treatment: the thing's mark, and the predicates before and after."""

SENTENCES: Mapping[str, tuple[str, str]] = {
    PLACE: ("put a {thing} in {place}.", "put some {thing} on {place}."),
    LOOK: ("look at {thing} under the {lamp}.", "examine the {thing} with the {lamp}."),
    CLEAN: ("put a clean {thing} in {place}.", "clean some {thing} and put it in {place}."),
    HEAT: ("put a hot {thing} in {place}.", "heat some {thing} and put it in {place}."),
    COOL: ("put a cool {thing} in {place}.", "cool some {thing} and put it in {place}."),
    TWO: ("put two {thing} in {place}.", "find two {thing} and put them in {place}."),
}


@dataclass(frozen=True)
class HouseholdTask:
    """What to do: the type, the thing's kind, and the receptacle's kind or the lamp's."""

    type: str
    thing: str
    place: str = ""
    lamp: str = ""

    def sentence(self, form: int) -> str:
        """The task in words; ``form`` is 0 or 1."""
        return SENTENCES[self.type][form].format(
            thing=self.thing.lower(), place=self.place.lower(), lamp=self.lamp.lower()
        )

    def goal(self) -> str:
        """The goal as PDDL."""
        if self.type == LOOK:
            return f"""(and
      (exists (?ot - object ?r - receptacle ?a - agent ?l - location)
        (and (objectType ?ot {self.lamp}Type) (toggleable ?ot) (isToggled ?ot)
          (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r)))
      (exists (?o - object ?a - agent)
        (and (objectType ?o {self.thing}Type) (holds ?a ?o))))"""
        if self.type == TWO:
            return f"""(and (exists (?r - receptacle) (exists (?o1 - object)
      (and (objectType ?o1 {self.thing}Type) (receptacleType ?r {self.place}Type)
        (inReceptacle ?o1 ?r)
        (exists (?o2 - object)
          (and (not (= ?o1 ?o2)) (objectType ?o2 {self.thing}Type)
            (receptacleType ?r {self.place}Type) (inReceptacle ?o2 ?r)))))))"""
        before, after = "", ""
        if self.type in STATES:
            _, able, done = STATES[self.type]
            before, after = f"({able} ?o) ", f" ({done} ?o)"
        return f"""(and (exists (?r - receptacle) (exists (?o - object)
      (and {before}(objectType ?o {self.thing}Type) (receptacleType ?r {self.place}Type){after}
        (inReceptacle ?o ?r)))))"""
