"""Which turns of an episode repeat an action, and which hold none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tratree_cli.evaluation.results import episode_results, result_from
from tratree_cli.evaluation.turns import malformed_turns, repeated_turns, with_turns
from tratree_cli.formats.rollouts import Rollouts, TextTable, Trajectory, write_rollouts


def played(observations: Sequence[str], actions: Sequence[str]) -> Trajectory:
    """An episode of these observations and actions; an empty action is an unparsable output."""
    texts = TextTable()
    turns = len(actions)
    return Trajectory(
        task="t",
        sample=0,
        setting=0,
        source=0,
        seed=0,
        instruction=0,
        observations=tuple(texts.intern(text) for text in observations),
        outputs=tuple(texts.intern(f"Action: {text}") for text in actions),
        thoughts=(-1,) * turns,
        actions=tuple(texts.intern(text) if text else -1 for text in actions),
        scores=(0.0,) * turns,
        valid=(True,) * turns,
        score=0.0,
        success=False,
        end="done",
    )


@pytest.mark.parametrize(
    ("observations", "actions", "repeated"),
    [
        # The same click where the episode already made it, at once or after a way round.
        (["page", "page", "page"], ["red", "red"], 1),
        (["list", "item", "list", "item"], ["item", "back", "item"], 1),
        # The page names the click and then stays as it is: the second click has no effect.
        (["item", "item, red", "item, red"], ["red", "red"], 1),
        # Walking on: the same action, every time on another page.
        (["page 1", "page 2", "page 3", "page 4"], ["next", "next", "next"], 0),
        # The same action, not at once, in another observation.
        (["desk", "shelf", "desk, open"], ["look", "go", "look"], 0),
        # Two outputs without an action are malformed, not repeated.
        (["page", "page", "page"], ["", ""], 0),
        # The episode broke off in the environment: nobody knows what the last action did.
        (["item", "item, red"], ["red", "red"], 0),
        (["a", "a", "a", "a"], ["x", "x", "x"], 2),
    ],
)
def test_a_turn_is_repeated_where_its_action_leads_nowhere_new(
    observations: list[str], actions: list[str], repeated: int
) -> None:
    assert repeated_turns(played(observations, actions)) == repeated


def test_an_output_without_an_action_is_malformed() -> None:
    assert malformed_turns(played(["a", "b", "c"], ["x", "", ""])) == 2


def test_turns_are_counted_from_the_stored_episodes_and_not_stored_again(tmp_path: Path) -> None:
    episode = played(["page", "page", "page", "page"], ["red", "red", ""])
    rollouts = Rollouts(TextTable(["page", "red"]), [episode])
    write_rollouts(rollouts, tmp_path)
    results = episode_results(rollouts)
    (counted,) = with_turns(results, tmp_path)
    assert (counted.repeated, counted.malformed) == (1, 1)
    assert counted.record() == results[0].record()
    assert result_from(counted.record()) == results[0]


def test_without_its_own_episodes_nothing_is_known_of_turns(tmp_path: Path) -> None:
    rollouts = Rollouts(TextTable(["page"]), [played(["page"], ["x"])])
    results = episode_results(rollouts)
    assert with_turns(results, tmp_path) == results
    write_rollouts(replace(rollouts, trajectories=[played(["page"], ["x", "y"])]), tmp_path)
    assert with_turns(results, tmp_path) == results
