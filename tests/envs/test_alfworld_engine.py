"""The engine on one small house whose every text can be checked by hand, and on broken files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tratree_cli.envs.alfworld.engine import Play, listed
from tratree_cli.envs.alfworld.gamefile import parse_game, read_game
from tratree_cli.envs.alfworld.house import House
from tratree_cli.envs.alfworld.households.files import game_record, problem_text
from tratree_cli.envs.alfworld.households.household import Household, Piece, Placed
from tratree_cli.envs.alfworld.households.tasks import CLEAN, HEAT, LOOK, TWO, HouseholdTask
from tratree_cli.errors import InputError

DESK = Piece("Desk", "Desk|+01.00|+00.00|+00.00", "loc|1|1|0|30")
CABINET = Piece("Cabinet", "Cabinet|+01.00|+00.50|+00.00", "loc|1|1|0|30")
SINK = Piece("SinkBasin", "Sink|-01.00|+00.90|+00.00|SinkBasin", "loc|2|2|0|30")
OVEN = Piece("Microwave", "Microwave|+02.00|+00.90|+00.00", "loc|3|3|0|30")
TABLE = Piece("DiningTable", "DiningTable|+03.00|+00.00|+00.00", "loc|4|4|0|30")
MUG = Placed("Mug", "Mug|+01.00|+00.60|+00.10", DESK)
CUP = Placed("Mug", "Mug|+01.00|+00.70|+00.20", TABLE)
LAMP = Placed("DeskLamp", "DeskLamp|+01.00|+00.60|+00.30", DESK)
KNIFE = Placed("Knife", "Knife|+01.00|+00.55|+00.30", CABINET)
APPLE = Placed("Apple", "Apple|+01.00|+00.60|+00.40", DESK)
CLEAN_MUG = HouseholdTask(CLEAN, "Mug", "DiningTable")


def record(task: HouseholdTask = CLEAN_MUG, edition: str = "put") -> dict[str, Any]:
    household = Household(
        "kitchen",
        1,
        (DESK, CABINET, SINK, OVEN, TABLE),
        (MUG, CUP, LAMP, KNIFE, APPLE),
        task,
        0,
        "loc|0|0|0|30",
    )
    return game_record(household, edition, "trial")


def play(task: HouseholdTask = CLEAN_MUG, edition: str = "put") -> Play:
    return Play(House(parse_game(record(task, edition), "test")))


def said(game: Play, *commands: str) -> list[str]:
    return [game.step(command) for command in commands]


def test_the_first_text_names_the_room_and_the_task() -> None:
    assert play().reset() == (
        "-= Welcome to TextWorld, ALFRED! =-\n\n"
        "You are in the middle of a room. Looking quickly around you, you see a cabinet 1, "
        "a desk 1, a diningtable 1, a microwave 1, and a sinkbasin 1.\n\n"
        "Your task is to: put a clean mug in diningtable."
    )


def test_a_task_is_won_by_taking_cleaning_and_putting() -> None:
    game = play()
    assert said(
        game,
        "go to desk 1",
        "take mug 2 from desk 1",
        "go to sinkbasin 1",
        "clean mug 2 with sinkbasin 1",
        "examine mug 2",
        "go to diningtable 1",
    ) == [
        "You arrive at loc 4. On the desk 1, you see a apple 1, a desklamp 1, and a mug 2.",
        "You pick up the mug 2 from the desk 1.",
        "You arrive at loc 3. On the sinkbasin 1, you see nothing.",
        "You clean the mug 2 using the sinkbasin 1.",
        "This is a normal mug 2. In it, you see nothing.",
        "You arrive at loc 1. On the diningtable 1, you see a mug 1.",
    ]
    assert not game.won
    assert (
        game.step("put mug 2 in/on diningtable 1") == "You put the mug 2 in/on the diningtable 1."
    )
    assert game.won


def test_the_newer_edition_moves_and_arrives_at_furniture_and_has_help() -> None:
    game = play(edition="move")
    assert game.step("go to diningtable 1").startswith("You arrive at diningtable 1. On the")
    game.step("take mug 1 from diningtable 1")
    assert "move mug 1 to diningtable 1" in game.commands()
    assert game.step("put mug 1 in/on diningtable 1") == "Nothing happens."
    assert game.step("move mug 1 to diningtable 1") == "You move the mug 1 to the diningtable 1."
    assert game.step("help").startswith("What you can type:")


def test_going_to_where_one_stands_does_nothing_even_by_another_name() -> None:
    game = play()
    game.step("go to desk 1")
    assert said(game, "go to desk 1", "go to cabinet 1") == ["Nothing happens."] * 2
    assert (
        game.step("look")
        == "You are facing the cabinet 1, and desk 1. Next to it, you see nothing."
    )


def test_a_second_look_from_the_middle_of_the_room_sees_nothing() -> None:
    expected = "You are in the middle of a room. Looking quickly around you, you see nothing."
    assert play().step("look") == expected


def test_what_was_moved_between_furniture_of_one_spot_counts_as_lying_beside() -> None:
    game = play()
    said(game, "go to desk 1", "take mug 2 from desk 1", "open cabinet 1")
    game.step("put mug 2 in/on cabinet 1")
    assert game.step("look") == (
        "You are facing the cabinet 1, and desk 1. Next to it, you see a mug 2."
    )
    said(game, "take mug 2 from cabinet 1", "put mug 2 in/on desk 1")
    # Now it is the cabinet that it was taken from.
    assert game.step("look").endswith("Next to it, you see a mug 2.")


def test_cabinets_open_and_close_and_hide_what_is_in_them() -> None:
    game = play()
    game.step("go to desk 1")
    assert said(
        game,
        "examine cabinet 1",
        "take knife 1 from cabinet 1",
        "open cabinet 1",
        "open cabinet 1",
        "take knife 1 from cabinet 1",
        "slice apple 1 with knife 1",
        "close cabinet 1",
        "put knife 1 in/on cabinet 1",
    ) == [
        "The cabinet 1 is closed.",
        "Nothing happens.",
        "You open the cabinet 1. The cabinet 1 is open. In it, you see a knife 1.",
        "Nothing happens.",
        "You pick up the knife 1 from the cabinet 1.",
        "You sliced the apple 1 with the knife 1.",
        "You close the cabinet 1.",
        "Nothing happens.",
    ]


def test_heating_works_with_a_closed_door_and_shows() -> None:
    game = play(HouseholdTask(HEAT, "Apple", "DiningTable"))
    texts = said(
        game,
        "go to desk 1",
        "take apple 1 from desk 1",
        "go to microwave 1",
        "heat apple 1 with microwave 1",
        "examine apple 1",
    )
    assert texts[2:] == [
        "You arrive at loc 2. The microwave 1 is closed.",
        "You heat the apple 1 using the microwave 1.",
        "This is a hot apple 1.",
    ]


def test_a_lamp_that_was_used_stays_on_and_lights_what_is_held() -> None:
    game = play(HouseholdTask(LOOK, "Mug", lamp="DeskLamp"))
    said(game, "go to desk 1", "use desklamp 1")
    assert game.step("use desklamp 1") == "You turn on the desklamp 1."
    assert not game.won
    game.step("take mug 2 from desk 1")
    assert game.won


def test_two_of_a_kind_must_lie_in_the_same_place() -> None:
    game = play(HouseholdTask(TWO, "Mug", "DiningTable"))
    said(game, "go to desk 1", "take mug 2 from desk 1", "go to diningtable 1")
    assert not game.won
    game.step("put mug 2 in/on diningtable 1")
    assert game.won


def test_only_one_thing_fits_in_the_hands_and_only_that_can_be_examined() -> None:
    game = play()
    said(game, "go to desk 1", "take mug 2 from desk 1")
    assert said(game, "take apple 1 from desk 1", "examine apple 1") == ["Nothing happens."] * 2
    assert "examine mug 2" in game.commands()


def test_a_reset_forgets_everything() -> None:
    game = play()
    first = game.reset()
    commands = game.commands()
    said(game, "go to desk 1", "take mug 2 from desk 1", "open cabinet 1")
    assert game.reset() == first
    assert game.commands() == commands


def test_every_offered_command_does_something_and_others_do_not() -> None:
    game = play()
    game.step("go to desk 1")
    for command in game.commands():
        game.reset()
        game.step("go to desk 1")
        assert game.allows(command)
        assert game.step(command) != "Nothing happens."
    for command in ("", "fly", "take mug 2", "GO TO DESK 1", "go to desk", "examine\x00desk 1"):
        assert not game.allows(command)
        assert game.step(command) == "Nothing happens."


def test_a_huge_action_is_harmless() -> None:
    game = play()
    for text in ("go to " + "x" * 100_000, "look" * 25_000, "\x1b[2J" * 25_000, " " * 100_000):
        assert game.step(text) == "Nothing happens."


def test_lists_are_joined_as_the_original_joins_them() -> None:
    assert listed([]) == "nothing"
    assert listed(["a", "b"]) == "a, and b"
    assert listed(["a", "b", "c"]) == "a, b, and c"


@pytest.mark.parametrize(
    ("key", "old", "new", "message"),
    [
        ("grammar", "You pick up the", "You grab the", "words 'PickupObject.feedback'"),
        ("grammar", '"take {o} from {r}"', '"grab {o} from {r}"', "action 'PickupObject'"),
        ("grammar", "Your task is to", "Please", "no line 'Your task is to"),
        ("grammar", "put a clean mug", "put a #mug#", "one of the characters"),
        ("grammar", '"rhs"', "rhs", "not JSON"),
        ("pddl_domain", "(isClean ?o)))", "(isHot ?o)))", "action 'cleanobject'"),
        ("pddl_domain", "(:action look", "(:action jump", "action 'look'"),
        ("pddl_problem", "(:goal", "(:metric", "no section :goal"),
        ("pddl_problem", "(exists (?r - receptacle)", "(forall (?r - receptacle)", "'forall'"),
        ("pddl_problem", "agent1 - agent", "agent2 - agent", "not declared"),
        ("pddl_problem", "- location", "- planet", "unknown type 'planet'"),
        ("pddl_problem", "))", ")", "not closed"),
    ],
)
def test_a_game_with_other_rules_is_refused_with_the_rule_named(
    key: str, old: str, new: str, message: str
) -> None:
    changed = record()
    assert old in changed[key]
    changed[key] = changed[key].replace(old, new)
    with pytest.raises(InputError, match="test cannot be played: ") as error:
        parse_game(changed, "test")
    assert message in str(error.value)


def test_a_cut_off_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = orjson.dumps(record())
    path = tmp_path / "game.tw-pddl"
    for share in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:share])
        with pytest.raises(InputError, match="not a whole game file"):
            read_game(path)
    path.write_bytes(orjson.dumps({"grammar": "x"}))
    with pytest.raises(InputError, match="it lacks one of pddl_domain"):
        read_game(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_game(tmp_path / "nowhere")


def test_deep_nesting_is_refused_instead_of_exhausting_the_stack() -> None:
    changed = record()
    changed["pddl_problem"] = "(" * 100_000
    with pytest.raises(InputError, match="nested too deeply"):
        parse_game(changed, "test")


@pytest.mark.parametrize(
    "task",
    [
        HouseholdTask(TWO, "Apple", "DiningTable"),
        HouseholdTask(CLEAN, "Vase", "DiningTable"),
        HouseholdTask(CLEAN, "Mug", "Microwavee"),
        HouseholdTask(HEAT, "Knife", "DiningTable"),
        HouseholdTask(LOOK, "Mug", lamp="FloorLamp"),
    ],
)
def test_a_game_that_cannot_be_won_is_noticed(task: HouseholdTask) -> None:
    assert play().house.winnable()
    assert not play(task).house.winnable()


def test_problem_texts_name_every_thing_once() -> None:
    text = problem_text(
        Household("kitchen", 1, (DESK,), (MUG,), CLEAN_MUG, 0, "loc|0|0|0|30"), "trial"
    )
    assert (
        text.count("(objectType Mug_bar__plus_01_dot_00_bar__plus_00_dot_60_bar__plus_00_dot_10")
        == 1
    )
