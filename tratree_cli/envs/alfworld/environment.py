"""ALFWorld behind tratree's environment protocol, with the rules of ETO's wrapper.

The first observation is the room and the task without the welcome line; later ones begin with
``Observation:`` and lose *You arrive at loc N.*; an episode has forty steps; the score is 1 when
the goal is reached and 0 before, and success is the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

from tratree_cli.envs.alfworld.compact_observations import brief
from tratree_cli.envs.alfworld.engine import Play
from tratree_cli.envs.alfworld.folder import GameFolder, read_folder
from tratree_cli.envs.alfworld.gamefile import Game, parse_game, read_game
from tratree_cli.envs.alfworld.house import House
from tratree_cli.envs.alfworld.households.files import game_record, problem_text
from tratree_cli.envs.alfworld.households.household import SIZES, Household, draw_household
from tratree_cli.envs.alfworld.households.inventory import SEEN, UNSEEN
from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.envs.alfworld.logic import GRAMMARS
from tratree_cli.envs.alfworld.sentences import MARK
from tratree_cli.envs.parameters import checked_parameters
from tratree_cli.envs.protocol import EnvironmentSpec, Expert, Outcome, UnplayableTaskError
from tratree_cli.errors import InputError

EMBEDDED = "embedded"
PREFIX = "Observation: "
ARRIVAL = "You arrive at loc "
OPEN_HOUSES = 64
TEXTS = ("full", "brief")

SPLITS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "train": (1200, SEEN),
    "dev": (120, SEEN),
    "test": (240, UNSEEN),
    "test-seen": (240, SEEN),
}
"""Number of embedded households per split, and their kinds of rooms."""


@dataclass(frozen=True)
class Parameters:
    """Everything besides the data that changes an observation or a score.

    ``texts`` is ``full`` or ``brief`` (notes for tiny models, see :mod:`.compact_observations`).
    ``rooms`` (``full``, ``small``: 12 places, ``tiny``: 6), ``grammar`` (``put`` or ``move``) and
    ``seed`` are for the embedded households; a game file has its own.
    """

    max_steps: int = 40
    texts: str = "full"
    rooms: str = "full"
    grammar: str = "put"
    seed: int = 0


class Games(Protocol):
    """Where games come from."""

    splits: Mapping[str, Sequence[str]]

    def game(self, task: str) -> Game:
        """The game of a task that is in a split."""

    def task_type(self, task: str) -> str:
        """One of the six types."""


class FolderGames:
    """The games of a data folder."""

    def __init__(self, folder: GameFolder) -> None:
        self._folder = folder
        self.splits = folder.splits

    def game(self, task: str) -> Game:
        return read_game(self._folder.path(task))

    def task_type(self, task: str) -> str:
        return task.split("/")[1].partition("-")[0]


class Households:
    """Generated households: task ``train-7`` is drawn when it is first used."""

    def __init__(self, chosen: Parameters) -> None:
        self._chosen = chosen
        self.splits: Mapping[str, Sequence[str]] = {
            split: tuple(f"{split}-{index}" for index in range(count))
            for split, (count, _) in SPLITS.items()
        }

    def household(self, task: str) -> Household:
        """The household of a task."""
        split = task.rpartition("-")[0]
        seed = f"{self._chosen.seed}/{task}"
        return draw_household(seed, SPLITS[split][1], self.task_type(task), self._chosen.rooms)

    def game(self, task: str) -> Game:
        return parse_game(game_record(self.household(task), self._chosen.grammar, task), task)

    def task_type(self, task: str) -> str:
        return TYPES[int(task.rpartition("-")[2]) % len(TYPES)]

    def digest(self) -> str:
        """sha256 of one household of each type and split, which change when the generator does."""
        lines = [
            problem_text(self.household(f"{split}-{index}"), "sample")
            for split in SPLITS
            for index in range(len(TYPES))
        ]
        return sha256("\n".join(lines).encode()).hexdigest()


class HouseEpisode:
    """One episode of a task."""

    def __init__(self, house: House, *, notes: bool) -> None:
        self._play: Play = Play(house)
        self._notes = notes

    def reset(self) -> str:
        text = self._play.reset().partition("\n\n")[2].replace("\n\n", "\n")
        return brief(text) if self._notes else text

    def step(self, action: str) -> Outcome:
        play = self._play
        valid = play.allows(action)
        text = play.step(action)
        if text.startswith(ARRIVAL):
            text = text.partition(". ")[2]
        return Outcome(
            observation=brief(text) if self._notes else PREFIX + text,
            score=float(play.won),
            done=play.won,
            success=play.won,
            valid=valid,
        )

    def available_actions(self) -> Sequence[str]:
        return self._play.commands()


class AlfWorldEnvironment:
    """The tasks of one set of games. Episodes of a task share its house and nothing else."""

    in_memory = True

    def __init__(self, games: Games, spec: EnvironmentSpec, notes: tuple[str, ...]) -> None:
        self.spec = spec
        self.notes = notes
        self._games = games
        self._notes = spec.parameters["texts"] == "brief"
        self._known = {task for tasks in games.splits.values() for task in tasks}
        self._open_houses: WeakValueDictionary[str, House] = WeakValueDictionary()
        self._house = lru_cache(maxsize=OPEN_HOUSES)(self._open)

    def splits(self) -> Mapping[str, Sequence[str]]:
        return self._games.splits

    def instruction(self, task: str) -> str:
        return self.house(task).game.task.removeprefix(MARK)

    def task_type(self, task: str) -> str:
        return self._games.task_type(self._checked(task))

    def max_steps(self, task: str) -> int:
        self._checked(task)
        return int(self.spec.parameters["max_steps"])

    def episode(self, task: str) -> HouseEpisode:
        return HouseEpisode(self.house(task), notes=self._notes)

    def expert(self, task: str) -> Expert:
        from tratree_cli.envs.alfworld.expert import SearchExpert

        return SearchExpert(self.house(task).game.logic.put, notes=self._notes)

    def house(self, task: str) -> House:
        """The house of a task.

        ``InputError`` for an unknown task, ``UnplayableTaskError`` for a game that cannot be read
        or won.
        """
        return self._house(self._checked(task))

    def close(self) -> None:
        """Release the houses; nothing else is held open."""
        self._house.cache_clear()

    def _open(self, task: str) -> House:
        # Open episodes hold their house: others of its task share it, however many are open.
        open_house = self._open_houses.get(task)
        if open_house is not None:
            return open_house
        try:
            house = House(self._games.game(task))
        except InputError as error:
            raise UnplayableTaskError(str(error)) from error
        if not house.winnable():
            raise UnplayableTaskError(
                f"{house.game.where} cannot be won: its goal asks for what its room does not "
                "allow; leave this game out"
            )
        self._open_houses[task] = house
        return house

    def _checked(self, task: str) -> str:
        if task in self._known:
            return task
        splits = self._games.splits
        example = next(iter(splits.values()))[0]
        raise InputError(f"ALFWorld has no task '{task[:80]}'; tasks are named like {example}")


def open_alfworld(data: str = EMBEDDED, **parameters: Any) -> AlfWorldEnvironment:
    """Open the embedded households or a folder of games (see :class:`Parameters`)."""
    choices = {"texts": TEXTS, "rooms": SIZES, "grammar": GRAMMARS}
    chosen = checked_parameters(
        Parameters, "ALFWorld", parameters, choices=choices, least={"max_steps": 1}
    )
    if data == EMBEDDED:
        households = Households(chosen)
        spec = EnvironmentSpec("alfworld", EMBEDDED, households.digest(), asdict(chosen))
        return AlfWorldEnvironment(households, spec, (_room_note(),))
    path = Path(data).expanduser().absolute()
    folder = read_folder(path)
    spec = EnvironmentSpec("alfworld", str(path), folder.digest, asdict(chosen))
    left_out = tuple(f"{count} games left out: {why}" for why, count in folder.left_out.items())
    return AlfWorldEnvironment(FolderGames(folder), spec, left_out)


def _room_note() -> str:
    return f"test has rooms of kinds that no other split has: {', '.join(UNSEEN)}"
