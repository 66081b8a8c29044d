"""ScienceWorld's verbs as tools for TRL (see :mod:`.trl_tools`)."""

from __future__ import annotations

from tratree_cli.interop.episode_tools import EpisodeTools


class ScienceWorldTools(EpisodeTools):
    """The verbs that ScienceWorld's published tasks need."""

    def look_around(self) -> str:
        """Look around the room.

        Returns:
            What is observed.
        """
        return self._act("look around")

    def inventory(self) -> str:
        """See what is carried.

        Returns:
            What is observed.
        """
        return self._act("inventory")

    def wait(self) -> str:
        """Let some time pass.

        Returns:
            What is observed.
        """
        return self._act("wait")

    def teleport_to(self, place: str) -> str:
        """Go to another place at once.

        Args:
            place: The name of the place.

        Returns:
            What is observed.
        """
        return self._act(f"teleport to {place}")

    def look_at(self, thing: str) -> str:
        """Look at something.

        Args:
            thing: What to look at.

        Returns:
            What is observed.
        """
        return self._act(f"look at {thing}")

    def look_in(self, thing: str) -> str:
        """Look into something.

        Args:
            thing: What to look into.

        Returns:
            What is observed.
        """
        return self._act(f"look in {thing}")

    def open(self, thing: str) -> str:
        """Open something.

        Args:
            thing: What to open.

        Returns:
            What is observed.
        """
        return self._act(f"open {thing}")

    def close(self, thing: str) -> str:
        """Close something.

        Args:
            thing: What to close.

        Returns:
            What is observed.
        """
        return self._act(f"close {thing}")

    def activate(self, thing: str) -> str:
        """Switch something on.

        Args:
            thing: What to switch on.

        Returns:
            What is observed.
        """
        return self._act(f"activate {thing}")

    def deactivate(self, thing: str) -> str:
        """Switch something off.

        Args:
            thing: What to switch off.

        Returns:
            What is observed.
        """
        return self._act(f"deactivate {thing}")

    def pick_up(self, thing: str) -> str:
        """Take something along.

        Args:
            thing: What to take.

        Returns:
            What is observed.
        """
        return self._act(f"pick up {thing}")

    def focus_on(self, thing: str) -> str:
        """Say what the task is about; a wrong choice ends it.

        Args:
            thing: What to focus on.

        Returns:
            What is observed.
        """
        return self._act(f"focus on {thing}")

    def mix(self, container: str) -> str:
        """Mix what is in something.

        Args:
            container: The container whose content is mixed.

        Returns:
            What is observed.
        """
        return self._act(f"mix {container}")

    def read(self, thing: str) -> str:
        """Read something.

        Args:
            thing: What to read.

        Returns:
            What is observed.
        """
        return self._act(f"read {thing}")

    def eat(self, thing: str) -> str:
        """Eat something.

        Args:
            thing: What to eat.

        Returns:
            What is observed.
        """
        return self._act(f"eat {thing}")

    def flush(self, thing: str) -> str:
        """Flush something.

        Args:
            thing: What to flush.

        Returns:
            What is observed.
        """
        return self._act(f"flush {thing}")

    def disconnect(self, thing: str) -> str:
        """Take something out of a circuit.

        Args:
            thing: What to disconnect.

        Returns:
            What is observed.
        """
        return self._act(f"disconnect {thing}")

    def move(self, thing: str, place: str) -> str:
        """Move something into something else.

        Args:
            thing: What to move.
            place: Where to.

        Returns:
            What is observed.
        """
        return self._act(f"move {thing} to {place}")

    def pour(self, thing: str, container: str) -> str:
        """Pour something into something else.

        Args:
            thing: What to pour.
            container: Where into.

        Returns:
            What is observed.
        """
        return self._act(f"pour {thing} into {container}")

    def dunk(self, thing: str, container: str) -> str:
        """Dunk something into something else.

        Args:
            thing: What to dunk.
            container: Where into.

        Returns:
            What is observed.
        """
        return self._act(f"dunk {thing} into {container}")

    def connect(self, thing: str, other: str) -> str:
        """Connect two things of a circuit.

        Args:
            thing: What to connect.
            other: What to connect it to.

        Returns:
            What is observed.
        """
        return self._act(f"connect {thing} to {other}")

    def use_on(self, tool: str, thing: str) -> str:
        """Use a tool on something.

        Args:
            tool: What to use.
            thing: What to use it on.

        Returns:
            What is observed.
        """
        return self._act(f"use {tool} on {thing}")

    def choose(self, number: int) -> str:
        """Answer a question about which thing was meant.

        Args:
            number: The number of the answer.

        Returns:
            What is observed.
        """
        return self._act(f"{number}")
