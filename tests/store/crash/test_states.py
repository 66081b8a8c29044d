"""After a power cut at any moment, with any unflushed change missing, the promises hold."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from .recording import Recorder
from .scenes import SCENES, Scene, is_tidy
from .states import State, states


def record(scene: Scene, folder: Path) -> Recorder:
    """Prepare the folder and record the operation in it."""
    folder.mkdir()
    scene.prepare(folder)
    recorder = Recorder(folder)
    with recorder.recording():
        scene.act(folder, recorder.say)
    return recorder


def examine(scene: Scene, state: State, folder: Path) -> list[str]:
    """What is wrong in a state: as it lies, and after the next run."""
    folder.mkdir()
    try:
        state.lay(folder)
        problems = list(scene.look(folder, state.said))
        if not problems:
            scene.act(folder, lambda _: None)
            problems = [f"next run: {text}" for text in scene.look(folder, scene.everything)]
            problems += [f"next run: {text}" for text in is_tidy(folder)]
    except Exception as error:  # noqa: BLE001 - whatever is raised belongs to the state
        problems = [f"{type(error).__name__}: {error}"]
    finally:
        shutil.rmtree(folder)
    return [f"{state.story}\n    {text}" for text in problems]


def run(name: str, folder: Path, limit: int, most: int) -> tuple[int, list[str]]:
    """Number of states looked at (at most about ``most``), and what was wrong in them."""
    scene = SCENES[name]
    recorder = record(scene, folder / "recorded")
    found = list(states(recorder.base, recorder.ops, limit))
    chosen = found[:: -(-len(found) // most)]
    return len(chosen), [p for state in chosen for p in examine(scene, state, folder / "state")]


def told(problems: list[str]) -> str:
    """The first problem of each sort in full, and how often each came."""
    sorts = Counter(text.splitlines()[-1].strip() for text in problems)
    first = {text.splitlines()[-1].strip(): text for text in reversed(problems)}
    return "\n".join(f"{number} x {first[sort]}" for sort, number in sorts.most_common(12))


@pytest.mark.parametrize("name", SCENES)
def test_the_promises_hold_in_some_of_the_states_after_a_power_cut(
    name: str, tmp_path: Path
) -> None:
    count, problems = run(name, tmp_path, limit=6, most=16)
    assert count > 4
    assert not problems, told(problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_the_promises_hold_in_every_state_after_a_power_cut(name: str, tmp_path: Path) -> None:
    count, problems = run(name, tmp_path, limit=200, most=10**6)
    print(f"{name}: {count} states")  # noqa: T201 - the numbers in docs/testing.md
    assert count > 4
    assert not problems, told(problems)
