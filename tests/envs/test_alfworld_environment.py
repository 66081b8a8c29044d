"""ALFWorld as an environment: households, splits, texts as ETO gives them, the expert, folders."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import play
from tratree_cli.envs.alfworld import data_files, open_environment
from tratree_cli.envs.alfworld.compact_observations import brief
from tratree_cli.envs.alfworld.environment import (
    OPEN_HOUSES,
    AlfWorldEnvironment,
    Households,
    Parameters,
)
from tratree_cli.envs.alfworld.folder import eto_lists
from tratree_cli.envs.alfworld.households.files import write_game
from tratree_cli.envs.alfworld.households.household import SIZES, draw_household
from tratree_cli.envs.alfworld.households.inventory import PLACES, ROOMS, SEEN, THINGS, UNSEEN
from tratree_cli.envs.alfworld.households.tasks import LOOK, TYPES
from tratree_cli.envs.alfworld.sentences import TaskSentence, read_task_sentence
from tratree_cli.envs.protocol import UnplayableTaskError
from tratree_cli.envs.registry import open_environment as open_by_name
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import DONE, ENVIRONMENT_ERROR


def opened(data: str = "embedded", **parameters: object) -> AlfWorldEnvironment:
    environment = open_environment(data, **parameters)
    assert isinstance(environment, AlfWorldEnvironment)
    return environment


def expert_episode(environment: AlfWorldEnvironment, task: str) -> tuple[bool, int]:
    episode, expert = environment.episode(task), environment.expert(task)
    text = episode.reset()
    for step in range(1, environment.max_steps(task) + 1):
        thought, action = expert.act(text)
        assert thought
        outcome = episode.step(action)
        text = outcome.observation
        if outcome.done:
            return outcome.success, step
    return False, environment.max_steps(task)


# -- households --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_household_and_another_seed_another() -> None:
    one, again, other = (
        Households(Parameters(seed=seed)).household("train-3") for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def test_what_the_generator_draws_has_not_changed() -> None:
    household = Households(Parameters(rooms="tiny")).household("train-0")
    assert household.sentence() == "put some plate on sidetable."
    assert " ".join(piece.kind for piece in household.furniture) == (
        "CoffeeTable SideTable TVStand Drawer GarbageCan Ottoman"
    )
    assert " ".join(thing.kind for thing in household.things) == (
        "Plate Watch Pillow Statue Pillow Book Newspaper"
    )


def test_every_sixth_task_is_of_the_same_type_and_all_types_occur() -> None:
    environment = opened()
    for split, tasks in environment.splits().items():
        counts = Counter(environment.task_type(task) for task in tasks)
        assert set(counts) == set(TYPES), split
        assert len(set(counts.values())) == 1


def test_rooms_of_the_test_split_are_of_kinds_that_no_other_split_has() -> None:
    households = Households(Parameters())
    rooms = {
        split: {households.household(f"{split}-{index}").room for index in range(60)}
        for split in households.splits
    }
    assert rooms.pop("test") <= set(UNSEEN)
    assert set().union(*rooms.values()) <= set(SEEN)
    assert not set(SEEN) & set(UNSEEN)


def test_room_tables_name_known_things_and_furniture() -> None:
    furniture = {kind for room in ROOMS.values() for kind in room.furniture}
    for room in ROOMS.values():
        assert set(room.things) <= set(THINGS)
    assert set().union(*PLACES.values()) <= furniture


@pytest.mark.parametrize("size", SIZES)
def test_the_thing_asked_for_is_there_and_not_where_it_shall_go(size: str) -> None:
    for index in range(60):
        household = draw_household(f"x/{index}", SEEN + UNSEEN, TYPES[index % 6], size)
        assert len(household.furniture) <= SIZES[size]
        asked = [thing for thing in household.things if thing.kind == household.task.thing]
        assert asked
        assert all(thing.piece.kind != household.task.place for thing in asked)
        assert any(piece.kind == household.task.place for piece in household.furniture) or (
            household.task.type == LOOK
        )
        assert len({thing.id for thing in household.things}) == len(household.things)


# -- the expert --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters", [{}, {"rooms": "tiny", "texts": "brief"}, {"grammar": "move"}]
)
def test_the_expert_wins_nearly_all_households_within_forty_steps(
    parameters: dict[str, object],
) -> None:
    environment = opened(**parameters)
    tasks = [*environment.splits()["dev"][:42], *environment.splits()["test"][:42]]
    won = [expert_episode(environment, task)[0] for task in tasks]
    assert sum(won) >= 0.95 * len(won)


def test_the_expert_wins_nearly_all_genuine_games(shared: Path, tmp_path: Path) -> None:
    archives = sorted((shared / "data" / "alfworld").glob("*.tar.xz"))
    if not archives:
        pytest.skip("no genuine games here")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    environment = opened(str(tmp_path))
    tasks = [*environment.splits()["train"][:60], *environment.splits()["dev"][:60]]
    won = [expert_episode(environment, task)[0] for task in tasks]
    assert sum(won) >= 0.95 * len(won)
    assert environment.splits()["dev"] == tuple(
        f"valid_seen/{name}" for name in eto_lists()["seen"]
    )


@pytest.mark.parametrize(
    ("sentence", "wish"),
    [
        ("put a mug in cabinet.", TaskSentence("mug", "cabinet")),
        ("put some mug on desk.", TaskSentence("mug", "desk")),
        ("put a hot egg in fridge.", TaskSentence("egg", "fridge", state="heat")),
        ("cool some egg and put it in fridge.", TaskSentence("egg", "fridge", state="cool")),
        ("put two cd in safe.", TaskSentence("cd", "safe", number=2)),
        ("find two pillow and put them in sofa.", TaskSentence("pillow", "sofa", number=2)),
        ("look at pen under the desklamp.", TaskSentence("pen", lamp="desklamp")),
        ("examine the pen with the floorlamp.", TaskSentence("pen", lamp="floorlamp")),
        ("make me a sandwich", None),
    ],
)
def test_task_sentences_are_read(sentence: str, wish: TaskSentence | None) -> None:
    assert read_task_sentence(f"a mug 1.\nYour task is to: {sentence}") == wish


# -- texts -------------------------------------------------------------------------------------


def test_texts_are_those_of_etos_wrapper() -> None:
    environment = opened()
    episode = environment.episode("dev-0")
    first = episode.reset()
    room, task = first.split("\n")
    assert room.startswith(
        "You are in the middle of a room. Looking quickly around you, you see a "
    )
    assert task == f"Your task is to: {environment.instruction('dev-0')}"
    place = next(a for a in episode.available_actions() if a.startswith("go to "))
    arrived = episode.step(place)
    assert arrived.observation.startswith(("Observation: On the ", "Observation: The "))
    assert (arrived.score, arrived.done, arrived.valid) == (0.0, False, True)
    again = episode.step(place)
    assert (again.observation, again.valid) == ("Observation: Nothing happens.", False)


def test_a_win_ends_the_episode_with_score_one() -> None:
    environment = opened(rooms="tiny")
    won, steps = expert_episode(environment, "train-0")
    assert won
    assert steps <= environment.max_steps("train-0") == 40


def test_brief_texts_say_the_same_in_fewer_words() -> None:
    said = {
        "You are in the middle of a room. Looking quickly around you, you see a bed 1, and a "
        "desk 2.\nYour task is to: put a cd in safe.": "bed 1, desk 2\nTask: put a cd in safe.",
        "On the desk 1, you see nothing.": "desk 1: nothing",
        "You open the safe 1. The safe 1 is open. In it, you see a cd 1.": "safe 1: cd 1",
        "The safe 1 is closed.": "safe 1: closed",
        "You pick up the cd 1 from the desk 1.": "done",
        "Nothing happens.": "Nothing happens.",
        "You are carrying: a cd 1.": "You are carrying: a cd 1.",
    }
    assert {text: brief(text) for text in said} == said


# -- opening -----------------------------------------------------------------------------------


def test_a_spec_opens_the_same_environment_again() -> None:
    environment = open_by_name("alfworld", parameters={"rooms": "small"})
    again = open_by_name(environment.spec)
    assert again.spec == environment.spec
    assert again.episode("test-5").reset() == environment.episode("test-5").reset()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"room": "tiny"}, "no parameter 'room'"),
        ({"rooms": "huge"}, "one of full, small, tiny"),
        ({"grammar": "take"}, "one of put, move"),
        ({"texts": 3}, "is a text"),
        ({"max_steps": 0}, "at least 1"),
        ({"max_steps": "many"}, "is a whole number"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_environment(**parameters)


@pytest.mark.parametrize(
    "task", ["train-1200", "train-01", "", "valid-0", "train-1\x00", "x" * 9999]
)
def test_an_unknown_task_is_an_error_in_one_sentence(task: str) -> None:
    environment = opened()
    for question in (environment.instruction, environment.episode, environment.max_steps):
        with pytest.raises(InputError, match="ALFWorld has no task"):
            question(task)


def folder_with_games(root: Path, number: int = 6) -> Path:
    for index in range(number):
        household = draw_household(f"f/{index}", SEEN, TYPES[index % 6], "tiny")
        for split in ("train", "valid_seen"):
            write_game(root / "json_2.1.1" / split, household, "put", f"trial_{index}", index)
    return root


def test_a_folder_of_games_is_played_like_the_households_it_was_written_from(
    tmp_path: Path,
) -> None:
    environment = opened(str(folder_with_games(tmp_path)))
    assert {split: len(tasks) for split, tasks in environment.splits().items()} == {
        "train": 6,
        "dev": 6,
    }
    assert all(expert_episode(environment, task)[0] for task in environment.splits()["train"])
    assert len(list(data_files(str(tmp_path)))) == 12
    assert {environment.task_type(task) for task in environment.splits()["dev"]} == set(TYPES)


def test_a_changed_game_changes_the_digest(tmp_path: Path) -> None:
    before = opened(str(folder_with_games(tmp_path))).spec.data_digest
    path = next(iter(data_files(str(tmp_path))))
    path.write_bytes(path.read_bytes() + b"\n")
    assert opened(str(tmp_path)).spec.data_digest != before


def test_games_that_do_not_count_are_left_out_and_counted(tmp_path: Path) -> None:
    folder_with_games(tmp_path, 2)
    first, second, *_ = sorted((tmp_path / "json_2.1.1" / "train").glob("*"))
    first.rename(first.with_name(first.name.replace("-None-", "-Sliced-")))
    game = next(second.glob("*/game.tw-pddl"))
    game.write_bytes(game.read_bytes().replace(b'"solvable":true', b'"solvable":false'))
    environment = opened(str(tmp_path))
    assert "train" not in environment.splits()
    assert len(environment.notes) == 2


def test_a_cut_off_game_stops_the_opening_with_its_name(tmp_path: Path) -> None:
    folder_with_games(tmp_path, 1)
    path = next(iter(data_files(str(tmp_path))))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="was cut off; remove it and fetch the games again"):
        open_environment(str(tmp_path))


def test_a_folder_without_games_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tratree env fetch alfworld"):
        open_environment(str(tmp_path))


def test_etos_lists_are_complete() -> None:
    lists = eto_lists()
    assert len(set(lists["seen"])) == 140
    assert len(set(lists["unseen"])) == 134


def folder_with_a_broken_game(root: Path) -> Path:
    """Three training games, of which the second looks whole and cannot be read."""
    games = [
        write_game(root / "train", draw_household(f"x{n}", SEEN, TYPES[0], "tiny"), "put", "t", n)
        for n in range(3)
    ]
    assert len(set(games)) == 3
    broken = sorted(games)[1]
    broken.write_text('{"solvable": true, "pddl_domain": 3}')
    return root


def test_a_game_that_cannot_be_read_costs_its_own_episodes_only(tmp_path: Path) -> None:
    environment = open_by_name("alfworld", str(folder_with_a_broken_game(tmp_path)))
    requests = [EpisodeRequest(task) for task in environment.splits()["train"]]
    trajectories, _ = play(environment, open_policy("expert"), requests)
    assert [trajectory.end for trajectory in trajectories] == [DONE, ENVIRONMENT_ERROR, DONE]
    assert "no ALFWorld game" in trajectories[1].detail
    assert trajectories[1].score is None
    with pytest.raises(UnplayableTaskError, match="no ALFWorld game"):
        environment.instruction(requests[1].task)


def test_episodes_of_a_task_share_a_house_however_many_houses_are_open() -> None:
    environment = opened(rooms="tiny")
    first, *others = environment.splits()["train"]
    episode = environment.episode(first)
    for task in others[: OPEN_HOUSES + 1]:
        environment.episode(task)
    assert environment.episode(first)._play.house is episode._play.house
