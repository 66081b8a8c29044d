"""The text game itself: the original engine's texts, commands and goals in plain Python.

A ``Play`` is one run in a ``House``. Each rule of the game is a few set look-ups, where the
original grounds the rules with a planner's translator and re-parses its grammar at every step. The
state keeps one peculiarity of the original, because texts depend on it: that a thing was taken from
a receptacle stays a fact, so a thing put back beside where it came from counts as lying next to it
when the player looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tratree_cli.envs.alfworld.goal import Atom
from tratree_cli.envs.alfworld.house import House

NOTHING_HAPPENS = "Nothing happens."
WELCOME = "-= Welcome to TextWorld, ALFRED! =-"

Command = tuple[str, str, str]
"""What a command means: the action's short name and its one or two things."""


class Play:
    """One run of a game: ``reset`` and ``step`` give the original's raw texts."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reset()

    def reset(self) -> str:
        """Begin anew; the first text with the task sentence."""
        facts = self.house.game.facts
        self.place = self.house.start
        self.held = {thing for _, thing in facts.get("holds", ())}
        self.hands_full = bool(facts.get("holdsany"))
        self.inside: dict[str, set[str]] = defaultdict(set)
        for thing, receptacle in facts.get("inreceptacle", ()):
            self.inside[receptacle].add(thing)
        self.lying: dict[str, set[str]] = defaultdict(set)
        for thing, place in facts.get("objectatlocation", ()):
            self.lying[place].add(thing)
        self.taken: set[tuple[str, str]] = set()
        self.states: dict[str, set[str]] = {
            state: {a[0] for a in facts.get(state, ()) if len(a) == 1}
            for state in ("opened", "isclean", "ishot", "iscool", "ison", "istoggled", "issliced")
        }
        self.won = self.house.goal.check(self.holds)
        first = self._look(everywhere=True)
        return f"{WELCOME}\n\n{first}\n\n{self.house.game.task}"

    def step(self, command: str) -> str:
        """Carry out a command (outer blanks are cut off); the original's text."""
        command = command.strip()
        meaning = self._going(command) or self._here().get(command)
        if meaning is None:
            return NOTHING_HAPPENS
        text = self._do(*meaning)
        self.won = self.house.goal.check(self.holds)
        return text

    def commands(self) -> list[str]:
        """Every command that does something now, sorted."""
        going = (
            command
            for command, ends in self.house.goto.items()
            if any(place != self.place for _, place in ends)
        )
        return sorted({*going, *self._here()})

    def allows(self, command: str) -> bool:
        """Whether a command (outer blanks are cut off) does something now."""
        command = command.strip()
        return self._going(command) is not None or command in self._here()

    def holds(self, atom: Atom) -> bool:
        """Whether an atom is true now."""
        predicate = atom[0]
        if predicate == "inreceptacle":
            return atom[1] in self.inside[atom[2]]
        if predicate == "atlocation":
            return atom[2] == self.place
        if predicate == "holds":
            return atom[2] in self.held
        if predicate in self.states:
            return atom[1] in self.states[predicate]
        if predicate == "holdsany":
            return self.hands_full
        if predicate == "objectatlocation":
            return atom[1] in self.lying[atom[2]]
        return self.house.game.true(atom)

    # -- commands ------------------------------------------------------------------------------

    def _going(self, command: str) -> Command | None:
        for receptacle, place in self.house.goto.get(command, ()):
            # Going to where one stands changes nothing, and the original drops such actions.
            if place != self.place:
                return ("go", receptacle, place)
        return None

    def _here(self) -> dict[str, Command]:
        """Commands other than going, by what they mean; the first of equal ones wins."""
        house, name = self.house, self.house.names
        commands: dict[str, Command] = {
            "look": ("look", "", ""),
            "inventory": ("inventory", "", ""),
        }
        if house.game.logic.help is not None:
            commands["help"] = ("help", "", "")
        moving = house.game.logic.put == "move"
        for r in house.at.get(self.place, ()):
            commands.setdefault(f"examine {name[r]}", ("examine receptacle", r, ""))
            if r in house.openable:
                verb = "close" if r in self.states["opened"] else "open"
                commands.setdefault(f"{verb} {name[r]}", (verb, r, ""))
            reachable = r not in house.openable or r in self.states["opened"]
            for o in self.inside[r]:
                if reachable and not self.hands_full and o in house.pickupable:
                    commands.setdefault(f"take {name[o]} from {name[r]}", ("take", o, r))
                if o in house.toggleable:
                    commands.setdefault(f"use {name[o]}", ("use", o, ""))
            for o in self.held:
                if reachable and o in house.takes.get(r, ()):
                    put = f"move {name[o]} to" if moving else f"put {name[o]} in/on"
                    commands.setdefault(f"{put} {name[r]}", ("put", o, r))
                if r in house.sinks and o in house.cleanable:
                    commands.setdefault(f"clean {name[o]} with {name[r]}", ("clean", o, r))
                if r in house.microwaves and o in house.heatable:
                    commands.setdefault(f"heat {name[o]} with {name[r]}", ("heat", o, r))
                if r in house.fridges and o in house.coolable:
                    commands.setdefault(f"cool {name[o]} with {name[r]}", ("cool", o, r))
        for o in self.held:
            commands.setdefault(f"examine {name[o]}", ("examine object", o, ""))
            if o in house.knives:
                for c in self.lying.get(self.place, ()):
                    if c in house.sliceable:
                        commands.setdefault(f"slice {name[c]} with {name[o]}", ("slice", c, o))
        return commands

    # -- effects -------------------------------------------------------------------------------

    def _do(self, action: str, first: str, second: str) -> str:
        name, states = self.house.names, self.states
        match action:
            case "go":
                self.place = second
                arrival = second if self.house.game.logic.arrive_at_place else first
                return f"You arrive at {name[arrival]}. {self._receptacle(first)}"
            case "open":
                states["opened"].add(first)
                return f"You open the {name[first]}. {self._receptacle(first)}"
            case "close":
                states["opened"].discard(first)
                return f"You close the {name[first]}."
            case "take":
                self._take(first, second)
                return f"You pick up the {name[first]} from the {name[second]}."
            case "put":
                self._put(first, second)
                if self.house.game.logic.put == "move":
                    return f"You move the {name[first]} to the {name[second]}."
                return f"You put the {name[first]} in/on the {name[second]}."
            case "use":
                # A lamp that was used once counts as used for ever; the text does not change.
                states["istoggled"].add(first)
                states["ison"] ^= {first}
                return f"You turn on the {name[first]}."
            case "clean":
                states["isclean"].add(first)
            case "heat":
                states["ishot"].add(first)
                states["iscool"].discard(first)
            case "cool":
                states["iscool"].add(first)
                states["ishot"].discard(first)
            case "slice":
                states["issliced"].add(first)
                return f"You sliced the {name[first]} with the {name[second]}."
            case "look":
                return self._look()
            case "inventory":
                return self._inventory()
            case "help":
                return self.house.game.logic.help or ""
            case "examine receptacle":
                return self._receptacle(first)
            case _:
                return self._object(first)
        return f"You {action} the {name[first]} using the {name[second]}."

    def _take(self, thing: str, receptacle: str) -> None:
        self.inside[receptacle].discard(thing)
        self.taken.add((thing, receptacle))
        self.lying[self.place].discard(thing)
        self.held.add(thing)
        self.hands_full = True

    def _put(self, thing: str, receptacle: str) -> None:
        self.inside[receptacle].add(thing)
        self.taken.discard((thing, receptacle))
        self.lying[self.place].add(thing)
        self.held.discard(thing)
        self.hands_full = False

    # -- observations --------------------------------------------------------------------------

    def _look(self, everywhere: bool = False) -> str:
        receptacles = self.house.at.get(self.place, [])
        if not receptacles:
            # Only the first look shows the room; later ones look for receptacles where one stands.
            seen = listed(self.house.everything if everywhere else [])
            return f"You are in the middle of a room. Looking quickly around you, you see {seen}."
        facing = listed([self.house.names[receptacle] for receptacle in receptacles])
        beside = [
            f"a {self.house.names[thing]}"
            for thing in sorted(self.lying.get(self.place, ()))
            for receptacle in receptacles
            if (thing, receptacle) in self.taken
        ]
        return f"You are facing the {facing}. Next to it, you see {listed(beside)}."

    def _receptacle(self, receptacle: str) -> str:
        name = self.house.names[receptacle]
        seen = self._things(self.inside[receptacle])
        if receptacle not in self.house.openable:
            return f"On the {name}, you see {seen}."
        if receptacle in self.states["opened"]:
            return f"The {name} is open. In it, you see {seen}."
        return f"The {name} is closed."

    def _inventory(self) -> str:
        if not self.hands_full:
            return "You are not carrying anything."
        return f"You are carrying: {self._things(self.held)}."

    def _object(self, thing: str) -> str:
        house, states, name = self.house, self.states, self.house.names[thing]
        if thing in house.isreceptacleobject:
            return f"This is a normal {name}. In it, you see {self._things(house.inner[thing])}."
        clean, hot = thing in states["isclean"], thing in states["ishot"]
        cool, sliced = thing in states["iscool"], thing in states["issliced"]
        heat = "hot" if hot else "cool" if cool else ""
        if sliced and (clean or heat):
            both = f"{heat} and clean" if clean and heat else "clean" if clean else heat
            return f"This is a {both} sliced {name}."
        if clean and heat:
            return f"This is a {heat} and clean {name}."
        if heat or clean:
            return f"This is a {'hot' if hot else 'clean' if clean else 'cold'} {name}."
        if thing in house.toggleable and thing in states["istoggled"]:
            return f"This {name} is on."
        if thing in house.sliceable and sliced:
            return f"This is a sliced {name}."
        return f"There's nothing special about {name}."

    def _things(self, things: Iterable[str]) -> str:
        return listed([f"a {self.house.names[thing]}" for thing in sorted(things)])


def listed(phrases: list[str]) -> str:
    """``a``, ``a, and b``, ``a, b, and c``; nothing is ``nothing``."""
    if not phrases:
        return "nothing"
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])}, and {phrases[-1]}"
