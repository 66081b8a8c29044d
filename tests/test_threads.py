"""How many threads a command takes."""

from __future__ import annotations

import pytest

from tratree_cli.threads import chosen_threads


@pytest.mark.parametrize(
    ("said", "threads"), [("", 1), ("1", 1), ("4", 4), ("3,2", 3), ("0", 1), ("many", 1)]
)
def test_training_takes_the_threads_that_the_users_environment_names(
    said: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert chosen_threads() == threads
