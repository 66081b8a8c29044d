"""Side by side: the first difference, and what happens when there is none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tratree_cli.display.case_study import compare_on_task, first_difference, most_telling_task
from tratree_cli.display.show_model import model_card
from tratree_cli.display.show_rollouts import rollouts_view, trajectory_view
from tratree_cli.display.sparkline import bar, sparkline
from tratree_cli.display.terminal_blocks import ComparisonText
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import Rollouts, TextTable, Trajectory
from tratree_cli.reporting.evaluation_view import evaluation_view
from tratree_cli.reporting.rows import EvaluationRow


def rollouts(*episodes: tuple[str, Sequence[str], float | None]) -> Rollouts:
    """Episodes as (task, actions, score); an empty action stands for an unparsable output."""
    texts = TextTable()
    trajectories = []
    for number, (task, actions, score) in enumerate(episodes):
        turns = len(actions)
        trajectories.append(
            Trajectory(
                task=task,
                sample=number,
                setting=0,
                source=0,
                seed=0,
                instruction=texts.intern(f"Instruction of {task}"),
                observations=tuple(texts.intern(f"page {i}") for i in range(turns + 1)),
                outputs=tuple(texts.intern(f"Action: {action}") for action in actions),
                thoughts=(-1,) * turns,
                actions=tuple(texts.intern(action) if action else -1 for action in actions),
                scores=(0.0,) * (turns - 1) + (score or 0.0,),
                valid=tuple(bool(action) for action in actions),
                score=score,
                success=bool(score),
                end="done" if score is not None else "environment-error",
            )
        )
    return Rollouts(texts, trajectories, [{"temperature": 0.0}], ["model:ab"], {"name": "webshop"})


def shown(renderable: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    assert all(len(line) <= width for line in text.splitlines())
    return text


def test_the_first_different_action_and_all_after_it_are_marked() -> None:
    study = compare_on_task(
        "t1",
        [
            ("SFT weak", rollouts(("t1", ["search[a]", "click[x]", "click[Buy Now]"], 0.0))),
            ("MCTS", rollouts(("t1", ["search[a]", "click[y]", "click[Buy Now]"], 1.0))),
        ],
    )
    assert [[turn.differs for turn in lane.turns] for lane in study.lanes] == [
        [False, True, True],
        [False, True, True],
    ]
    assert study.notes == ("They do the same in the first step and differ from step 2 on.",)
    assert study.lanes[1].outcome == "reward 1.00, success, done"
    assert "furthest apart" not in str(study.notes)
    text = shown(ComparisonText(study))
    assert text.count("differs from here") == 2
    assert "differs from here" in shown(ComparisonText(study), 40)


def test_equal_trajectories_and_missing_policies_are_said() -> None:
    one = rollouts(("t1", ["search[a]"], 0.0))
    study = compare_on_task("t1", [("a", one), ("b", one), ("c", rollouts())])
    assert study.notes == ("All do exactly the same.", "c has no episode on this task.")
    telling = compare_on_task("t1", [("a", one), ("b", one)], telling=True)
    assert "furthest apart here: a telling task, no typical one" in telling.notes[-1]
    with pytest.raises(InputError, match="no episode on task 't9'; there are episodes on t1"):
        compare_on_task("t9", [("a", one)])


# A machine that is busy with other work makes drawing examples slow, not the test wrong.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.sampled_from("ab"), max_size=5), min_size=1, max_size=4))
def test_before_the_first_difference_all_agree(sequences: list[list[str]]) -> None:
    step = first_difference(sequences)
    if step is None:
        assert len({tuple(sequence) for sequence in sequences}) == 1
    else:
        assert len({tuple(sequence[:step]) for sequence in sequences}) == 1
        assert len({tuple(sequence[: step + 1]) for sequence in sequences}) > 1


def test_the_most_telling_task_is_the_one_with_the_widest_gap() -> None:
    first = rollouts(("a", ["x"], 0.5), ("b", ["x"], 0.0), ("c", ["x"], None))
    second = rollouts(("a", ["x"], 0.6), ("b", ["x"], 1.0), ("c", ["x"], 1.0))
    assert most_telling_task([("weak", first), ("strong", second)]) == "b"
    assert most_telling_task([("weak", rollouts()), ("strong", second)]) is None


def test_rollouts_show_endings_settings_and_divided_tasks() -> None:
    text = shown(
        rollouts_view(
            rollouts(
                ("a", ["x", ""], 0.0), ("a", ["x"], 1.0), ("b", ["x"], 1.0), ("c", ["x"], None)
            )
        )
    )
    assert "4 episodes on 3 tasks of webshop" in text
    assert "done 3, environment-error 1" in text
    assert "1 of 2 tasks have samples that score differently" in text
    assert shown(rollouts_view(rollouts())) == "No episodes.\n"


def test_an_episode_shows_unparsable_outputs_as_they_were() -> None:
    made = rollouts(("a", ["search[x]", ""], 0.0))
    text = shown(trajectory_view(made, made.trajectories[0]))
    assert "Action: " in text
    assert "(no effect)" in text
    assert "reward 0.00, no success, ended: done" in text


def test_an_evaluation_shows_its_figures_and_worst_tasks(make: object, hostile: str) -> None:
    one = make("mcts", [0.2, 1.0, 0.4], label=hostile, parameters={"dpo.beta": 0.1})  # type: ignore[operator]
    assert isinstance(one, EvaluationRow)
    text = shown(evaluation_view(one.evaluation, one.ref))
    assert "Tasks with the lowest reward" in text
    assert "dpo.beta=0.1" in text
    assert "\x1b" not in text


def test_a_model_card_shows_curves_and_survives_a_bare_model() -> None:
    card = model_card(
        {"model_type": "llama", "hidden_size": 64},
        {
            "steps": 60,
            "tokens": 12345,
            "scored_share": 0.2,
            "facts": {},
            "curves": {"loss": [[i, 3.0 / (i + 1)] for i in range(60)], "empty": []},
            "parameters": {"learning_rate": 1e-5, "packing": False},
        },
    )
    text = shown(card)
    assert "60 updates, 12,345 tokens" in text
    assert "learning_rate 1e-05, packing no" in text
    assert "█" in text
    assert "No training record" in shown(model_card({}))


def test_a_sparkline_shows_shape_and_leaves_gaps() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, None, float("nan"), 1.0]) == "▅  ▅"
    assert sparkline([]) == ""
    assert len(sparkline(list(range(1000)), 40)) == 40
    assert set(sparkline([0, 1], ascii_only=True)) <= set("_.-=+*#@")


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), max_size=50))
def test_a_sparkline_takes_any_numbers(values: list[float | None]) -> None:
    assert len(sparkline(values, 20)) <= 20


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1e6), st.integers(1, 40))
def test_a_bar_never_leaves_its_width(value: float, largest: float, width: int) -> None:
    assert len(bar(value, largest, width)) <= width
    assert len(bar(value, largest, width, ascii_only=True)) <= width


def test_rollouts_of_a_model_name_it_as_tables_do() -> None:
    digest = "ab" * 32
    played = replace(rollouts(("a", ["x"], 1.0)), sources=[digest])
    assert "model abababababab" in shown(rollouts_view(played))
    named = shown(rollouts_view(played, called={digest: "SFT weak"}))
    assert "SFT weak" in named and "abab" not in named
