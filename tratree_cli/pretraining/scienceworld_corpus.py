"""ScienceWorld's texts: places, their contents, tasks; for pretraining text only.

No simulator is started: pretraining needs many thousands of looks, and what a look reads like
matters here, not what the simulator would put where. The words are those of the training
variations of the task families ``lifespan-*`` and ``find-*``; which animal lives longest is not
stated.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from tratree_cli.pretraining.corpus import Turns, act, after_page

INSIDE: Mapping[str, tuple[str, ...]] = {
    "kitchen": (
        "chair", "counter (red apple, banana, orange, potato)", "cupboard", "freezer", "fridge",
        "glass jar (sodium chloride)", "lighter", "oven", "painting", "sink", "soap", "stopwatch",
        "stove", "table", "thermometer",
    ),
    "bathroom": ("bathtub", "glass cup", "sink", "toilet", "drawing", "picture"),
    "living room": ("book shelf", "chair", "couch", "table", "desk", "finger painting", "painting"),
    "bedroom": ("bed", "book shelf", "closet", "table", "picture", "finger painting", "drawing"),
    "workshop": ("table", "ultra low temperature freezer", "battery", "wire", "light bulb"),
    "hallway": ("drawing", "picture", "painting", "finger painting"),
    "art studio": (
        "large cupboard", "table", "wood cup (red paint)", "wood cup (blue paint)",
        "wood cup (yellow paint)", "jug",
    ),
    "greenhouse": (
        "bee hive", "flower pot 1", "flower pot 2 (apple tree)", "flower pot 3 (cherry tree)",
        "flower pot 4", "flower pot 5 (pea plant)", "flower pot 6 (banana tree)",
        "flower pot 7 (lemon tree)", "flower pot 8", "flower pot 9 (peach tree)", "jug", "shovel",
        "sink",
    ),
    "foundry": ("blast furnace", "sink", "table"),
    "outside": ("axe", "fire pit", "fountain", "ground", "shovel", "wood"),
}  # fmt: skip
HATCHING = (
    "turtle", "blue jay", "giant tortoise", "butterfly", "frog", "parrot", "crocodile", "dove",
    "chameleon", "moth", "toad",
)  # fmt: skip
YOUNG = (
    "wolf", "beaver", "ant", "brown bear", "mouse", "rabbit", "elephant", "dragonfly", "hedgehog",
    "chipmunk", "bee",
)  # fmt: skip
COLOURS = ("red", "green", "blue", "orange", "purple", "yellow")
WANTED = ("living thing", "non-living thing", "plant", "animal")
SPANS = ("longest", "shortest")
WORDS = (
    *sorted({word for things in INSIDE.values() for thing in things for word in thing.split()}),
    *INSIDE, *HATCHING, *YOUNG, *COLOURS, *WANTED, *SPANS, "egg", "baby", "box",
)  # fmt: skip
MARK = "Observation: "


def animal(rng: random.Random) -> str:
    kind = rng.choice((*HATCHING, *YOUNG))
    form = rng.random()
    if form < 0.3:
        return kind
    return f"{kind} egg" if kind in HATCHING else f"baby {kind}"


def box(rng: random.Random) -> str:
    return f"{rng.choice(COLOURS)} box"


def thing(rng: random.Random) -> str:
    """An animal, a box, or something that stands in a place, without what is in it."""
    if rng.random() < 0.4:
        return animal(rng)
    if rng.random() < 0.3:
        return box(rng)
    return rng.choice(INSIDE[rng.choice(list(INSIDE))]).partition(" (")[0]


def contents(rng: random.Random, place: str) -> list[str]:
    """What a look lists, in its alphabetical order but for what is in something."""
    there = [name for name in INSIDE[place] if rng.random() < 0.8] or [INSIDE[place][0]]
    if place == "outside":
        there += list(dict.fromkeys(animal(rng) for _ in range(3)))
    elif rng.random() < 0.4:
        there.append(box(rng))
    return sorted(there, key=lambda name: name.removeprefix("baby "))


def listing(place: str, there: list[str]) -> str:
    return f"{MARK}{place}: {', '.join(there)}"


def task(rng: random.Random) -> tuple[str, str, str, str]:
    """A task sentence, and its thing, box and room (empty where it has none)."""
    if rng.random() < 0.7:
        wanted, colour, room = rng.choice(WANTED), rng.choice(COLOURS), rng.choice(list(INSIDE)[:5])
        text = (
            f"find a(n) {wanted}. First, focus on the thing. "
            f"Then, move it to the {colour} box in the {room}."
        )
        return f"Task Description:\nYour task is to {text}", wanted, f"{colour} box", room
    first, second = rng.sample(SPANS, 2)
    if rng.random() < 0.6:
        text = (
            f"{first} life span.  The animals are in the 'outside' location.  "
            f"Focus on the animal with the {first} life span."
        )
    else:
        text = (
            f"{first} life span, then the {second} life span. First, focus on the animal with the "
            f"{first} life span.  Then, focus on the animal with the {second} life span. "
            "The animals are in the 'outside' location."
        )
    return f"Task Description:\nYour task is to find the animal with the {text}", first, "", ""


def look(rng: random.Random) -> Turns:
    """Questions that a look answers."""
    place = rng.choice(list(INSIDE))
    there = contents(rng, place)
    plain = [name.partition(" (")[0] for name in there]
    turns = []
    for _ in range(rng.randint(2, 4)):
        draw = rng.random()
        if draw < 0.4:
            at = rng.randrange(len(plain))
            answer = plain[at + 1] if at + 1 < len(plain) else "none"
            turns.append((f"Question: what comes after {plain[at]}?", answer))
        elif draw < 0.7:
            name = rng.choice(plain) if rng.random() < 0.6 else thing(rng)
            turns.append((f"Question: {name}?", f"{name}? {'here' if name in plain else 'no'}"))
        elif draw < 0.85:
            animals = [n for n in plain if n.endswith(" egg") or n.startswith("baby ")]
            turns.append(("Question: which animals?", ", ".join(animals) or "none"))
        else:
            turns.append(("Question: what is here?", ", ".join(plain)))
    return after_page(listing(place, there), turns)


def errand(rng: random.Random) -> Turns:
    """What a task asks for, in its parts, and again after some steps."""
    text, wanted, into, room = task(rng)
    turns = [
        ("Question: what is wanted?", wanted),
        ("Question: which box?", into or "none"),
        ("Question: in which room?", room or "outside"),
    ]
    rng.shuffle(turns)
    if rng.random() < 0.6:
        turns[1:1] = [(user, "seen") for user, _ in steps(rng, rng.randint(1, 3))]
    return after_page(text, turns)


def steps(rng: random.Random, count: int) -> Turns:
    """Observations of random steps, each with a random next action."""
    place = rng.choice(list(INSIDE))
    there = contents(rng, place)
    shown = listing(place, there)
    turns = []
    for _ in range(count):
        plain = [name.partition(" (")[0] for name in there]
        dice = rng.random()
        name = rng.choice(plain)
        before = shown
        if dice < 0.35:
            place = rng.choice(list(INSIDE))
            there, shown = contents(rng, place), f"{MARK}You teleport to the {place}."
            agent_text = act(place, f"teleport to {place}")
        elif dice < 0.6 or not before.startswith(f"{MARK}{place}:"):
            shown, agent_text = listing(place, there), act("look", "look around")
        elif dice < 0.75:
            shown, agent_text = f"{MARK}You focus on the {name}.", act(name, f"focus on {name}")
        elif dice < 0.9:
            held = name.removesuffix(" egg").removeprefix("baby ")
            shown = f"{MARK}You move the {held} to the inventory."
            agent_text = act(name, f"pick up {name}")
        else:
            into = rng.choice(plain)
            shown = f"{MARK}You move the {name} to the {into}."
            agent_text = act(f"{name}, {into}", f"move {name} to {into}")
        turns.append((before, agent_text))
    return turns


def stroll(rng: random.Random) -> Turns:
    """A task, and steps that have nothing to do with it."""
    text, *_ = task(rng)
    turns = steps(rng, rng.randint(3, 8))
    return [(text, act("look", "look around")), *turns]
