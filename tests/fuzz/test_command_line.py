"""Whatever is typed, a command ends with a documented exit code and no traceback.

Every stage gets ``--frozen``, so nothing is trained here; what waits for a person, downloads or
plays episodes (``env play``, ``fetch``, ``check``) is left out. The store and files that the words
may mean exist.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tratree_store import Recipe, Store

from tests.command_line import invoke
from tratree_cli.app import COMMANDS, app, load

CASES = int(os.environ.get("TRATREE_FUZZ_COMMANDS", "2000"))
DOCUMENTED = {0, 1, 2, 3, 4, 11, 12, 130}
LEFT_OUT = {("env", "play"), ("env", "fetch"), ("env", "check")}
STORE = "a-store"
# A word that is not UTF-8 is refused before any command sees it (``tests/e2e/test_streams.py``).
WORDS = (
    "", "x", "-", "--", "--help", "tree:0000", "tree@latest", "weak", "weak^rollouts", "weak^",
    "^", "@latest", "0", "-1", "1e999", "99999999999999999999", "nan", "..", "/", "/dev/null",
    "a.jsonl", "a.tar", "missing.toml", "my.toml", "sft.epochs=2", "sft.epochs=x", "=", "a.b.c=[",
    "webshop", "alfworld", "quick", "micro", "test", "dev", "train", "python:x:y", "python:..:x",
    "é\u2028", "[bold]", "%s{}", "a" * 300, "true", "1,2", "0:3", "--store", STORE,
    "--json", "7d", "remote", "file://remote", "memory://x", "tree-dpo", "all",
)  # fmt: skip


def commands() -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every command as its words, with the options it knows."""
    found = []
    for name in COMMANDS:
        command = load(name)
        below = getattr(command, "commands", None)
        for words, each in [((name, sub), c) for sub, c in below.items()] if below else [
            ((name,), command)
        ]:  # fmt: skip
            options = tuple(o for p in each.params for o in p.opts if o.startswith("-"))
            if words not in LEFT_OUT:
                found.append((words, options))
    return found


@pytest.fixture
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRATREE_STORE", STORE)
    monkeypatch.setenv("COLUMNS", "80")
    store = Store(tmp_path / STORE, durable=False)
    with store.build(Recipe("build-tree", 1, "tree", {"seed": 1}, {"rollouts": "a" * 64})) as build:
        (build.path / "tree.json").write_text("{}")
        store.name("weak", build.publish({"nodes": 3}))
    store.leases.release()
    (tmp_path / "my.toml").write_text('recipe = "micro"\n')
    (tmp_path / "a.jsonl").write_text('{"messages": []}\n')
    (tmp_path / "a.tar").write_bytes(b"no archive" * 100)


def _fuzz(cases: int) -> None:
    known = commands()
    assert len(known) > 25

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize="TRATREE_FUZZ_COMMANDS" not in os.environ,  # `make fuzz` draws anew
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.integers(0, len(known) - 1),
        st.lists(st.tuples(st.integers(0, 80), st.sampled_from(WORDS)), max_size=5),
        st.sampled_from(["", "tree:0000\n", "weak\n", "\0\xff\n", "x" * 5000]),
    )
    def no_traceback(number: int, typed: list[tuple[int, str]], stdin: str) -> None:
        words, options = known[number]
        # First of all, where no option in front of it takes it for its value.
        line = [*words, "--frozen"] if "--frozen" in options else [*words]
        for choice, word in typed:
            # One word in three follows an option of this command.
            line += [options[choice], word] if choice < len(options) and choice % 3 == 0 else [word]
        result = invoke(app, line, input=stdin)
        unexpected = result.exception
        if unexpected is not None and not isinstance(unexpected, SystemExit):
            raise AssertionError(f"{line} raised {unexpected!r}") from unexpected
        assert result.exit_code in DOCUMENTED, (line, result.output)
        assert "Traceback" not in result.output, line

    no_traceback()


@pytest.mark.usefixtures("_place")
def test_some_command_lines_end_with_a_documented_exit_code() -> None:
    _fuzz(40)


@pytest.mark.slow
@pytest.mark.usefixtures("_place")
def test_many_command_lines_end_with_a_documented_exit_code() -> None:
    _fuzz(CASES)
