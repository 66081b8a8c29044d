"""What is known of ScienceWorld without its simulator: tasks, parameters, solutions, bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast
from zipfile import ZipFile

import pytest

from tratree_cli.envs.registry import open_environment
from tratree_cli.envs.scienceworld import installation, tasks
from tratree_cli.envs.scienceworld.expert import GoldExpert, thought
from tratree_cli.envs.scienceworld.gold import (
    GoldSolution,
    candidates,
    compress,
    make_solution,
    plainly,
    with_looks,
)
from tratree_cli.envs.scienceworld.observation_view import brief
from tratree_cli.envs.scienceworld.simulator import Simulator
from tratree_cli.errors import InputError, StageError, did_you_mean

GREENHOUSE = """This room is called the greenhouse. In it, you see:
\tthe agent
\ta substance called air
\ta bee hive. The bee hive door is closed.
\ta flower pot 2 (containing a substance called water)
\ta flower pot 3 (containing a pea plant in the adult stage with a tall height, soil)
\ta sink, which is turned off. In the sink is: nothing.
You also see:
\tA door to the hallway (that is open)"""


def write_jar(path: Path) -> None:
    """A jar that has the simulator's main class, by name."""
    with ZipFile(path, "w") as jar:
        jar.writestr(installation.INTERFACE, b"\xca\xfe\xba\xbe" * 1000)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a simulator and without any Java, and its folder for a jar."""
    write_jar(tmp_path / "scienceworld.jar")
    monkeypatch.setattr(installation, "_package_folders", lambda name: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def test_the_published_lists_have_the_published_sizes() -> None:
    splits = tasks.splits()
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [1483, 194, 211]
    assert tasks.seen_in_training() == 54
    assert not set(splits["test"]) & (set(splits["train"]) | set(splits["dev"]))
    assert all(tasks.parse(task) for name in splits for task in splits[name])


def test_the_lists_are_the_published_ones(shared: Path) -> None:
    published = shared / "data" / "eto" / "sciworld"
    limits = json.loads((published / "max_steps.json").read_text())
    for split in ("train", "dev", "test"):
        listed = json.loads((published / f"{split}_indices.json").read_text())
        mine = [tasks.parse(task) for task in tasks.splits()[split]]
        for (name, variation), (family, number) in zip(listed, mine, strict=True):
            plain = name.split("-", 2)[2].replace("(", "").replace(")", "")
            assert (plain, variation) == (family, number)
            assert tasks.FAMILIES[family].limit == limits[name]


def test_the_official_parts_cover_all_thirty_families_once() -> None:
    splits = tasks.splits()
    every = [task for name in tasks.OFFICIAL for task in splits[name]]
    assert len(every) == len(set(every)) == sum(f.variations for f in tasks.FAMILIES.values())
    assert len({task.partition("/")[0] for task in splits["test-official"][:30]}) == 30


def test_families_are_chosen_by_patterns() -> None:
    chosen = tasks.splits("lifespan-*,find-*")
    assert (len(chosen["train"]), len(chosen["test"])) == (724, 70)
    with pytest.raises(InputError, match=r"no ScienceWorld task matches 'boyl'.*'boil'"):
        tasks.splits("boyl")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("boyl/0", "did you mean 'boil'"),
        ("boil/30", "0 to 29"),
        ("boil/-1", "no variation '-1'"),
        ("boil/01", "no variation"),
        ("boil/٣", "no variation"),
        ("boil", "no variation ''"),
        ("boil/" + "9" * 5000, "no variation '9"),
        ("", "family/variation"),
    ],
)
def test_an_unknown_task_is_refused_in_one_sentence(task: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        tasks.parse(task)
    assert "\n" not in str(refused.value)


def test_no_java_anywhere_is_one_sentence_with_the_command(bare: Path) -> None:
    with pytest.raises(InputError, match=r"no.* here; type: pip install 'tratree\[scienceworld\]'"):
        open_environment("scienceworld", str(bare))


def test_a_jar_that_is_broken_is_blamed_itself(bare: Path) -> None:
    jar = bare / "scienceworld.jar"
    whole = jar.read_bytes()
    for broken in (whole[:-100], b"", b"not really", whole.replace(b"PythonInterface", b"x" * 15)):
        jar.write_bytes(broken)
        with pytest.raises(InputError, match=r"scienceworld\.jar is broken \(.*copy it again"):
            open_environment("scienceworld", str(bare))


def test_damage_inside_a_jar_is_found_when_the_simulator_does_not_start(bare: Path) -> None:
    jar = bare / "scienceworld.jar"
    content = bytearray(jar.read_bytes())
    content[200] ^= 1
    jar.write_bytes(content)
    java = bare / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    with pytest.raises(StageError, match=r"scienceworld\.jar is broken \(.* is damaged"):
        Simulator(java, (jar,), 2)
    write_jar(jar)
    with pytest.raises(StageError, match="-version` should work"):
        Simulator(java, (jar,), 2)


def test_no_simulator_is_one_sentence_with_the_command(bare: Path) -> None:
    with pytest.raises(InputError, match="ScienceWorld is not installed; type: pip install"):
        open_environment("scienceworld")
    with pytest.raises(InputError, match=r"holds no scienceworld\.jar"):
        open_environment("scienceworld", str(bare / "elsewhere"))


def test_a_version_that_is_too_old_is_said(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_package_folders", lambda name: [bare])
    monkeypatch.setattr(installation, "version", lambda name: "1.1.3")
    with pytest.raises(InputError, match=r"scienceworld 1\.1\.3 is too old, tratree needs 1\.2\.3"):
        open_environment("scienceworld")


def test_a_java_on_the_search_path_serves_without_the_package(bare: Path) -> None:
    java = bare / ("java.exe" if os.name == "nt" else "java")
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    assert installation.find_java() == java


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("veiw", "brief", "did you mean 'view'"),
        ("view", "short", "one of full, brief"),
        ("success", "always", "one of eto, strict"),
        ("simplifications", "easy,openContainers", "no simplification 'easy'"),
        ("simplifications", "openDoor", "did you mean 'openDoors'"),
        ("max_steps", "ten", "whole number"),
        ("max_steps", -1, "at least 0"),
        ("hash_code", 99, "hash_code is one of 0, 1, 2, 3, 4, 5, not 99"),
        ("hash_code", -1, "hash_code is one of"),
    ],
)
def test_a_wrong_parameter_is_refused(name: str, value: object, message: str) -> None:
    pytest.importorskip("scienceworld", reason="the simulator is not installed")
    with pytest.raises(InputError, match=message):
        open_environment("scienceworld", parameters={name: value})


def test_a_preset_is_recorded_as_the_list_it_stands_for() -> None:
    pytest.importorskip("scienceworld", reason="the simulator is not installed")
    spec = open_environment("scienceworld").spec
    assert spec.parameters["simplifications"] == (
        "teleportAction,openDoors,selfWateringFlowerPots,noElectricalAction"
    )
    assert open_environment(spec).spec == spec


def test_there_is_a_prompt_for_every_recipe() -> None:
    from tratree_cli.config import load_recipe, recipes
    from tratree_cli.stages.environments import prompt_folder, read_prompt

    for name in recipes():
        if "-alfworld" not in name:
            read_prompt(prompt_folder(load_recipe(name, "scienceworld")))
    config = load_recipe("paper-llama2", "scienceworld")
    first, *rest = read_prompt(prompt_folder(config))
    assert "teleport to LOC" in first["content"] and "already been opened" not in first["content"]
    assert rest[-1]["content"].startswith("Thought: ")
    paper = read_prompt(prompt_folder(config.with_values({"env": {"prompt": "paper"}}, "test")))
    assert "All containers in the environment have already been opened" in paper[0]["content"]


def test_a_brief_look_is_one_line_with_what_can_be_named() -> None:
    assert brief(GREENHOUSE) == "greenhouse: bee hive, flower pot 2, flower pot 3 (pea plant), sink"


def test_walks_become_one_teleport() -> None:
    walked = ["go to hallway", "go to kitchen", "pick up thermometer", "go to hallway"]
    assert compress(walked) == ["teleport to kitchen", "pick up thermometer", "teleport to hallway"]


def test_a_look_goes_before_what_nobody_has_named() -> None:
    task = "Your task is to find a(n) animal. Then, move it to the red box in the kitchen."
    path = ["teleport to outside", "focus on dove", "teleport to kitchen", "move dove to red box"]
    assert with_looks(path, task) == [path[0], "look around", *path[1:]]


@pytest.mark.parametrize(
    ("full", "plain"),
    [
        ("focus on baby baby brown bear", "focus on baby brown bear"),
        ("focus on egg parrot", "focus on parrot egg"),
        ("move egg blue jay egg in inventory to red box", "move blue jay egg to red box"),
        (
            "move pot 4 containing pea plant and soil in inventory to red box",
            "move pot 4 to red box",
        ),
        ("pour cup 1 containing red paint into jug", "pour cup 1 into jug"),
    ],
)
def test_names_are_those_that_looks_show(full: str, plain: str) -> None:
    assert plainly(full) == plain


def test_the_solution_as_it_is_comes_last_and_nothing_twice() -> None:
    walked = ["open door to hallway", "go to hallway", "focus on door"]
    found = list(candidates(walked, teleports=True, task="Focus on the door."))
    assert found[0] == ["teleport to hallway", "focus on door"]
    assert found[-1] == walked
    assert len({tuple(candidate) for candidate in found}) == len(found)


class Solver:
    """A stand-in for the simulator: tasks are done once certain actions have been heard."""

    def __init__(self, gold: list[str], needed: list[str]) -> None:
        self.gold, self.needed = gold, needed
        self.plays: list[list[str]] = []

    def load(self, family: str, variation: int, simplifications: str, gold: bool = False) -> str:
        if not gold:
            self.plays.append([])
        return "Focus on the dove."

    def gold_path(self) -> list[str]:
        return self.gold

    def step(self, action: str) -> tuple[str, float, bool]:
        self.plays[-1].append(action)
        done = all(action in self.plays[-1] for action in self.needed)
        return "", float(done), done


GOLD = ["open door to hall", "go to hall", "go to yard", "wait", "focus on dove", "wait"]


def plan(solver: Solver, limit: int) -> GoldSolution:
    return make_solution(cast(Simulator, solver), "find-animal", 0, "teleportAction", limit)


def test_the_preferred_way_to_show_a_solution_is_played_first_and_no_other() -> None:
    solver = Solver(GOLD, ["focus on dove"])
    assert plan(solver, 15) == GoldSolution(("teleport to yard", "wait", "focus on dove"))
    assert len(solver.plays) == 1


def test_a_way_that_fails_gives_way_to_the_next_that_is_short_enough() -> None:
    solver = Solver(GOLD, ["go to hall", "focus on dove"])
    assert plan(solver, 4) == GoldSolution(("go to hall", "go to yard", "wait", "focus on dove"))
    too_long = Solver(GOLD, ["open door to hall", "focus on dove"])
    assert plan(too_long, 4) == GoldSolution((), "longer than the limit of 4 steps")
    # The preferred one, the whole, and the one without doors: others are the same or longer.
    assert [len(played) for played in too_long.plays] == [4, 5, 4]


def test_the_reason_why_there_is_no_demonstration_is_told() -> None:
    assert plan(Solver(GOLD, ["sing"]), 9).missing == "no solution reaches a score of 1"
    assert plan(Solver([], []), 9).missing == "the simulator knows no solution"
    assert plan(Solver(["ERROR: x"], []), 9).missing == "the simulator knows no solution"


def test_the_demonstrator_waits_when_its_solution_is_over() -> None:
    expert = GoldExpert(["focus on dove"])
    assert expert.act("")[1] == "focus on dove"
    assert expert.act("") == ("I wait for something to change.", "wait1")
    assert thought("teleport to kitchen") == "I need to go to the kitchen."
    assert thought("sing") == "I go on with the task."


def test_a_word_is_not_proposed_to_whoever_typed_it() -> None:
    pytest.importorskip("scienceworld", reason="the simulator is not installed")
    with pytest.raises(InputError, match="no simplification 'easy'") as refused:
        open_environment("scienceworld", parameters={"simplifications": "easy,openContainers"})
    assert "did you mean" not in str(refused.value)
    assert did_you_mean("easy", ["easy", "easy-open"]) == ""
    assert "'easy-open'" in did_you_mean("easy-opn", ["easy", "easy-open"])
