"""A few simulators for any number of episodes: who sits where, and moving by replay.

The simulator's state is global to its Java process, so one process holds one live episode. An
episode that finds its simulator given to another, killed or hanging takes a fresh one and replays
its own actions there; determinism makes that invisible. So the number of processes is a matter of
memory and speed alone, and never of results.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tratree_cli.envs.scienceworld.simulator import Simulator, SimulatorLostError
from tratree_cli.errors import StageError

MEGABYTES = 500
"""What one simulator takes at most: 300 MB when playing, more when it looks for solutions."""
PER_CORE = 2
"""A fresh Java is slow for its first seconds, so replaying short episodes beats starting many."""
ATTEMPTS = 3
"""So many simulators may be lost on one action before the action is blamed."""


@dataclass(frozen=True)
class Place:
    """A state of the world: a task and the actions since its beginning."""

    family: str
    variation: int
    actions: Sequence[str] = ()


@dataclass
class Seat:
    """A simulator and the place it is in; ``place`` is None when nobody knows."""

    simulator: Simulator
    place: Place | None = None
    description: str = ""
    owner: weakref.ref[object] | None = None
    used: int = 0

    @property
    def free(self) -> bool:
        return self.owner is None or self.owner() is None


@dataclass
class Seats:
    """All simulators of one environment in this process."""

    start: Callable[[], Simulator]
    simplifications: Callable[[str], str]
    limit: int = 0
    _seats: list[Seat] = field(default_factory=list)
    _clock: itertools.count[int] = field(default_factory=itertools.count)
    _pid: int = field(default_factory=os.getpid)

    def take(self, owner: object, place: Place) -> Seat:
        """The owner's own seat if it is in ``place``; another one, brought there, otherwise.

        ``StageError`` if simulators are lost again and again on the way.
        """
        self._notice_fork()
        seat = self._seat_of(owner) or self._seat_for(place)
        for attempt in range(ATTEMPTS):
            try:
                seat = seat or self._new()
                seat.owner, seat.used = weakref.ref(owner), next(self._clock)
                if seat.place != place:
                    self._bring(seat, place)
                return seat
            except SimulatorLostError as error:
                assert seat is not None
                self.drop(seat)
                seat = None
                if attempt == ATTEMPTS - 1:
                    raise StageError(
                        f"ScienceWorld's simulator was lost {ATTEMPTS} times in task "
                        f"{place.family}/{place.variation} after {len(place.actions)} actions "
                        f"({error})"
                    ) from error
        raise AssertionError("unreachable")

    def drop(self, seat: Seat) -> None:
        """Give up a simulator that is lost."""
        seat.simulator.kill()
        with contextlib.suppress(ValueError):
            self._seats.remove(seat)

    def leave(self, owner: object) -> None:
        """The owner's episode is over; its simulator may go on with another."""
        seat = self._seat_of(owner)
        if seat is not None:
            seat.owner = None

    def close(self) -> None:
        """Kill every simulator; ``take`` would start new ones."""
        self._notice_fork()
        while self._seats:
            self._seats.pop().simulator.kill()

    def _seat_of(self, owner: object) -> Seat | None:
        for seat in self._seats:
            if seat.owner is not None and seat.owner() is owner:
                return seat
        return None

    def _seat_for(self, place: Place) -> Seat | None:
        """A free seat (best one that is there already), else room for a new one, else another's."""
        free = [seat for seat in self._seats if seat.free]
        if free:
            return next((seat for seat in free if seat.place == place), free[0])
        if len(self._seats) < (self.limit or self._room()):
            return None
        # The newest: episodes take turns, and whoever gave way to the oldest would soon be it.
        return max(self._seats, key=lambda seat: seat.used)

    def _room(self) -> int:
        """As many as the cores and a quarter of the memory allow; decided once."""
        cores = os.cpu_count() or 1
        self.limit = max(1, min(PER_CORE * cores, _memory_megabytes() // 4 // MEGABYTES))
        return self.limit

    def _new(self) -> Seat:
        seat = Seat(self.start())
        self._seats.append(seat)
        return seat

    def _bring(self, seat: Seat, place: Place) -> None:
        family, variation = place.family, place.variation
        seat.place = None
        simplifications = self.simplifications(family)
        seat.description = seat.simulator.load(family, variation, simplifications)
        for action in place.actions:
            seat.simulator.step(action)
        seat.place = place

    def _notice_fork(self) -> None:
        """A forked child must not speak into its parent's episodes, nor end them."""
        if self._pid != os.getpid():
            self._seats, self._pid = [], os.getpid()


def _memory_megabytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (AttributeError, OSError, ValueError):
        return 8192
