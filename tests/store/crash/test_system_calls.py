"""What the kernel is asked for: the recorder misses no call, and SQLite's calls may fail too.

``strace`` sees every call, C libraries included, and can make one fail or be interrupted. Where it
is missing, or not allowed, these tests are skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .recording import Recorder
from .scenes import SCENES, Scene, is_tidy

ROOT = Path(__file__).resolve().parents[3]
ACT = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/store"]
from tests.store.crash.scenes import SCENES
from tratree_store import StoreError
try:
    SCENES[sys.argv[2]].act(Path(sys.argv[3]), lambda text: print("said", text, flush=True))
except StoreError as error:
    sys.exit(f"sentence: {error}")
"""
#: Calls that Python's start does not make, so that counting begins with the store; the errors.
INJECTED = {
    "fsync": ("EIO", "EINTR"),
    "fdatasync": ("EIO", "EINTR"),
    "rename": ("EIO", "ENOSPC"),
    "mkdir": ("ENOSPC",),
    "unlink": ("EIO",),
    "pwrite64": ("ENOSPC", "EIO", "EINTR"),
    "ftruncate": ("EIO",),
    "flock": ("EINTR", "ENOLCK"),
}


def traced(folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Act in ``folder`` in a process of its own under ``strace``."""
    return subprocess.run(
        [
            *("strace", "-f", "-qq", "-y", "-s", "300", "-o", str(folder.parent / "trace")),
            *options,
            *(sys.executable, "-B", "-c", ACT, str(ROOT), name, str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture(scope="module")
def _strace() -> None:
    tracer = shutil.which("strace")
    command = [tracer or "strace", "-qq", "-o", os.devnull, "true"]
    if tracer is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed, or may not trace here")


def plain(path: str) -> str:
    """A path without the parts that differ from run to run."""
    return re.sub(r"(-(\d+-)?|\.)[0-9a-f]{12}(?=/|\.part$|$)", "-*", path)


def kernel_calls(trace: str, folder: Path) -> list[str]:
    """Renames, unlinks and flushes below ``folder`` that succeeded, in the recorder's words."""
    found = []
    for line in trace.splitlines():
        if not line.rstrip().endswith("= 0"):
            continue
        call = line.split(" ", 1)[1].strip()
        if call.startswith(("fsync(", "fdatasync(")):
            match = re.search(r"\((\d+)<(.*?)>\)", call)
            paths, kind = [match.group(2)] if match else [], "sync"
        elif call.startswith("rename"):
            paths, kind = re.findall(r'"(.*?)"', call)[1:], "rename"
        elif call.startswith(("unlink", "rmdir")):
            name = re.findall(r'"(.*?)"', call)[0]
            base = re.search(r"\(\d+<(.*?)>", call)
            paths, kind = [f"{base.group(1)}/{name}" if base else name], "unlink"
        else:
            continue
        inside = [p[len(str(folder)) + 1 :] or "." for p in paths if str(folder) in p]
        found += [f"{kind} {plain(path)}" for path in inside]
    return [call for call in found if of_the_store(call)]


def of_the_store(call: str) -> bool:
    """Whether the store itself makes the call: SQLite flushes its files and their folder."""
    return "index.db" not in call and "/locks/" not in call and call != "sync store"


@pytest.mark.slow
@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize("name", ["first publication", "names", "gc", "repair", "import", "export"])
def test_the_recorder_sees_what_the_kernel_sees(name: str, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    SCENES[name].prepare(prepared)
    for copy in ("here", "traced"):
        shutil.copytree(prepared, tmp_path / copy)
    recorder = Recorder(tmp_path / "here")
    with recorder.recording():
        SCENES[name].act(tmp_path / "here", recorder.say)
    done = traced(
        tmp_path / "traced",
        name,
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir",
    )
    assert done.returncode == 0, done.stderr
    seen = kernel_calls((tmp_path / "trace").read_text(), tmp_path / "traced")
    recorded = [call for call in map(plain, recorder.calls()) if of_the_store(call)]
    assert len(seen) >= 3
    # The order in which the files of a folder are removed is the file system's.
    assert Counter(recorded) == Counter(seen)
    orders = [[call for call in calls if "unlink" not in call] for calls in (recorded, seen)]
    assert orders[0] == orders[1]


@pytest.mark.slow
@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize("name", ["publication", "names", "gc", "pull"])
def test_a_system_call_may_fail_or_be_interrupted(name: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    scene.prepare(prepared)
    problems, count = [], 0
    for call, errors in INJECTED.items():
        for turn, error in enumerate(errors):
            number = 1 + turn
            while True:
                here = tmp_path / "here"
                shutil.copytree(prepared, here)
                option = f"inject={call}:error={error}:when={number}"
                done = traced(here, name, "-e", f"trace={call}", "-e", option)
                happened = "(INJECTED)" in (tmp_path / "trace").read_text()
                found = list(outcome(scene, here, done)) if happened else []
                problems += [f"{option}: {text}" for text in found]
                shutil.rmtree(here)
                if not happened:
                    break
                count += 1
                number += 8  # each eighth: a process costs a third of a second
    print(f"{name}: {count} system calls failed")  # noqa: T201 - the numbers in docs/testing.md
    assert count > 8
    assert not problems, "\n".join(problems[:12])


def outcome(scene: Scene, folder: Path, done: subprocess.CompletedProcess[str]) -> list[str]:
    """What is wrong after a call failed: no sentence, an unsound store, no recovery."""

    problems = []
    if done.returncode and not done.stderr.startswith("sentence: "):
        problems.append(f"no sentence: {done.stderr[-300:]}")
    said = frozenset(line.removeprefix("said ") for line in done.stdout.splitlines())
    problems += scene.look(folder, said)
    scene.act(folder, lambda _: None)
    problems += [f"next run: {text}" for text in scene.look(folder, scene.everything)]
    return problems + [f"next run: {text}" for text in is_tidy(folder)]
