"""What a base model of the rooms can do.

Copying names, naming the next entry of a list, whether a kind of thing is in a list and which,
where a thing was seen, the parts of a task of either environment, and choosing an action that does
something.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tratree_cli.pretraining import scienceworld_corpus
from tratree_cli.pretraining.cases import AbilityCase
from tratree_cli.pretraining.corpus import Turns
from tratree_cli.pretraining.household import Home
from tratree_cli.pretraining.household_corpus import (
    copy,
    follow,
    kind_in_list,
    play,
    task_parts,
    visit_places,
)


def rooms_cases(count: int, seed: int) -> dict[str, list[AbilityCase]]:
    """``count`` cases of each ability, from households of their own."""
    cases: dict[str, list[AbilityCase]] = {}
    for kind, write in CASES.items():
        rng = random.Random(f"{seed}/{kind}")
        cases[kind] = [write(rng, Home(rng)) for _ in range(count)]
    return cases


def _last(
    write: Callable[[random.Random, Home], Turns],
) -> Callable[[random.Random, Home], AbilityCase]:
    """The last question of a document, after all its earlier ones were answered."""

    def case(rng: random.Random, home: Home) -> AbilityCase:
        turns = write(rng, home)
        return AbilityCase(turns, (turns[-1][1],))

    return case


def _passing(rng: random.Random, home: Home) -> AbilityCase:
    """In the middle of an episode: whether the thing is here, or which place comes next."""
    turns = visit_places(rng, home)
    questions = [i for i, (user, _) in enumerate(turns) if user.endswith("?") and ":" in user]
    stop = rng.choice([i for i in questions if "where is" not in turns[i][0]]) + 1
    return AbilityCase(turns[:stop], (turns[stop - 1][1],))


def _admissible(rng: random.Random, home: Home) -> AbilityCase:
    """An action that does something, in the middle of random play."""
    turns = play(rng, home)
    stop = rng.randrange(len(turns))
    episode = home.episode()
    episode.reset()
    for _, reply in turns[:stop]:
        episode.step(reply.partition("Action: ")[2])
    return AbilityCase(turns[: stop + 1], tuple(episode.available_actions()), actions=True)


CASES: Mapping[str, Callable[[random.Random, Home], AbilityCase]] = {
    "copy": _last(copy),
    "follow": _last(follow),
    "here": _last(kind_in_list),
    "passing": _passing,
    "where": _last(visit_places),
    "wish": _last(task_parts),
    "errand": _last(lambda rng, home: scienceworld_corpus.errand(rng)),
    "admissible": _admissible,
}
