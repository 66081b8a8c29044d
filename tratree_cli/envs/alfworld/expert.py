"""A scripted policy that uses only the observations so far: the source of demonstrations.

It looks through the room until it finds what the task names, treats it if it must, and brings it
to where it belongs. In a small room it follows the list of the first text; in a large one
it begins where such a thing is likely to be, or forty steps would not do. It keeps what it saw,
and reads a *Nothing happens* on the way to a place as *I already stand there*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tratree_cli.envs.alfworld.households.inventory import THINGS, likely_places
from tratree_cli.envs.alfworld.sentences import TaskSentence, read_task_sentence, split_task

FEW = 12
"""Up to so many places there is nothing to gain from guessing."""

NOTHING = "Nothing happens."
CONTENT = re.compile(
    r"(?:(?:On the|The) ([a-z]+ \d+)(?: is open\. In it)?, you see|^([a-z]+ \d+):)"
    r" ((?!closed)[^.]*)"
)
CLOSED = re.compile(r"The ([a-z]+ \d+) is closed\.|^([a-z]+ \d+): closed$")
NAMED = re.compile(r"\b([a-z]+ \d+)\b")
TOOLS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
_GROUPS = {name.lower(): thing.group for name, thing in THINGS.items()}

SENTENCES = {
    "lost": "I do not understand this task.",
    "known": "The {thing} is in the {place}.",
    "found": "There is the {thing}, I take it.",
    "next": "No {kind} yet, so next the {place}.",
    "nowhere": "I saw everything and no {kind}.",
    "open": "The {place} is closed, I open it.",
    "see": "I look at the {place}.",
    "missing": "There is no {place} here.",
    "must": "I have the {hands} and must {state} it.",
    "treat": "Now I {state} the {hands}.",
    "lamp": "I have the {hands} and need the {lamp}.",
    "light": "Now I turn on the {lamp}.",
    "bring": "I bring the {hands} to the {place}.",
    "put": "Here I put the {hands}.",
}
NOTES = {
    "lost": "what?",
    "known": "{thing}: {place}",
    "found": "{kind}? {thing}",
    "next": "{kind}? no, {place}",
    "nowhere": "{kind}? no",
    "open": "closed",
    "see": "{place}?",
    "missing": "no {place}",
    "must": "{state} {hands}: {place}",
    "treat": "{state} {hands}",
    "lamp": "{hands}, {lamp}",
    "light": "{lamp}",
    "bring": "{hands}: {place}",
    "put": "{hands}",
}
"""Thoughts, as sentences and as the notes that go with brief texts."""

Move = tuple[str, str]
"""A thought and an action."""


class SearchExpert:
    """One episode's expert; it satisfies ``tratree_cli.envs.protocol.Expert``."""

    def __init__(self, put: str = "put", *, notes: bool = False) -> None:
        self._thoughts = NOTES if notes else SENTENCES
        self._put = "move {} to {}" if put == "move" else "put {} in/on {}"
        self.task: TaskSentence | None = None
        self.places: list[str] = []
        self.content: dict[str, list[str]] = {}
        self.closed: set[str] = set()
        self.reached: set[str] = set()
        self.hands = ""
        self.ready = False
        self.done: list[str] = []
        self.target = ""
        self.useless: set[str] = set()
        self.last = ""

    def act(self, observation: str) -> Move:
        """Return ``(thought, action)`` for the newest observation."""
        text = observation.removeprefix("Observation:").strip()
        if split_task(text)[1] and not self.places:
            self._begin(text)
        else:
            self._notice(text)
        move = self._next()
        self.last = move[1]
        return move

    # -- reading observations -------------------------------------------------------------------

    def _begin(self, text: str) -> None:
        self.task = read_task_sentence(text)
        self.places = NAMED.findall(split_task(text)[0])
        if self.task is not None and len(self.places) > FEW:
            self.places = _by_likelihood(self.places, self.task.thing)

    def _notice(self, text: str) -> None:
        failed = text == NOTHING
        verb, _, rest = self.last.partition(" ")
        if self.last.startswith("go to "):
            place = self.last.removeprefix("go to ")
            # Several places may be reached from one spot, and going to where one stands does
            # nothing.
            self.reached = {*self.reached, place} if failed else {place}
        elif failed:
            self.useless.add(self.last)
        elif verb == "take":
            self.hands, _, place = rest.partition(" from ")
            self.content[place] = [t for t in self.content.get(place, []) if t != self.hands]
            self.ready = self.task is None or not self.task.state
        elif verb in TOOLS:
            self.ready = True
        elif verb in ("put", "move"):
            self.done.append(self.hands)
            self.hands = ""
        for opened, surface, contents in CONTENT.findall(text):
            self.content[opened or surface] = NAMED.findall(contents)
            self.closed.discard(opened or surface)
        for opened, surface in CLOSED.findall(text):
            self.closed.add(opened or surface)

    # -- choosing the action -------------------------------------------------------------------

    def _next(self) -> Move:
        task = self.task
        if task is None:
            return self._thought("lost"), "look"
        if self.hands:
            if task.lamp:
                return self._light(task)
            if not self.ready:
                return self._treat(task)
            return self._deliver(task)
        location = self._find(task.thing)
        if location is None:
            return self._search(task.thing)
        thing, place = location
        arrive = self._go(place, self._thought("known", thing=thing, place=place))
        return arrive or (self._thought("found", thing=thing), f"take {thing} from {place}")

    def _thought(self, what: str, **values: str) -> str:
        kind = self.task.thing if self.task is not None else ""
        return self._thoughts[what].format(**{"kind": kind, "hands": self.hands, **values})

    def _find(self, kind: str) -> tuple[str, str] | None:
        """A thing of a kind that was seen and is not yet where it belongs, and its place."""
        for place, things in self.content.items():
            for thing in things:
                settled = thing in self.done or (place == self.target and kind == self._kind())
                useless = f"take {thing} from {place}" in self.useless
                if _is(thing, kind) and not settled and not useless:
                    return thing, place
        return None

    def _kind(self) -> str:
        return self.task.thing if self.task is not None and self.task.number > 1 else ""

    def _search(self, kind: str) -> Move:
        for place in self.places:
            if place not in self.content:
                going = self._go(place, self._thought("next", kind=kind, place=place))
                return going or (self._thought("see", place=place), f"examine {place}")
        return self._thought("nowhere", kind=kind), "look"

    def _go(self, place: str, why: str) -> Move | None:
        """One step towards seeing into ``place``; None when one stands before it and sees it."""
        if place not in self.reached:
            return why, f"go to {place}"
        if place in self.closed:
            return self._thought("open", place=place), f"open {place}"
        seen = place in self.content
        return None if seen else (self._thought("see", place=place), f"examine {place}")

    def _treat(self, task: TaskSentence) -> Move:
        tool = self._nearest(TOOLS[task.state])
        if tool is None:
            return self._thought("missing", place=TOOLS[task.state]), "look"
        if tool not in self.reached:
            return self._thought("must", state=task.state, place=tool), f"go to {tool}"
        return self._thought("treat", state=task.state), f"{task.state} {self.hands} with {tool}"

    def _light(self, task: TaskSentence) -> Move:
        location = self._find(task.lamp)
        if location is None:
            return self._search(task.lamp)
        lamp, place = location
        if place not in self.reached:
            return self._thought("lamp", lamp=lamp), f"go to {place}"
        return self._thought("light", lamp=lamp), f"use {lamp}"

    def _deliver(self, task: TaskSentence) -> Move:
        if not self.target or self._putting(self.target) in self.useless:
            self.target = self._nearest(task.place) or ""
        if not self.target:
            return self._thought("missing", place=task.place), "look"
        arrive = self._go(self.target, self._thought("bring", place=self.target))
        return arrive or (self._thought("put"), self._putting(self.target))

    def _putting(self, place: str) -> str:
        return self._put.format(self.hands, place)

    def _nearest(self, kind: str) -> str | None:
        """A place of a kind: where such a thing lies already, where one stands, or the first."""
        fitting = [
            place
            for place in self.places
            if _is(place, kind) and self._putting(place) not in self.useless
        ]
        wanted = self._kind()
        return min(
            fitting,
            key=lambda place: (
                not any(_is(thing, wanted) for thing in self.content.get(place, [])),
                place not in self.reached,
                place in self.closed,
                _number(place),
            ),
            default=None,
        )


def _by_likelihood(places: Iterable[str], thing: str) -> list[str]:
    """Places in the order in which a thing of this kind is looked for."""
    order = [name.lower() for name in likely_places(_GROUPS.get(thing, ""))]

    def rank(place: str) -> tuple[int, int]:
        kind = place.partition(" ")[0]
        return (order.index(kind) if kind in order else len(order), _number(place))

    return sorted(places, key=rank)


def _is(name: str, kind: str) -> bool:
    return bool(kind) and name.partition(" ")[0] == kind


def _number(name: str) -> int:
    return int(name.rpartition(" ")[2])
