"""Drawing one household with its task: furniture, things and a goal that can be reached.

Everything follows from the seed. The task is drawn first and the household around it: what the task
needs is there, the thing asked for lies somewhere else than where it shall go, and every place is
reachable, so a game is solvable by construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tratree_cli.envs.alfworld.households.inventory import OPENABLE, PLACES, ROOMS, THINGS
from tratree_cli.envs.alfworld.households.tasks import COOL, HEAT, LOOK, STATES, TWO, HouseholdTask

SIZES = {"full": 40, "small": 12, "tiny": 6}
"""At most so many pieces of furniture; ``full`` leaves a room as its kind says."""

THINGS_PER_PLACE = {"full": 1.65, "small": 1.3, "tiny": 1.1}
CAPACITY = {"Microwave": 2, "StoveBurner": 1, "Toilet": 3, "Safe": 2}
USUAL_CAPACITY = 6
ALIKE = 4
"""At most so many things of one kind."""

SHARED = 0.12
"""Chance that a piece of furniture is reached from where the one before it of its kind is."""

_GRID, _TURNS, _TILTS = range(-12, 13), range(4), (30, 60)

PLANS = 20
"""Floor plans of a kind of room; which one it is has no meaning beyond a number in a name."""


@dataclass(frozen=True)
class Piece:
    """A piece of furniture: its kind, identifier, where one stands before it."""

    kind: str
    id: str
    place: str


@dataclass(frozen=True)
class Placed:
    """A thing, its identifier, and the piece that it lies in or on."""

    kind: str
    id: str
    piece: Piece


@dataclass(frozen=True)
class Household:
    """A room with its things and one task; ``form`` chooses the sentence."""

    room: str
    plan: int
    furniture: tuple[Piece, ...]
    things: tuple[Placed, ...]
    task: HouseholdTask
    form: int
    middle: str

    def sentence(self) -> str:
        return self.task.sentence(self.form)


def draw_household(seed: str, kinds: tuple[str, ...], task_type: str, size: str) -> Household:
    """The household of a seed in one of the room kinds, with a task of the given type."""
    rng = Random(seed)
    while True:
        kind = rng.choice(kinds)
        counts = _furniture(rng, kind, task_type, SIZES[size])
        task = _task(rng, kind, task_type, set(counts))
        if task is not None:
            places = _Places(rng, SHARED if size == "full" else 0.0)
            furniture = tuple(
                places.piece(name) for name, count in counts.items() for _ in range(count)
            )
            number = round(THINGS_PER_PLACE[size] * len(furniture))
            things = _things(rng, kind, task, furniture, number, places)
            plan = ROOMS[kind].number + rng.randrange(PLANS)
            middle = places.standing()
            return Household(kind, plan, furniture, things, task, rng.randrange(2), middle)


def _needed(task_type: str) -> str:
    """The one piece of furniture that a type cannot do without."""
    return {HEAT: "Microwave", COOL: "Fridge", LOOK: ""}.get(
        task_type, "SinkBasin" if task_type in STATES else ""
    )


def _furniture(rng: Random, kind: str, task_type: str, most: int) -> dict[str, int]:
    """How many pieces of each kind; small rooms lose doubles first, then anything not needed."""
    counts = {name: rng.randint(*span) for name, span in ROOMS[kind].furniture.items()}
    counts = {name: count for name, count in counts.items() if count}
    while sum(counts.values()) > most:
        doubles = [name for name, count in counts.items() if count > 1]
        name = rng.choice(doubles or [name for name in counts if name != _needed(task_type)])
        counts[name] -= 1
        if not counts[name]:
            del counts[name]
    return counts


def _task(rng: Random, kind: str, task_type: str, there: set[str]) -> HouseholdTask | None:
    """A task that this furniture allows, or None."""
    if _needed(task_type) and _needed(task_type) not in there:
        return None
    room = ROOMS[kind]
    if task_type == LOOK:
        lit = "DeskLamp" in room.things and there & PLACES["lamp"]
        things = [t for t in room.things if "f" not in THINGS[t].can and there & _fits(t)]
        return HouseholdTask(LOOK, rng.choice(things), lamp="DeskLamp") if lit and things else None
    mark = STATES[task_type][0] if task_type in STATES else ""
    pairs = [
        (thing, place)
        for thing in room.things
        if mark in THINGS[thing].can and "f" not in THINGS[thing].can
        for place in sorted(there & _fits(thing))
        if there & _fits(thing) - {place} and place != _needed(task_type)
    ]
    # A thing first and a place second, or kinds with many places would be asked for most.
    if not pairs:
        return None
    thing = rng.choice(sorted({thing for thing, _ in pairs}))
    return HouseholdTask(task_type, thing, rng.choice([place for t, place in pairs if t == thing]))


def _fits(thing: str) -> frozenset[str]:
    """Kinds of furniture that a thing is found in and may be put in."""
    more = {"Microwave"} if "h" in THINGS[thing].can else set()
    return PLACES[THINGS[thing].group] | more


def _things(
    rng: Random,
    kind: str,
    task: HouseholdTask,
    furniture: tuple[Piece, ...],
    number: int,
    places: _Places,
) -> tuple[Placed, ...]:
    wanted = [task.thing] * (rng.choice((2, 2, 3)) if task.type == TWO else rng.choice((1, 1, 2)))
    if task.lamp:
        wanted.append(task.lamp)
    loose = [thing for thing in ROOMS[kind].things if thing not in (task.thing, "DeskLamp")]
    wanted += [rng.choice(loose) for _ in range(number - len(wanted))]
    load: Counter[str] = Counter()
    amount: Counter[str] = Counter()
    placed = []
    for thing in wanted:
        room_left = [
            piece
            for piece in furniture
            if piece.kind in _fits(thing)
            and load[piece.id] < CAPACITY.get(piece.kind, USUAL_CAPACITY)
            and not (thing == task.thing and piece.kind == task.place)
        ]
        if room_left and amount[thing] < ALIKE:
            piece = rng.choice(room_left)
            load[piece.id] += 1
            amount[thing] += 1
            placed.append(Placed(thing, places.named(thing), piece))
    return tuple(placed)


class _Places:
    """Identifiers with invented coordinates, no two alike."""

    def __init__(self, rng: Random, shared: float) -> None:
        self._rng = rng
        self._shared = shared
        self._used: set[str] = set()
        self._last: Piece | None = None

    def piece(self, kind: str) -> Piece:
        last = self._last
        if last is not None and last.kind == kind and self._rng.random() < self._shared:
            place = last.place
        else:
            place = self.standing()
        self._last = Piece(kind, self.named(kind), place)
        return self._last

    def named(self, kind: str) -> str:
        # The original's basins are parts of a sink or a tub, and their names are read from that.
        stem = kind.removesuffix("Basin")
        part = f"|{kind}" if stem != kind else ""
        return self._fresh(
            lambda: f"{stem}|{self._metres()}|{self._metres()}|{self._metres()}{part}"
        )

    def standing(self) -> str:
        spans: tuple[Sequence[int], ...] = (_GRID, _GRID, _TURNS, _TILTS)
        return self._fresh(
            lambda: "|".join(("loc", *(str(self._rng.choice(span)) for span in spans)))
        )

    def _metres(self) -> str:
        return f"{self._rng.uniform(-3, 3):+06.2f}"

    def _fresh(self, draw: Callable[[], str]) -> str:
        while (name := draw()) in self._used:
            pass
        self._used.add(name)
        return name


def openable(piece: Piece) -> bool:
    """Whether a piece has a door; it begins closed."""
    return piece.kind in OPENABLE
