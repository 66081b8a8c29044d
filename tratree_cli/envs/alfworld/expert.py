"""A housekeeper who knows only what was said so far: the source of demonstrations.

It looks through the room until it finds what the task names, treats it if it must, and brings it
to where it belongs. In a small room it goes down the list that the first text gives; in a large one
it begins where such a thing is likely to be, or forty steps would not do. It remembers what it saw,
and takes a *Nothing happens* on the way to a place as *I already stand there*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tratree_cli.envs.alfworld.households.inventory import THINGS, likely_places
from tratree_cli.envs.alfworld.sentences import MARK, Wish, read_wish

FEW = 12
"""Up to so many places there is nothing to gain from guessing."""

NOTHING = "Nothing happens."
CONTENT = re.compile(r"(?:On the|The) ([a-z]+ \d+)(?: is open\. In it)?, you see ([^.]*)\.")
CLOSED = re.compile(r"The ([a-z]+ \d+) is closed\.")
NAMED = re.compile(r"\b([a-z]+ \d+)\b")
TOOLS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
_GROUPS = {name.lower(): thing.group for name, thing in THINGS.items()}

Move = tuple[str, str]
"""A thought and an action."""


class SearchExpert:
    """One episode's expert; it satisfies ``tratree_cli.envs.protocol.Expert``."""

    def __init__(self, put: str = "put") -> None:
        self._put = "move {} to {}" if put == "move" else "put {} in/on {}"
        self.wish: Wish | None = None
        self.places: list[str] = []
        self.content: dict[str, list[str]] = {}
        self.closed: set[str] = set()
        self.here: set[str] = set()
        self.hands = ""
        self.ready = False
        self.done: list[str] = []
        self.target = ""
        self.useless: set[str] = set()
        self.last = ""

    def act(self, observation: str) -> Move:
        """Return ``(thought, action)`` for the newest observation."""
        text = observation.removeprefix("Observation:").strip()
        if MARK in text and not self.places:
            self._begin(text)
        else:
            self._notice(text)
        move = self._next()
        self.last = move[1]
        return move

    # -- taking in what was said ---------------------------------------------------------------

    def _begin(self, text: str) -> None:
        self.wish = read_wish(text)
        room = text.rpartition(MARK)[0].rpartition("you see ")[2]
        self.places = NAMED.findall(room)
        if self.wish is not None and len(self.places) > FEW:
            self.places = _by_likelihood(self.places, self.wish.thing)

    def _notice(self, text: str) -> None:
        failed = text == NOTHING
        verb, _, rest = self.last.partition(" ")
        if self.last.startswith("go to "):
            place = self.last.removeprefix("go to ")
            # Several places may be reached from one spot, and nobody walks to where he stands.
            self.here = {*self.here, place} if failed else {place}
        elif failed:
            self.useless.add(self.last)
        elif verb == "take":
            self.hands, _, place = rest.partition(" from ")
            self.content[place] = [t for t in self.content.get(place, []) if t != self.hands]
            self.ready = self.wish is None or not self.wish.state
        elif verb in TOOLS:
            self.ready = True
        elif verb in ("put", "move"):
            self.done.append(self.hands)
            self.hands = ""
        for place, words in CONTENT.findall(text):
            self.content[place] = NAMED.findall(words)
            self.closed.discard(place)
        for place in CLOSED.findall(text):
            self.closed.add(place)

    # -- what to do ----------------------------------------------------------------------------

    def _next(self) -> Move:
        wish = self.wish
        if wish is None:
            return "I do not understand this task.", "look"
        if self.hands:
            if wish.lamp:
                return self._light(wish)
            if not self.ready:
                return self._treat(wish)
            return self._deliver(wish)
        found = self._find(wish.thing)
        if found is None:
            return self._search(wish.thing)
        thing, place = found
        arrive = self._go(place, f"The {thing} is in the {place}.")
        return arrive or (f"There is the {thing}, I take it.", f"take {thing} from {place}")

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
        return self.wish.thing if self.wish is not None and self.wish.number > 1 else ""

    def _search(self, kind: str) -> Move:
        for place in self.places:
            if place not in self.content:
                going = self._go(place, f"No {kind} yet, so next the {place}.")
                return going or (f"I look at the {place}.", f"examine {place}")
        return f"I saw everything and no {kind}.", "look"

    def _go(self, place: str, why: str) -> Move | None:
        """One step towards seeing into ``place``; None when one stands before it and sees it."""
        if place not in self.here:
            return why, f"go to {place}"
        if place in self.closed:
            return f"The {place} is closed, I open it.", f"open {place}"
        return None if place in self.content else (f"I look at the {place}.", f"examine {place}")

    def _treat(self, wish: Wish) -> Move:
        tool = self._nearest(TOOLS[wish.state])
        if tool is None:
            return f"There is no {TOOLS[wish.state]} here.", "look"
        if tool not in self.here:
            return f"I have the {self.hands} and must {wish.state} it.", f"go to {tool}"
        return f"Now I {wish.state} the {self.hands}.", f"{wish.state} {self.hands} with {tool}"

    def _light(self, wish: Wish) -> Move:
        found = self._find(wish.lamp)
        if found is None:
            return self._search(wish.lamp)
        lamp, place = found
        if place not in self.here:
            return f"I have the {self.hands} and need the {lamp}.", f"go to {place}"
        return f"Now I turn on the {lamp}.", f"use {lamp}"

    def _deliver(self, wish: Wish) -> Move:
        if not self.target or self._putting(self.target) in self.useless:
            self.target = self._nearest(wish.place) or ""
        if not self.target:
            return f"There is no {wish.place} here.", "look"
        arrive = self._go(self.target, f"I bring the {self.hands} to the {self.target}.")
        return arrive or (f"Here I put the {self.hands}.", self._putting(self.target))

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
                place not in self.here,
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
