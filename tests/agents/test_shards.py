"""Plans, shards, resuming, worker processes: the same bytes however they came about."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.agents.conftest import REPOSITORY
from tests.agents.toy import open_environment
from tratree_cli.agents.policy import PolicyOutageError
from tratree_cli.agents.rollout import RolloutProgress
from tratree_cli.agents.sampling_plan import SamplingPlan, Shard, episode_seed, setting_grid
from tratree_cli.agents.shard_files import ShardFolder
from tratree_cli.agents.shard_player import PolicySource
from tratree_cli.agents.shards import explore, merge
from tratree_cli.envs.registry import open_environment as open_registered
from tratree_cli.errors import InputError, StageError
from tratree_cli.formats.rollouts import Rollouts, write_rollouts

ECHO = PolicySource("echo", "python:tests.agents.toy:echo_agent")
GRID = setting_grid((0.7, 1.0))


def plan(m: int = 2, **changes: Any) -> SamplingPlan:
    tasks = [str(number) for number in range(changes.pop("tasks", 12))]
    return SamplingPlan(tasks, m=m, settings=GRID, block=5, sources=("echo",), **changes)


def run(work: Path, sampling: SamplingPlan | None = None, **options: Any) -> Rollouts:
    spec = options.pop("spec", open_environment().spec)
    sources = options.pop("sources", [ECHO])
    return explore(spec, sources, sampling or plan(), work=work, **options)


def fingerprint(rollouts: Rollouts, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    write_rollouts(rollouts, folder)
    files = sorted(folder.iterdir())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_more_samples_only_add_shards() -> None:
    few, many = plan(2).shards(), plan(4).shards()
    assert set(few) < set(many)
    assert len(many) == 2 * len(few)


def test_samples_take_the_settings_in_turn() -> None:
    assert [shard.setting for shard in plan(4).shards()] == [0, 0, 0, 1, 1, 1] * 2


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"context": {"prompt": "x"}}, {"tasks": 11}], ids=str
)
def test_whatever_changes_an_episode_changes_its_shard(changed: dict[str, Any]) -> None:
    keys = {shard.key for shard in plan(1).shards()}
    other = {shard.key for shard in plan(1, **changed).shards()}
    assert other - keys
    assert bool(other & keys) == ("tasks" in changed)


def test_seeds_differ_by_every_part_and_never_by_position() -> None:
    base = (0, "a", 0, {"temperature": 1.0}, "s")
    others = [
        (1, "a", 0, {"temperature": 1.0}, "s"),
        (0, "b", 0, {"temperature": 1.0}, "s"),
        (0, "a", 1, {"temperature": 1.0}, "s"),
        (0, "a", 0, {"temperature": 0.5}, "s"),
        (0, "a", 0, {"temperature": 1.0}, "t"),
    ]
    seeds = {episode_seed(*parts) for parts in [base, *others]}
    assert len(seeds) == 6
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert episode_seed(*base) == 949188752917763340


def test_nonsense_settings_are_refused() -> None:
    for bad in ({"temperatures": (-1,)}, {"top_ps": (0.0,)}, {"top_ps": (1.5,)}):
        with pytest.raises(InputError):
            setting_grid(**bad)
    with pytest.raises(InputError):
        plan(0)


def test_trajectories_come_by_task_then_source_then_sample(tmp_path: Path) -> None:
    sampling = SamplingPlan(["b", "a"], m=2, sources=("x", "y"), block=1)
    spec = open_environment().spec
    shards = sampling.shards()
    folder = ShardFolder(tmp_path)
    from tests.agents.test_rollout import saying
    from tratree_cli.agents.rollout import play_episodes
    from tratree_cli.agents.shard_files import encode_shard

    class Named(type(open_environment())):  # type: ignore[misc]
        def episode(self, task: str) -> Any:
            return super().episode("1")

    for shard in reversed(shards):
        played = play_episodes(Named(spec), saying("Action: light"), shard.requests)
        folder.write(shard, encode_shard(shard.key, played))
    rollouts = merge(shards, folder, sampling, spec)
    order = [(t.task, t.source, t.sample) for t in rollouts.trajectories]
    assert order == [(t, s, i) for t in ("b", "a") for s in (0, 1) for i in (0, 1)]


def test_places_of_a_larger_shard_are_refilled_in_the_order_of_its_tasks(tmp_path: Path) -> None:
    sampling = SamplingPlan(
        [str(number) for number in range(12)], m=1, block=12, sources=("echo",), at_once=3
    )
    running: list[int] = []
    seen = run(tmp_path / "refilled", sampling, progress=lambda now: running.append(now.running))
    assert max(running) == 3
    whole = replace(sampling, at_once=0)
    assert seen.trajectories == run(tmp_path / "whole", whole).trajectories
    # Another number of places is another shard; as many as there are tasks is no refilling.
    assert sampling.shards()[0].key != whole.shards()[0].key
    assert replace(sampling, at_once=12).shards() == whole.shards()


def test_the_result_is_the_same_on_one_process_two_and_in_parts(tmp_path: Path) -> None:
    alone = fingerprint(run(tmp_path / "a"), tmp_path / "fa")
    both = fingerprint(run(tmp_path / "b", workers=2), tmp_path / "fb")
    for index in (2, 1, 3):
        run(tmp_path / "c", part=(index, 3))
    together = fingerprint(
        run(tmp_path / "c", sources=[PolicySource("echo", "nobody")]), tmp_path / "fc"
    )
    assert alone == both == together


def test_a_part_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no part 4/3"):
        run(tmp_path, part=(4, 3))


def test_growing_m_plays_only_the_difference(tmp_path: Path) -> None:
    run(tmp_path, plan(2))
    reports: list[RolloutProgress] = []
    rollouts = run(tmp_path, plan(3), progress=reports.append)
    assert reports[0].done == 24
    assert reports[-1].done == reports[-1].total == len(rollouts.trajectories) == 36
    assert {t.sample: t.setting for t in rollouts.trajectories} == {0: 0, 1: 1, 2: 0}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_shard_is_played_again(tmp_path: Path, damage: str) -> None:
    reference = fingerprint(run(tmp_path / "w"), tmp_path / "a")
    first, second = sorted((tmp_path / "w").iterdir())[:2]
    data = first.read_bytes()
    middle = len(data) // 2
    changed = {
        "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "cut": data[:middle],
        "empty": b"",
        "other": second.read_bytes(),
    }
    first.write_bytes(changed[damage])
    assert fingerprint(run(tmp_path / "w"), tmp_path / "b") == reference


def test_stopping_keeps_what_is_finished(tmp_path: Path) -> None:
    def interrupt(now: RolloutProgress) -> None:
        if now.done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "w", progress=interrupt)
    assert len(list((tmp_path / "w").iterdir())) == 1
    resumed = fingerprint(run(tmp_path / "w"), tmp_path / "a")
    assert resumed == fingerprint(run(tmp_path / "v"), tmp_path / "b")


def dying_agent(messages: list[dict[str, str]]) -> str:
    raise PolicyOutageError("the server is gone")


def broken_agent(messages: list[dict[str, str]]) -> str:
    raise MemoryError("oh")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_outage_ends_the_run_with_exit_3(tmp_path: Path, workers: int) -> None:
    dying = [PolicySource("echo", f"python:{__name__}:dying_agent")]
    if not __name__.startswith("tests."):
        dying = [PolicySource("echo", "python:tests.agents.test_shards:dying_agent")]
    with pytest.raises(PolicyOutageError) as raised:
        run(tmp_path, sources=dying, workers=workers)
    assert raised.value.exit_code == 3


def test_what_is_no_fault_of_the_policy_is_shown_by_a_worker(tmp_path: Path) -> None:
    broken = [PolicySource("echo", "python:tests.agents.test_shards:broken_agent")]
    with pytest.raises(StageError, match="not enough memory for a worker"):
        run(tmp_path, sources=broken, workers=2)


def test_a_killed_worker_costs_its_shard_one_more_try(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    spec = open_environment(crash=str(marks)).spec
    calm = fingerprint(run(tmp_path / "w", spec=spec), tmp_path / "a")
    (marks / "kill-7").write_text("1")
    rollouts = run(tmp_path / "v", spec=spec, workers=2)
    assert not (marks / "kill-7").exists()
    assert fingerprint(rollouts, tmp_path / "b") == calm


def test_a_shard_that_always_kills_its_worker_ends_the_run(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "kill-7").write_text("99")
    with pytest.raises(StageError, match="died 3 times"):
        run(tmp_path / "w", spec=open_environment(crash=str(marks)).spec, workers=2)


SCRIPT = textwrap.dedent(
    """
    import signal, sys
    from pathlib import Path
    from tests.agents.test_shards import fingerprint, plan, run
    # A shell's background jobs begin with this signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if __name__ == "__main__":
        work, workers, m = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
        print("ready", flush=True)
        rollouts = run(work, plan(m), workers=workers, restarts=2, progress=lambda p: print(p.done))
        print("fingerprint", fingerprint(rollouts, Path(sys.argv[3])))
    """
)


def start(
    script: Path, work: Path, out: Path, workers: int = 1, m: int = 6
) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(work), str(workers), str(out), str(m)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    place = tmp_path / "explore.py"
    place.write_text(SCRIPT)
    return place


def test_ctrl_c_with_workers_leaves_finished_shards_and_no_process(
    tmp_path: Path, script: Path
) -> None:
    # Far more work than can be done before the signal comes.
    process = start(script, tmp_path / "w", tmp_path / "out", workers=2, m=5000)
    wait_for(lambda: len(list((tmp_path / "w").glob("*.zst"))) >= 1, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("KeyboardInterrupt") == 1
    wait_for(lambda: not alive(process.pid), process)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(
    condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)


def test_an_unknown_environment_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'webshop'"):
        open_registered("webshp")


def test_data_that_changed_since_the_spec_are_noticed() -> None:
    from dataclasses import replace

    spec = open_environment().spec
    with pytest.raises(InputError, match="changed"):
        open_registered(replace(spec, data_digest="e" * 64))


def test_shards_are_plain_values() -> None:
    shard = plan(1).shards()[0]
    assert isinstance(shard, Shard)
    assert len(shard.key) == 64


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_at_random_moments_change_nothing(
    tmp_path: Path, script: Path, workers: int
) -> None:
    """SIGKILL the whole process group again and again; then let it finish."""
    reference = fingerprint(run(tmp_path / "v", plan(6)), tmp_path / "reference")
    moments = random.Random(workers)
    work, kills = tmp_path / "w", 0
    while kills < 10:
        process = start(script, work, tmp_path / "out", workers)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.25 if workers == 1 else 1.5))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        finished, _ = process.communicate()
        if "fingerprint" in finished:
            # It was faster than the knife: take something away, so that there is work to kill.
            for path in list(work.glob("*.zst"))[::2]:
                path.unlink()
    finished, errors = start(script, work, tmp_path / "out", workers).communicate(timeout=120)
    assert finished.split("fingerprint ")[1].strip() == reference, errors
    assert not list(work.glob(".*"))
