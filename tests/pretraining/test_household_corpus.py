"""Text about rooms: what is in it and, above all, what is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tratree_cli.envs.alfworld import open_environment
from tratree_cli.envs.alfworld.households.inventory import PLACES, THINGS, UNSEEN
from tratree_cli.pretraining.household import Home
from tratree_cli.pretraining.household_corpus import MIXTURE, ROOMS, block, play, visit_places


@pytest.fixture(scope="module")
def documents():
    return block(1, 0, MIXTURE, 300)


def test_every_kind_of_document_occurs_and_reads_the_same_every_time(documents):
    assert {document.kind for document in documents} == set(MIXTURE)
    assert sum(MIXTURE.values()) == pytest.approx(1.0)
    assert documents == block(1, 0, MIXTURE, 300)
    assert documents != block(1, 1, MIXTURE, 300)


def test_no_household_of_a_task_is_in_the_text(documents):
    """The first text of a household names its furniture and its task."""
    environment = open_environment(rooms="tiny", texts="brief")
    tasks = [task for split in ("dev", "test") for task in environment.splits()[split]]
    first_texts = {environment.episode(task).reset() for task in tasks[:150]}
    read = {turns[0][0].partition("\nQuestion: ")[0] for turns in (d.turns for d in documents)}
    assert len(read & first_texts) <= 2  # some pairs of six pieces and a task recur by chance


def test_households_of_the_text_are_of_seen_kinds_only():
    from tratree_cli.envs.alfworld.households.household import ROOMS as KINDS

    numbers = {KINDS[kind].number for kind in UNSEEN}
    rng = random.Random(5)
    assert numbers
    for _ in range(30):
        places = {place.partition(" ")[0] for place in Home(rng).places}
        # A bed and a basin stand in one room only in the kinds that are held out.
        assert not {"bed", "sinkbasin"} <= places


def test_answers_of_a_walk_are_true():
    rng = random.Random(2)
    for _ in range(40):
        home = Home(rng)
        seen: dict[str, str] = {}
        for user, said in visit_places(rng, home)[1:]:
            page, _, question = user.rpartition("Question: ")
            if question.startswith("where is "):
                thing = question.removeprefix("where is ").removesuffix("?")
                assert said == f"{thing}: {seen[thing]}"
                continue
            place, _, listed = page.strip().partition(": ")
            things = [] if listed in ("nothing", "closed") else listed.split(", ")
            seen |= dict.fromkeys(things, place)
            kind = question.removesuffix("?")
            here = [thing for thing in things if thing.partition(" ")[0] == kind]
            if listed == "closed":
                assert said == "closed"
            elif here:
                assert said == f"{kind}? {here[0]}"
            else:
                assert said == f"{kind}? no, {home.after(place)}"


def test_random_play_is_no_demonstration():
    """A die wins about as rarely as the environment's own random policy."""
    rng = random.Random(3)
    won = played = 0
    for _ in range(200):
        home = Home(rng)
        episode = home.episode()
        episode.reset()
        done = False
        for _, said in play(rng, home):
            done = episode.step(said.partition("Action: ")[2]).done
        played += 1
        won += done
    assert won / played < 0.1


def test_every_word_of_a_household_is_one_token(tokenizer_of_rooms):
    for name in (*THINGS, *(place for places in PLACES.values() for place in places)):
        assert len(tokenizer_of_rooms(f"go to {name.lower()} 1")["input_ids"]) == 3


def test_documents_fit_a_row(documents, tokenizer_of_rooms):
    from tratree_cli.pretraining.packing import encode

    whole = encode(documents, tokenizer_of_rooms, 10_000)
    longer = sum(len(document.tokens) > ROOMS.row for document in whole)
    assert longer < 0.02 * len(whole)


@pytest.fixture(scope="module")
def tokenizer_of_rooms():
    from transformers import AutoTokenizer

    from tratree_cli.resources import templates_dir

    folder: Path = templates_dir() / "models" / "tratree-rooms-s"
    return AutoTokenizer.from_pretrained(folder)
