"""The promises of an environment, and the example of the documentation that keeps them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import invoke
from tratree_cli.commands.env import app
from tratree_cli.envs import conformance
from tratree_cli.envs.protocol import Outcome
from tratree_cli.envs.registry import find_plugin, open_environment

PAGE = Path(__file__).resolve().parents[2] / "docs" / "environments.md"
NAME = "python:coins:open_environment"


@pytest.fixture
def coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The documentation's example as a file of the working folder."""
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(code.splitlines()) < 80
    (tmp_path / "coins.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("coins")
    sys.modules.pop("coins")


def broken(opener: Any) -> set[str]:
    return {finding.promise for finding in conformance.check(opener) if not finding.kept}


def test_the_documented_example_keeps_every_promise(coins: Any) -> None:
    result = invoke(app, ["check", NAME, "--strict"])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("kept ") == 15 and "broken" not in result.stdout


def test_the_documented_example_can_be_explored(coins: Any, tmp_path: Path) -> None:
    from tratree_cli.app import app as tratree

    words = ["explore", "--env", NAME, "--policy", "expert", "-m", "1", "--no-stdin"]
    result = invoke(tratree, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("rollouts:")


@pytest.mark.parametrize("name", ["webshop", "alfworld"])
def test_the_environments_without_a_simulator_keep_every_promise(name: str) -> None:
    assert not broken(lambda: open_environment(name))


def test_chance_that_is_no_function_of_the_actions_is_noticed(coins: Any) -> None:
    calls = iter(range(10**6))

    class Moody(coins.Game):
        def step(self, action: str) -> Outcome:
            outcome: Outcome = super().step(action)
            return replace(outcome, observation=f"{outcome.observation} {next(calls)}")

    found = broken(lambda: with_game(coins, Moody))
    assert {"the same actions give the same texts", "any state is rebuilt by replay"} <= found


def test_a_shared_state_is_noticed(coins: Any) -> None:
    class Shared(coins.Game):
        steps = 0

        def reset(self) -> str:
            Shared.steps = 0
            return str(super().reset())

        def step(self, action: str) -> Outcome:
            Shared.steps += 1
            return replace(super().step(action), observation=f"step {Shared.steps}")

    assert "episodes do not disturb each other" in broken(lambda: with_game(coins, Shared))


def test_crashes_and_wild_scores_are_noticed(coins: Any) -> None:
    class Fragile(coins.Game):
        def step(self, action: str) -> Outcome:
            action.encode("utf-8")
            return Outcome(action[:5], 1.5 if action.startswith("guess") else 0.0, False)

    found = broken(lambda: with_game(coins, Fragile))
    assert {"unknown actions are harmless", "scores stay within 0 and 1"} <= found


def test_the_command_fails_for_a_broken_environment(coins: Any, tmp_path: Path) -> None:
    code = (tmp_path / "coins.py").read_text("utf-8").replace("1 - abs(gap)", "2 + abs(gap)")
    (tmp_path / "rich_coins.py").write_text(code.replace("coins:open", "rich_coins:open"), "utf-8")
    result = invoke(app, ["check", "python:rich_coins:open_environment", "--strict"])
    assert result.exit_code == 1
    assert "broken" in result.stdout and "a score is" in result.stdout


def test_a_plug_in_brings_its_own_recipes_and_prompts(coins: Any, tmp_path: Path) -> None:
    from tratree_cli.config import load_recipe
    from tratree_cli.stages.environments import prompt_folder

    assert load_recipe("quick", NAME).env.parameters == {}
    assert prompt_folder(load_recipe("quick", NAME)).parts[-2:] == ("any", "quick")
    recipes, prompts = tmp_path / "templates" / "recipes", tmp_path / "templates" / "prompts" / NAME
    (prompts / "polite").mkdir(parents=True)
    recipes.mkdir()
    (prompts / "polite" / "prompt.toml").write_text("messages = []\n")
    (recipes / f"quick-{NAME}.toml").write_text(
        f'[env]\nname = "{NAME}"\nprompt = "polite"\nparameters = {{ steps = 9 }}\n'
    )
    config = load_recipe("quick", NAME)
    assert config.recipe == "quick" and config.env.parameters == {"steps": 9}
    assert prompt_folder(config) == prompts / "polite"


def test_a_recipe_for_one_environment_leaves_the_settings_of_another_out() -> None:
    from tratree_cli.config import load_recipe

    assert load_recipe("quick").env.parameters == {"page_size": 4}
    assert load_recipe("quick", "scienceworld").env.parameters["view"] == "brief"
    assert load_recipe("micro", "scienceworld").env.parameters == {}


def test_a_plug_in_is_known_without_being_imported() -> None:
    found = find_plugin("python:nowhere:open_environment")
    assert found is not None and found.code_files() == [] and found.templates() is None


def with_game(coins: Any, game: type) -> Any:
    environment = coins.open_environment()
    environment.episode = lambda task: game(int(task))
    return environment
