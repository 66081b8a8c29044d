"""Our engine against the original one: the same texts, commands and goals at every step.

The original is compiled and optional (``pip install tratree[alfworld]``); ``benchmarks/alfworld``
runs the same comparison over as many games as one likes.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from benchmarks.alfworld.original_engine import compare
from tratree_cli.envs.alfworld.folder import game_files
from tratree_cli.envs.alfworld.households.files import write_game
from tratree_cli.envs.alfworld.households.household import draw_household
from tratree_cli.envs.alfworld.households.inventory import SEEN, UNSEEN
from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.envs.alfworld.logic import GRAMMARS, read_logic

pytest.importorskip("textworld")
pytest.importorskip("alfworld")

GENUINE_GAMES = 60


@pytest.mark.slow
@pytest.mark.parametrize("edition", GRAMMARS)
@pytest.mark.parametrize("task_type", TYPES)
def test_generated_games_play_alike_in_the_original(
    tmp_path: Path, task_type: str, edition: str
) -> None:
    for index, size in enumerate(("full", "small")):
        household = draw_household(f"original/{task_type}/{index}", SEEN + UNSEEN, task_type, size)
        game = write_game(tmp_path, household, edition, f"trial_{index}", index)
        random, expert = compare(game, "random", 40), compare(game, "expert", 40)
        assert random.differences + expert.differences == []
        assert expert.won


@pytest.mark.slow
def test_genuine_games_play_alike_in_the_original(shared: Path, tmp_path: Path) -> None:
    archives = sorted((shared / "data" / "alfworld").glob("*.tar.xz"))
    if not archives:
        pytest.skip("no genuine games here")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    games = game_files(str(tmp_path))
    for game in games[:: len(games) // GENUINE_GAMES][:GENUINE_GAMES]:
        random, expert = compare(game, "random", 40), compare(game, "expert", 40)
        assert random.differences + expert.differences == []


@pytest.mark.slow
def test_the_originals_loader_accepts_generated_games(tmp_path: Path) -> None:
    loader = pytest.importorskip("alfworld.agents.environment.alfred_tw_env")
    for index in range(6):
        household = draw_household(f"loader/{index}", SEEN, TYPES[index], "small")
        write_game(tmp_path, household, "move", f"trial_{index}", index)
    config = {
        "env": {
            "goal_desc_human_anns_prob": 0.0,
            "task_types": [1, 2, 3, 4, 5, 6],
            "domain_randomization": False,
            "expert_type": "handcoded",
        },
        "dataset": {"data_path": str(tmp_path), "num_train_games": 0},
        "general": {"training_method": "dqn"},
        "rl": {"training": {"max_nb_steps_per_episode": 40}},
    }
    games = loader.AlfredTWEnv(config, train_eval="train")
    assert games.num_games == 6
    environment = games.init_env(batch_size=1)
    observations, infos = environment.reset()
    assert "Your task is to: " in observations[0]
    _, _, _, infos = environment.step(["look"])
    assert not infos["won"][0]


def test_the_installed_rules_and_grammar_are_known() -> None:
    alfworld = pytest.importorskip("alfworld")
    folder = Path(alfworld.__file__).parent / "data"
    rules, words = (folder / name for name in ("alfred.pddl", "alfred.twl2"))
    logic, task = read_logic(rules.read_text(), words.read_text())
    assert (logic.put, logic.arrive_at_place) == ("move", False)
    assert task == "Your task is to: UNKNOWN GOAL."
