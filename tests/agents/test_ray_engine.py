"""Shards on a real local Ray cluster: the same bytes, also when a worker is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.conftest import REPOSITORY
from tests.agents.test_shards import fingerprint, plan, run
from tests.agents.toy import open_environment
from tratree_cli.agents.policy import PolicyOutageError
from tratree_cli.agents.shard_player import PolicySource
from tratree_cli.errors import InputError


def test_without_ray_a_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"tratree\[ray\]"):
        run(tmp_path, engine="ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="pip install 'tratree[ray]'")
    paths = {"PYTHONPATH": str(REPOSITORY)}
    # Ray gives its own processes thirty seconds to start, which a busy machine may not keep.
    for attempt in range(4):
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                log_to_driver=False,
                runtime_env={"env_vars": paths},
            )
            break
        except Exception as error:
            ray.shutdown()
            if attempt == 3 or "timed out during startup" not in str(error):
                raise
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_two_ray_workers_give_the_bytes_of_one_process(cluster: Any, tmp_path: Path) -> None:
    alone = fingerprint(run(tmp_path / "a"), tmp_path / "fa")
    spread = run(tmp_path / "b", engine="ray", workers=2)
    assert fingerprint(spread, tmp_path / "fb") == alone


@pytest.mark.slow
def test_a_killed_ray_worker_is_survived(cluster: Any, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    spec = open_environment(crash=str(marks)).spec
    alone = fingerprint(run(tmp_path / "a", plan(4), spec=spec), tmp_path / "fa")
    for task in (3, 8):
        (marks / f"kill-{task}").write_text("1")
    spread = run(tmp_path / "b", plan(4), spec=spec, engine="ray", workers=2)
    assert not list(marks.iterdir())
    assert fingerprint(spread, tmp_path / "fb") == alone


@pytest.mark.slow
def test_an_outage_on_ray_is_the_same_error(cluster: Any, tmp_path: Path) -> None:
    dying = [PolicySource("echo", "python:tests.agents.test_shards:dying_agent")]
    with pytest.raises(PolicyOutageError):
        run(tmp_path, sources=dying, engine="ray", workers=2)
