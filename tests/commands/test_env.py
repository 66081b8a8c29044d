"""``tratree env`` through its command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.command_line import invoke
from tratree_cli.commands.env import app
from tratree_cli.display.environments import PlayedTask, play_episode
from tratree_cli.envs.protocol import Outcome
from tratree_cli.envs.webshop import WebShop, open_environment
from tratree_cli.envs.webshop.environment import ShopEpisode
from tratree_cli.errors import InputError


def test_list_shows_tasks_per_split_and_readiness() -> None:
    result = invoke(app, ["list"])
    assert result.exit_code == 0
    assert "webshop" in result.stdout and "train 600" in result.stdout
    assert "ready" in result.stdout


def test_list_says_what_mends_a_missing_data_folder(tmp_path: Path) -> None:
    result = invoke(app, ["list", "--data", str(tmp_path), "--json"])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    [row] = [row for row in rows if row["environment"] == "webshop"]
    assert not row["ready"] and "tratree env fetch webshop" in row["missing"]


def test_a_folder_is_shown_with_the_environments_that_have_files_in_it(edge60: Path) -> None:
    result = invoke(app, ["list", "--data", str(edge60), "--json"])
    rows = {row["environment"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows["webshop"]["ready"] and rows["webshop"]["data"] == str(edge60)
    assert rows["alfworld"]["ready"] and rows["alfworld"]["data"] == "embedded"


def test_a_broken_file_is_said_of_its_own_environment_only(tmp_path: Path) -> None:
    (tmp_path / "items_shuffle.json").write_text("[")
    (tmp_path / "items_ins_v2.json").write_text("{}")
    result = invoke(app, ["list", "--data", str(tmp_path), "--json"])
    rows = {row["environment"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert "not valid JSON" in rows["webshop"]["missing"]
    assert rows["alfworld"]["ready"]


def test_a_list_keeps_to_the_columns_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, invoke(app, ["list"]).stdout.splitlines())) <= 50


def test_check_plays_an_expert_and_a_random_episode() -> None:
    result = invoke(app, ["check", "webshop", "--json"])
    report = json.loads(result.stdout)
    assert [episode["policy"] for episode in report["episodes"]] == ["expert", "random"]
    assert report["episodes"][0]["score"] > 0
    again = json.loads(invoke(app, ["check", "webshop", "--json"]).stdout)
    assert again["episodes"][1]["score"] == report["episodes"][1]["score"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "webshpo"], "did you mean 'webshop'"),
        (["check", "webshop", "--split", "tests"], "did you mean 'test'"),
        (["check", "webshop", "--task", "x"], "no task"),
        (["check", "webshop", "--set", "pagesize=3"], "did you mean 'page_size'"),
        (["check", "webshop", "--set", "nonsense"], "KEY=VALUE"),
        (["fetch", "webshpo"], "did you mean 'webshop'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(arguments: list[str], message: str) -> None:
    result = invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_a_person_plays_by_numbers_and_words() -> None:
    environment = open_environment()
    expert = environment.expert("0")
    observation = environment.episode("0").reset()
    lines = ["nonsense", "1"]
    episode = environment.episode("0")
    observation = episode.reset()
    observation = episode.step(episode.available_actions()[0]).observation
    expert.act("WebShop [SEP] Search")
    while not (outcome := episode.step(action := expert.act(observation)[1])).done:
        observation = outcome.observation
        lines.append(action)
    lines.append(action)
    result = invoke(app, ["play", "webshop", "--task", "0"], input="\n".join(lines) + "\n")
    assert result.exit_code == 0, result.output
    assert "nothing happens" in result.output
    assert f"score {outcome.score:.3f}" in result.output


def test_a_long_list_of_actions_is_shown_when_asked_for() -> None:
    class Crowded(ShopEpisode):
        def available_actions(self) -> list[str]:
            return [f"click[{n}]" for n in range(100)]

    shop = open_environment().shop  # type: ignore[attr-defined]
    shown = io.StringIO()
    stage = PlayedTask(Crowded(shop.session(), 0), "x", 10)
    play_episode(stage, io.StringIO("?\n"), Console(file=shown, width=80))
    before, after = shown.getvalue().split("and 75 more")
    assert "click[24]" in before and "click[25]" not in before and "click[99]" in after


def test_a_number_that_the_environment_asks_for_is_given_as_it_is() -> None:
    said: list[str] = []

    class Asking:
        def reset(self) -> str:
            return "Which? 0: the door to the hall, 1: the door to the kitchen"

        def step(self, action: str) -> Outcome:
            said.append(action)
            return Outcome("It opens.", 1.0, True, True)

        def available_actions(self) -> list[str]:
            return ["0", "1"]

    play_episode(PlayedTask(Asking(), "x", 5), io.StringIO("1\n"), Console(file=io.StringIO()))
    assert said == ["1"]


def test_the_end_of_the_input_leaves_the_game() -> None:
    result = invoke(app, ["play", "webshop"], input="1\n")
    assert result.exit_code == 0
    assert "left the game" in result.output


def test_a_hostile_title_is_shown_as_text_and_drives_nothing() -> None:
    request = {
        "instruction": "[bold]x\x1b[2J",
        "instruction_attributes": ["a"],
        "instruction_options": [],
    }
    product = {
        "asin": "B1",
        "name": "[red]shirt\x1b[31m\x07[/nope]",
        "full_description": "",
        "small_description": [],
        "pricing": "",
        "product_category": "",
        "query": "shirts",
        "category": "",
        "customization_options": "",
    }
    shop = WebShop.from_records([product], {}, {"B1": [request]}, goal_kind="human")
    shown = io.StringIO()
    stage = PlayedTask(ShopEpisode(shop.session(), 0), "[bold]x", 10)
    play_episode(stage, io.StringIO("search[shirt]\nclick[b1]\n"), Console(file=shown, width=80))
    assert "[red]shirt" in shown.getvalue() and "[/nope]" in shown.getvalue()
    assert "\x1b" not in shown.getvalue() and "\x07" not in shown.getvalue()
