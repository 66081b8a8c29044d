"""Temporary households, and the pieces that their pages are made of.

Households are drawn like those of the embedded ALFWorld, from seeds that no task has and from the
room kinds of its training split only.
"""

from __future__ import annotations

import random
import re

from tratree_cli.envs.alfworld.environment import HouseEpisode
from tratree_cli.envs.alfworld.gamefile import parse_game
from tratree_cli.envs.alfworld.house import House
from tratree_cli.envs.alfworld.households.files import game_record
from tratree_cli.envs.alfworld.households.household import draw_household
from tratree_cli.envs.alfworld.households.inventory import PLACES, SEEN, THINGS
from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.envs.alfworld.sentences import TaskSentence, read_task_sentence, split_task
from tratree_cli.pretraining import scienceworld_corpus

NAMED = re.compile(r"\b([a-z]+ \d+)\b")
TREATMENTS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
THING_KINDS = sorted(name.lower() for name in THINGS)
PLACE_KINDS = sorted({place.lower() for places in PLACES.values() for place in places})


FURNITURE = (
    "Observation: ",
    "\nTask: ",
    "Task Description:\nYour task is to find a(n) ",
    "Task Description:\nYour task is to find the animal with the ",
    " First, focus on the thing. Then, move it to the ",
    " life span.  The animals are in the 'outside' location.  Focus on the animal with the ",
    " life span. First, focus on the animal with the ",
    " life span.  Then, focus on the animal with the ",
    " life span. The animals are in the 'outside' location.",
    "You teleport to the ",
    "You focus on the ",
    "You move the ",
    " to the inventory.",
    "No known action matches that input.",
    "Nothing happens.",
    "Thought: ",
    "\nAction: ",
    "Action: ",
    "go to ",
    "put ",
    " in/on ",
    "teleport to ",
    "look around",
    "focus on ",
    "pick up ",
    "take ",
    " from ",
    " with ",
    "open ",
    "examine ",
    "\nQuestion: ",
    "Question: ",
    ", ",
    ": ",
    "? ",
)
PIECES = r" ?\d+| ?\p{L}+| ?[^\s\p{L}\d]+|\s+"
"""Words and numbers with the blank before them: names come after commas and verbs alike."""


class Home:
    """A temporary household and its task."""

    def __init__(self, rng: random.Random) -> None:
        seed = f"text/{rng.getrandbits(64)}"
        size = "tiny" if rng.random() < 0.8 else "small"
        household = draw_household(seed, SEEN, rng.choice(TYPES), size)
        self._house = House(parse_game(game_record(household, "put", seed), seed))
        self.room = self.episode().reset()
        self.places = NAMED.findall(split_task(self.room)[0])
        task = read_task_sentence(self.room)
        assert task is not None
        self.task: TaskSentence = task

    def episode(self) -> HouseEpisode:
        return HouseEpisode(self._house, notes=True)

    def after(self, place: str) -> str:
        """The place that the room's list names after ``place``."""
        behind = self.places[self.places.index(place) + 1 :]
        return behind[0] if behind else "none"


def thing_name(rng: random.Random) -> str:
    return f"{rng.choice(THING_KINDS)} {rng.randint(1, 3)}"


def place_name(rng: random.Random) -> str:
    return f"{rng.choice(PLACE_KINDS)} {rng.choice((1, 1, 1, 2, 3))}"


def names(rng: random.Random, least: int, most: int) -> list[str]:
    """Names of things, places and ScienceWorld's things, without repetition."""
    kinds = (thing_name, place_name, scienceworld_corpus.thing)
    make = rng.choice((*kinds, lambda r: rng.choice(kinds)(r)))
    wanted = rng.randint(least, most)
    chosen: list[str] = []
    while len(chosen) < wanted:
        name = make(rng)
        if name not in chosen:
            chosen.append(name)
    return chosen


def kind_of(name: str) -> str:
    return name.partition(" ")[0]


def first_of_kind(kind: str, text: str) -> str:
    """``mug? mug 1`` for the first such thing in a text, or ``mug? no``."""
    things = NAMED.findall(text.partition(":")[2])
    first = next((thing for thing in things if kind_of(thing) == kind), "no")
    return f"{kind}? {first}"
