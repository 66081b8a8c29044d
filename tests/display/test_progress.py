"""What people see of a long run: bars on a terminal, lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from tratree_cli.agents.rollout import RolloutProgress
from tratree_cli.config import load_recipe
from tratree_cli.display import progress
from tratree_cli.display.progress import (
    LineReporter,
    Pace,
    TerminalReporter,
    without_bars,
)
from tratree_cli.pipeline.plan import EarlierRuns
from tratree_cli.pipeline.reporter import SilentReporter
from tratree_cli.stages import sft
from tratree_cli.stages.sampling import episodes_progress


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=120, highlight=False), out


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_without_a_terminal_a_long_run_tells_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    shown, out = console(terminal=False)
    reporter = LineReporter(shown)
    reporter.started("exploration", "")
    for done in range(101):
        reporter.progress("exploration", 100 + done, 300, "mean 45.0  8 running\x1b[2J")
        clock.now += 0.5
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    # 30 in 15 seconds; the first hundred were done by an earlier run.
    note = "mean 45.0  8 running\N{REPLACEMENT CHARACTER}[2J"
    assert lines[1] == f"… exploration  130/300 (43 %)  {note}  ETA 1 m 25 s"
    assert "\x1b" not in out.getvalue()


def test_what_is_waited_for_before_the_length_is_known_is_no_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    shown, out = console(terminal=False)
    reporter = LineReporter(shown)
    reporter.progress("SFT", 0, 0, "loading libraries")
    clock.now += 20
    reporter.progress("SFT", 0, 60, "")
    for done in range(1, 21):
        clock.now += 1
        reporter.progress("SFT", done, 60, "")
    # A step a second: 40 steps are left, or a few more when the line was last written.
    assert "ETA 45 s" in out.getvalue()


def test_a_stage_of_unknown_length_says_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    shown, out = console(terminal=False)
    reporter = LineReporter(shown)
    reporter.progress("encoding", 0, 0, "")
    clock.now += 20
    reporter.progress("encoding", 1500, 0, "")
    assert out.getvalue().strip() == "… encoding  1,500"


def test_on_a_terminal_there_is_a_bar_with_the_note_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    shown, out = console(terminal=True)
    reporter = TerminalReporter(shown)
    reporter.started("exploration", "")
    reporter.progress("exploration", 0, 40, "8 running")
    clock.now += 10
    reporter.progress("exploration", 10, 40, "mean 45.0  8 running  2 failed  1,234 tokens/s")
    reporter._bars().refresh()
    reporter.close()
    for words in ("10/40", "mean 45.0  8 running  2 failed  1,234 tokens/s", "ETA 30 s"):
        assert words in out.getvalue()


def test_bars_give_way_to_a_person_who_types() -> None:
    shown, _ = console(terminal=True)
    assert type(without_bars(TerminalReporter(shown))) is LineReporter
    quiet = SilentReporter()
    assert without_bars(quiet) is quiet


def test_nothing_is_promised_before_anything_is_done() -> None:
    assert Pace(0.0, 5, 0.0).left(5, 10, 60.0) == ""
    assert Pace(0.0, 5, 0.0).left(10, 10, 60.0) == "ETA 0.0 s"


def test_episodes_are_told_as_done_running_failed_mean_and_tokens_a_second() -> None:
    told: list[tuple[int, int, str]] = []

    class Job:
        @staticmethod
        def progress(done: int, total: int, note: str) -> None:
            told.append((done, total, note))

    show = episodes_progress(Job())  # type: ignore[arg-type]
    show(RolloutProgress(total=9, running=4))
    show(RolloutProgress(total=9, done=5, running=4, failed=1, scored=4, score_sum=2.0, tokens=700))
    assert told[0] == (0, 9, "4 running")
    done, total, note = told[1]
    assert (done, total) == (5, 9)
    assert note.startswith("mean 50.0  4 running  1 failed  ")
    assert note.endswith(" tokens/s")


def test_before_several_stages_their_number_and_length_are_told_and_each_has_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    shown, out = console(terminal=False)
    reporter = LineReporter(shown)
    reporter.planned(5, [60.0, 30.0, None])
    reporter.started("SFT weak model", "parameter seed changed")
    made = SimpleNamespace(
        kind="model", object="ab" * 32, seconds=50.0, created=0.0, summary={"final_loss": 0.25}
    )
    reporter.finished("SFT weak model", cast(Any, made), cached=False)
    reporter.started("exploration", "")
    reporter.finished("exploration", cast(Any, made), cached=False)
    clock.now += 90
    reporter.close()
    assert out.getvalue().splitlines() == [
        "5 stages, 2 cached, about 1 m 30 s from earlier runs, and 1 stage of unknown length",
        "… [3/5] SFT weak  parameter seed changed",
        "✓ [3/5] SFT weak · loss 0.25  50 s  model:abababababab",
        "… [4/5] exploration",
        "✓ [4/5] exploration · loss 0.25  50 s  model:abababababab",
        "2 stages in 1 m 30 s",
    ]


def test_what_never_ran_before_has_no_estimate() -> None:
    assert progress.expected([None, None]).startswith("no earlier run")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("models", "weak", "Qwen/Qwen2.5-0.5B"), ("env", "name", "alfworld"), ("", "recipe", "micro")],
)
def test_another_model_environment_or_recipe_says_nothing_about_the_time(
    section: str, key: str, value: str
) -> None:
    config = load_recipe("quick", "webshop")
    wanted = sft.node(config, "weak")
    made = config.to_dict()
    entry = SimpleNamespace(seconds=20.0, provenance={"label": wanted.label, "config": made})
    store = cast(Any, SimpleNamespace(entries=lambda **_: [entry]))
    assert EarlierRuns(store).seconds(wanted) == 20.0
    (made[section] if section else made)[key] = value
    assert EarlierRuns(store).seconds(wanted) is None


def cached(number: int) -> Any:
    return SimpleNamespace(
        kind="tree", object=f"{number:064x}", seconds=60.0, created=0.0, summary={}
    )


def test_a_terminal_folds_many_cached_stages_and_keeps_the_last() -> None:
    shown, out = console(terminal=True)
    reporter = TerminalReporter(shown)
    for number in range(20):
        reporter.finished(f"tree {number}", cached(number), True)
    reporter.warn("careful")
    lines = [line for line in out.getvalue().splitlines() if line]
    assert len(lines) == 3
    assert "19 stages cached, saved 19 m (-v lists them)" in lines[0]
    assert "tree 19" in lines[1] and "careful" in lines[2]
    for number in range(3):
        reporter.finished(f"tree {number}", cached(number), True)
    reporter.close()
    assert out.getvalue().count("tree 0") == 1 and out.getvalue().count("tree 2") == 1


def test_a_log_and_a_verbose_terminal_have_every_cached_stage() -> None:
    for terminal, verbose in ((False, False), (True, True)):
        shown, out = console(terminal=terminal)
        kind = TerminalReporter if terminal else LineReporter
        reporter = kind(shown, verbose=verbose)
        for number in range(20):
            reporter.finished(f"tree {number}", cached(number), True)
        reporter.close()
        assert out.getvalue().count("= ") == 20


def test_the_command_to_type_next_is_whole_on_a_narrow_terminal() -> None:
    out = io.StringIO()
    command = "tratree show tree:0123456789ab --store /a/folder/with/a/long/name/and/another"
    TerminalReporter(Console(file=out, force_terminal=True, width=40, no_color=True)).hint(command)
    assert command in out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
