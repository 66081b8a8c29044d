"""The Slurm script's logic, with local processes in place of a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.agents.conftest import REPOSITORY
from tests.agents.test_shards import fingerprint, plan, run
from tratree_cli.errors import InputError

SCRIPT = REPOSITORY / "templates" / "cluster" / "explore.slurm"

STAND_IN = textwrap.dedent(
    """\
    #!{python}
    # Stands in for the command line: the arguments of the script, the library's own exploration.
    import sys
    from pathlib import Path
    from tests.agents.test_shards import fingerprint, plan, run
    if __name__ == "__main__":
        words = sys.argv[1:]
        assert words[:4] == ["explore", "--no-stdin", "-m", "3"], words
        part = None
        if "--shard" in words:
            index, count = words[words.index("--shard") + 1].split("/")
            part = int(index), int(count)
        found = run(Path({work!r}), plan(3), part=part)
        if part is None:
            print(fingerprint(found, Path({work!r}) / "merged"))
    """
)


def job(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        **variables,
    }
    return subprocess.run(
        ["bash", str(SCRIPT), "-m", "3"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_array_of_jobs_and_a_merge_give_the_bytes_of_one_run(tmp_path: Path) -> None:
    command = tmp_path / "tratree"
    command.write_text(STAND_IN.format(python=sys.executable, work=str(tmp_path / "work")))
    command.chmod(0o755)
    for index in (2, 1):
        done = job(tmp_path, SLURM_ARRAY_TASK_ID=str(index), SLURM_ARRAY_TASK_COUNT="2")
        assert done.returncode == 0, done.stderr
    shards = len(list((tmp_path / "work").glob("*.zst")))
    assert shards == len(plan(3).shards())
    merged = job(tmp_path, TRATREE_MERGE="1")
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.strip() == fingerprint(run(tmp_path / "b", plan(3)), tmp_path / "fb")


def test_the_script_refuses_to_run_outside_an_array(tmp_path: Path) -> None:
    done = job(tmp_path, SLURM_ARRAY_TASK_ID="", SLURM_ARRAY_TASK_COUNT="")
    assert done.returncode != 0
    assert "sbatch --array" in done.stderr


def test_parts_cover_the_plan_without_overlap() -> None:
    for count in (1, 2, 5, 50):
        parts = [shard.key for index in range(count) for shard in plan(3).part(index + 1, count)]
        assert sorted(parts) == sorted(shard.key for shard in plan(3).shards())
    with pytest.raises(InputError):
        plan(3).part(0, 2)
