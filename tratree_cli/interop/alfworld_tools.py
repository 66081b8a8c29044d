"""ALFWorld's verbs as tools for TRL (see :mod:`.trl_tools`)."""

from __future__ import annotations

from tratree_cli.interop.episode_tools import EpisodeTools


class AlfWorldTools(EpisodeTools):
    """The verbs of ALFWorld's households."""

    def go_to(self, place: str) -> str:
        """Walk to a place.

        Args:
            place: Where to go, with its number, such as fridge 1.

        Returns:
            What is seen there.
        """
        return self._act(f"go to {place}")

    def take(self, thing: str, place: str) -> str:
        """Take a thing that lies here.

        Args:
            thing: What to take, with its number.
            place: Where it lies, with its number.

        Returns:
            What happens.
        """
        return self._act(f"take {thing} from {place}")

    def put(self, thing: str, place: str) -> str:
        """Put a thing that is carried somewhere.

        Args:
            thing: What to put, with its number.
            place: Where to put it, with its number.

        Returns:
            What happens.
        """
        # Newer games have another verb for it; each game accepts one of the two.
        offered = self._episode.available_actions() if self._episode else []
        moved = f"move {thing} to {place}"
        return self._act(moved if moved in offered else f"put {thing} in/on {place}")

    def open(self, place: str) -> str:
        """Open a place here.

        Args:
            place: What to open, with its number.

        Returns:
            What is in it.
        """
        return self._act(f"open {place}")

    def close(self, place: str) -> str:
        """Close a place here.

        Args:
            place: What to close, with its number.

        Returns:
            What happens.
        """
        return self._act(f"close {place}")

    def clean(self, thing: str, place: str) -> str:
        """Clean a thing that is carried.

        Args:
            thing: What to clean, with its number.
            place: The sink to clean it with, with its number.

        Returns:
            What happens.
        """
        return self._act(f"clean {thing} with {place}")

    def heat(self, thing: str, place: str) -> str:
        """Heat a thing that is carried.

        Args:
            thing: What to heat, with its number.
            place: The microwave to heat it with, with its number.

        Returns:
            What happens.
        """
        return self._act(f"heat {thing} with {place}")

    def cool(self, thing: str, place: str) -> str:
        """Cool a thing that is carried.

        Args:
            thing: What to cool, with its number.
            place: The fridge to cool it with, with its number.

        Returns:
            What happens.
        """
        return self._act(f"cool {thing} with {place}")

    def use(self, thing: str) -> str:
        """Switch a lamp on.

        Args:
            thing: The lamp, with its number.

        Returns:
            What happens.
        """
        return self._act(f"use {thing}")

    def examine(self, thing: str) -> str:
        """Look at a place here or at a thing that is carried.

        Args:
            thing: What to look at, with its number.

        Returns:
            What is seen.
        """
        return self._act(f"examine {thing}")

    def look(self) -> str:
        """Look around.

        Returns:
            What is seen.
        """
        return self._act("look")

    def inventory(self) -> str:
        """See what is carried.

        Returns:
            What is carried.
        """
        return self._act("inventory")
