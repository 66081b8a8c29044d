"""A pool of simulators for any number of episodes, which move between them by replay.

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
class SimulatorState:
    """A state of a simulator: a task and the actions since its beginning."""

    family: str
    variation: int
    actions: Sequence[str] = ()


@dataclass
class Slot:
    """A simulator and the state it is in; ``state`` is None when it is unknown."""

    simulator: Simulator
    state: SimulatorState | None = None
    description: str = ""
    owner: weakref.ref[object] | None = None
    used: int = 0

    @property
    def free(self) -> bool:
        return self.owner is None or self.owner() is None


@dataclass
class SimulatorPool:
    """All simulators of one environment in this process."""

    start: Callable[[], Simulator]
    simplifications: Callable[[str], str]
    limit: int = 0
    _slots: list[Slot] = field(default_factory=list)
    _clock: itertools.count[int] = field(default_factory=itertools.count)
    _pid: int = field(default_factory=os.getpid)

    def take(self, owner: object, state: SimulatorState) -> Slot:
        """The owner's own slot if it is in ``state``; another one, brought to it, otherwise.

        ``StageError`` if simulators are lost again and again on the way.
        """
        self._notice_fork()
        slot = self._slot_of(owner) or self._slot_for(state)
        for attempt in range(ATTEMPTS):
            try:
                slot = slot or self._new()
                slot.owner, slot.used = weakref.ref(owner), next(self._clock)
                if slot.state != state:
                    self._bring(slot, state)
                return slot
            except SimulatorLostError as error:
                assert slot is not None
                self.drop(slot)
                slot = None
                if attempt == ATTEMPTS - 1:
                    raise StageError(
                        f"ScienceWorld's simulator was lost {ATTEMPTS} times in task "
                        f"{state.family}/{state.variation} after {len(state.actions)} actions "
                        f"({error})"
                    ) from error
        raise AssertionError("unreachable")

    def drop(self, slot: Slot) -> None:
        """Give up a simulator that is lost."""
        slot.simulator.kill()
        with contextlib.suppress(ValueError):
            self._slots.remove(slot)

    def leave(self, owner: object) -> None:
        """The owner's episode is over; its simulator may go on with another."""
        slot = self._slot_of(owner)
        if slot is not None:
            slot.owner = None

    def close(self) -> None:
        """Kill every simulator; ``take`` would start new ones."""
        self._notice_fork()
        while self._slots:
            self._slots.pop().simulator.kill()

    def _slot_of(self, owner: object) -> Slot | None:
        for slot in self._slots:
            if slot.owner is not None and slot.owner() is owner:
                return slot
        return None

    def _slot_for(self, state: SimulatorState) -> Slot | None:
        """A free slot (best one that is there already), else room for a new one, else another's."""
        free = [slot for slot in self._slots if slot.free]
        if free:
            return next((slot for slot in free if slot.state == state), free[0])
        if len(self._slots) < (self.limit or self._room()):
            return None
        # The newest: episodes take turns, and an episode that took the oldest one's would soon be
        # the oldest itself.
        return max(self._slots, key=lambda slot: slot.used)

    def _room(self) -> int:
        """As many as the cores and a quarter of the memory allow; decided once."""
        cores = os.cpu_count() or 1
        self.limit = max(1, min(PER_CORE * cores, _memory_megabytes() // 4 // MEGABYTES))
        return self.limit

    def _new(self) -> Slot:
        slot = Slot(self.start())
        self._slots.append(slot)
        return slot

    def _bring(self, slot: Slot, state: SimulatorState) -> None:
        family, variation = state.family, state.variation
        slot.state = None
        simplifications = self.simplifications(family)
        slot.description = slot.simulator.load(family, variation, simplifications)
        for action in state.actions:
            slot.simulator.step(action)
        slot.state = state

    def _notice_fork(self) -> None:
        """A forked child must not send commands to its parent's simulators, nor end them."""
        if self._pid != os.getpid():
            self._slots, self._pid = [], os.getpid()


def _memory_megabytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (AttributeError, OSError, ValueError):
        return 8192
