"""Generated text about rooms: what the base models of ALFWorld and ScienceWorld have read.

Households (``household``) are played with the game's own engine; places of ScienceWorld are
put together from its words (``scienceworld_corpus``). As in the shop, right answers are given to
questions, never as actions: what to do next is drawn at random, and the question what is wanted is
never followed by doing it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tratree_cli.pretraining import scienceworld_corpus
from tratree_cli.pretraining.corpus import (
    DOCUMENTS_PER_BLOCK,
    Corpus,
    Document,
    Mixture,
    Turns,
    act,
    after_page,
)
from tratree_cli.pretraining.household import (
    FURNITURE,
    NAMED,
    PIECES,
    PLACE_KINDS,
    THING_KINDS,
    TREATMENTS,
    Home,
    first_of_kind,
    kind_of,
    names,
    place_name,
    thing_name,
)

HOUSES = 60
"""Households per block; each is written about several times."""


MIXTURE: Mixture = {
    "copy": 0.06,
    "until": 0.1,
    "follow": 0.1,
    "here": 0.12,
    "walk": 0.25,
    "wish": 0.1,
    "play": 0.07,
    "look": 0.08,
    "errand": 0.06,
    "stroll": 0.06,
}


def block(
    seed: int, number: int, mixture: Mixture, size: int = DOCUMENTS_PER_BLOCK
) -> list[Document]:
    """Block ``number`` of the endless stream: fresh households and documents about them."""
    rng = random.Random(f"rooms/{seed}/{number}")
    homes = [Home(rng) for _ in range(min(HOUSES, size))]
    kinds = rng.choices(list(mixture), list(mixture.values()), k=size)
    return [Document(kind, WRITERS[kind](rng, rng.choice(homes))) for kind in kinds]


def copy(rng: random.Random, home: Home) -> Turns:
    """Write down what was read."""
    texts = [", ".join(names(rng, 1, 4)) for _ in range(rng.randint(2, 5))]
    return [(f"Copy: {text}", text) for text in texts]


def until(rng: random.Random, home: Home) -> Turns:
    """Repeat a list up to a name that the question gives."""
    turns: Turns = []
    for _ in range(rng.randint(2, 4)):
        listed = names(rng, 3, 7)
        wanted = rng.choice(listed) if rng.random() < 0.85 else names(rng, 1, 1)[0]
        stop = listed.index(wanted) + 1 if wanted in listed else len(listed)
        repeated = listed[:stop] if wanted in listed else [*listed, "none"]
        turns.append((f"Until {wanted}: {', '.join(listed)}", ", ".join(repeated)))
    return turns


def follow(rng: random.Random, home: Home) -> Turns:
    """What comes next in a list, several questions about one list."""
    if rng.random() < 0.6:
        listed, first = home.places, home.room
    else:
        listed = names(rng, 4, 8)
        first = ", ".join(listed)
    turns: Turns = []
    for _ in range(rng.randint(3, 6)):
        at = rng.randrange(len(listed))
        answer = listed[at + 1] if at + 1 < len(listed) else "none"
        turns.append((f"Question: what comes after {listed[at]}?", answer))
    return after_page(first, turns)


def kind_in_list(rng: random.Random, home: Home) -> Turns:
    """Is such a thing in this list? The first that is, or no."""
    turns: Turns = []
    for _ in range(rng.randint(3, 6)):
        things = [thing_name(rng) for _ in range(rng.randint(1, 6))]
        page = f"{place_name(rng)}: {', '.join(dict.fromkeys(things))}"
        thing = rng.choice(things) if rng.random() < 0.6 else thing_name(rng)
        turns.append((f"{page}\nQuestion: {kind_of(thing)}?", first_of_kind(kind_of(thing), page)))
    return turns


def visit_places(rng: random.Random, home: Home) -> Turns:
    """From place to place; at each, whether such a thing is here, or which place the list names
    next. At the end, where things were seen."""
    episode = home.episode()
    turns: Turns = [(f"{episode.reset()}\nQuestion: what comes first?", home.places[0])]
    places = list(home.places)
    if rng.random() < 0.5:
        rng.shuffle(places)
    kind = home.task.thing if rng.random() < 0.6 else kind_of(thing_name(rng))
    seen: dict[str, str] = {}
    for place in places[: rng.randint(3, 9)]:
        text = episode.step(f"go to {place}").observation
        if text.endswith(": closed"):
            turns.append((f"{text}\nQuestion: {kind}?", "closed"))
            text = episode.step(f"open {place}").observation
        answer = first_of_kind(kind, text)
        if answer.endswith("? no"):
            answer += f", {home.after(place)}"
        turns.append((f"{text}\nQuestion: {kind}?", answer))
        seen |= dict.fromkeys(NAMED.findall(text.partition(":")[2]), place)
        if rng.random() < 0.3:
            kind = kind_of(rng.choice(list(seen)) if seen else thing_name(rng))
    for thing in rng.sample(list(seen), min(2, len(seen))):
        turns.append((f"Question: where is {thing}?", f"{thing}: {seen[thing]}"))
    return turns


def task_parts(rng: random.Random, home: Home) -> Turns:
    """What the task asks for, in its parts."""
    task = home.task
    goal = [place for place in home.places if kind_of(place) == task.place]
    tool = [p for p in home.places if kind_of(p) == TREATMENTS.get(task.state, "")]
    held = f"{task.thing} {rng.randint(1, 3)}"
    turns: Turns = [
        ("Question: what is wanted?", task.thing),
        ("Question: how many?", "two" if task.number > 1 else "one"),
        (f"Question: where does {held} go?", f"{held}: {goal[0]}" if goal else "nowhere"),
        ("Question: which lamp?", task.lamp or "none"),
        (
            f"Question: what must be done with {held}?",
            f"{task.state} {held}: {tool[0]}" if tool else "nothing",
        ),
    ]
    rng.shuffle(turns)
    return after_page(home.room, turns[: rng.randint(2, 4)])


WEIGHTS = {
    "go": 4,
    "open": 30,
    "take": 20,
    "put": 20,
    "use": 5,
    "clean": 20,
    "heat": 20,
    "cool": 20,
}
"""Weights of the verbs in random play; others (look, examine, close) have 1."""


def play(rng: random.Random, home: Home) -> Turns:
    """An episode of random actions; each thought names the object of its action."""
    episode = home.episode()
    turns: Turns = []
    text = episode.reset()
    for _ in range(rng.randint(4, 12)):
        actions = list(episode.available_actions())
        weights = [WEIGHTS.get(action.partition(" ")[0], 1) for action in actions]
        action = rng.choices(actions, weights)[0]
        about = NAMED.findall(action)
        turns.append((text, act(about[0] if about else "look", action)))
        outcome = episode.step(action)
        text = outcome.observation
        if outcome.done:
            break
    return turns


WRITERS: dict[str, Callable[[random.Random, Home], Turns]] = {
    "copy": copy,
    "until": until,
    "follow": follow,
    "here": kind_in_list,
    "walk": visit_places,
    "wish": task_parts,
    "play": play,
    "look": lambda rng, home: scienceworld_corpus.look(rng),
    "errand": lambda rng, home: scienceworld_corpus.errand(rng),
    "stroll": lambda rng, home: scienceworld_corpus.stroll(rng),
}


def sample() -> Iterator[Turns]:
    """What the tokenizer's merges are learned from."""
    rng = random.Random(7)
    for number in range(8):
        for document in block(7, number, MIXTURE, 300):
            yield document.turns
    for name in (*THING_KINDS, *PLACE_KINDS, *scienceworld_corpus.WORDS):
        for _ in range(3):
            yield [(f"a {name} {rng.randint(1, 9)}", name)]


ROOMS = Corpus("rooms", block, ((1.0, MIXTURE),), MIXTURE, sample, FURNITURE, PIECES, row=512)
