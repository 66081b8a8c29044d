"""``tratree store …`` through the real command line: what is printed where, and the exit codes."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tratree_store import Store
from typer.testing import Result

from tests.command_line import invoke
from tests.store.conftest import SOURCES, Make, flip
from tratree_cli.commands.store import app


def run(store: Store, *arguments: str) -> Result:
    """One command in this process (the real one costs a second of start-up on a busy machine)."""
    words = [*arguments, "--store", str(store.root)]
    result = invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})
    # A process lets go of what it found when it ends; here the store has to be collected.
    gc.collect()
    return result


def json_lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_init_creates_a_store_and_shares_it_when_asked(store: Store) -> None:
    assert run(store, "init").stdout == f"{store.root}\n"
    assert not store.root.stat().st_mode & 0o2020
    result = run(store, "init", "--shared")
    assert "group" in result.stderr
    assert store.root.stat().st_mode & 0o2070 == 0o2070


def test_listing_an_empty_store_says_what_to_type_and_creates_nothing(store: Store) -> None:
    result = run(store, "ls")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "tratree report" in result.stderr
    assert not store.root.exists()


def test_listing_prints_content_on_stdout_and_json_lines_when_asked(
    store: Store, make: Make
) -> None:
    one = make("tree", seed=1, summary={"nodes": 12, "note": "[red]not markup[/red]"})
    two = make("pairs", inputs={"tree": one.object})
    store.name("study/weak", one)
    result = run(store, "ls")
    assert f"tree:{one.object[:8]}" in result.stdout
    assert "study/weak" in result.stdout
    assert "[red]not markup[/red]" in run(store, "ls", "--long").stdout
    assert [row["ref"] for row in json_lines(run(store, "ls", "--json"))] == [two.ref, one.ref]
    assert [row["ref"] for row in json_lines(run(store, "ls", "tree", "--json"))] == [one.ref]
    assert "--limit 0" in run(store, "ls", "-L", "1").stderr


def test_control_characters_of_strangers_do_not_reach_the_terminal(
    store: Store, make: Make
) -> None:
    make("tree", summary={"note": "\x1b[31mred\x07"})
    for command in (("ls",), ("ls", "--long"), ("show", "tree@latest")):
        assert "\x1b[31m" not in run(store, *command).stdout
        assert "\x07" not in run(store, *command).stdout


def test_show_why_log_and_diff_print_their_trees(store: Store, make: Make) -> None:
    rollouts = make("rollouts", seed=1)
    first = make("tree", {"a.json": '{"n": 1}'}, inputs={"rollouts": rollouts.object}, xi=0.9)
    second = make("tree", {"a.json": '{"n": 2}'}, inputs={"rollouts": rollouts.object}, xi=0.8)
    store.name("best", first)
    store.name("best", second)
    shown = run(store, "show", "best").stdout
    assert "xi = 0.8" in shown
    assert "a.json" in shown
    assert "parameter xi changed: 0.9 → 0.8" in run(store, "why", "best").stdout
    assert json_lines(run(store, "why", "best", "--json"))[0]["kind"] == "changed"
    log = run(store, "log", "best").stdout
    assert log.count("best →") == 2
    assert f"rollouts ← make-rollouts rollouts:{rollouts.object[:12]}" in log
    assert run(store, "log", "best", "--mermaid").stdout.startswith("flowchart")
    assert run(store, "log", "best", "--dot").stdout.startswith("digraph")
    assert len(json_lines(run(store, "log", "best", "--json"))) == 2
    diff = run(store, "diff", first.ref, second.ref)
    assert "a.json.n: 1 → 2" in diff.stdout
    assert diff.exit_code == 0
    assert run(store, "diff", first.ref, second.ref, "--exit-code").exit_code == 1


def test_names_and_pins_are_given_and_taken_back(store: Store, make: Make) -> None:
    entry = make("tree", seed=1)
    assert run(store, "name", "weak", entry.object[:8]).stdout == entry.ref + "\n"
    assert run(store, "name", "weak").stdout == entry.ref + "\n"
    run(store, "pin", "weak")
    run(store, "name", "weak", "--delete")
    assert "0 objects" in run(store, "gc", "--younger-than", "0").stderr
    run(store, "pin", entry.ref, "--delete")
    dry = run(store, "gc", "--younger-than", "0", "--dry-run")
    assert entry.ref in dry.stdout
    assert "would free" in dry.stderr
    assert json_lines(run(store, "gc", "--younger-than", "0s", "--json"))[0]["ref"] == entry.ref
    assert list(store.entries()) == []


def test_a_span_that_is_none_is_a_usage_error(store: Store) -> None:
    assert run(store, "gc", "--younger-than", "soon").exit_code == 2


def test_fsck_exits_12_when_something_is_broken_and_0_after_the_repair(
    store: Store, make: Make
) -> None:
    entry = make("tree", {"a.txt": "abc"})
    assert run(store, "fsck").exit_code == 0
    flip(entry.path / "a.txt")
    broken = run(store, "fsck")
    assert broken.exit_code == 12
    assert "a.txt" in broken.stdout
    assert run(store, "verify", entry.ref).exit_code == 12
    assert run(store, "fsck", "--repair").exit_code == 0
    assert run(store, "fsck", "--json").stdout == ""


def test_push_pull_export_import_and_reindex_work_from_the_command_line(
    store: Store, make: Make, tmp_path: Path
) -> None:
    entry = make("tree", seed=1)
    other = Store(tmp_path / "other")
    remote, archive = str(tmp_path / "remote"), str(tmp_path / "a.tar.gz")
    assert run(store, "push", remote, entry.ref).stdout == entry.ref + "\n"
    pulled = run(other, "pull", remote, entry.ref, "--json")
    assert json_lines(pulled)[0]["ref"] == entry.ref
    assert "pulled 1 objects" in pulled.stderr
    assert run(store, "export", entry.ref, archive).exit_code == 0
    third = Store(tmp_path / "third")
    assert run(third, "import", archive).stdout == entry.ref + "\n"
    assert "1 entries" in run(third, "reindex").stderr
    assert run(third, "verify", entry.ref).exit_code == 0


REAL = [sys.executable, "-m", "tratree_cli.app", "store"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "nothing"], 2, "no artifact"),
        (["ls"], 0, "nothing in"),
        (["import", "rubbish.tar"], 12, "nothing was imported"),
    ],
)
def test_errors_are_one_sentence_with_the_right_exit_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "rubbish.tar").write_bytes(b"rubbish" * 1000)
    path = os.pathsep.join([str(SOURCES), str(SOURCES.parent)])
    found = subprocess.run(
        [*REAL, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "TRATREE_STORE": "here"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == code, found.stderr
    assert words in found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
