"""Killed, full, removed: whatever happens at whatever step, nothing false is ever readable."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tratree_store import Recipe, Store, StoreError
from tratree_store.faults import PUBLISH_POINTS, VARIABLE
from tratree_store.fsck import check
from tratree_store.gc import collect

from .conftest import Make, flip

Script = Callable[..., "subprocess.Popen[str]"]

PUBLISH = """
    import sys
    from pathlib import Path
    from tratree_store import Recipe, Store
    recipe = Recipe("sft", 1, "model", {"seed": 1})
    with Store(Path(sys.argv[1])).build(recipe) as build:
        if build.entry is None:
            (build.path / "a").mkdir()
            (build.path / "a" / "weights").write_text("w" * 100000)
            (build.path / "config.json").write_text("{}")
            build.publish({"loss": 1.0})
    print(build.entry.object)
"""
RECIPE = Recipe("sft", 1, "model", {"seed": 1})


@pytest.mark.parametrize("point", PUBLISH_POINTS)
def test_a_kill_at_any_step_leaves_a_clean_store_and_the_next_run_recovers(
    store: Store, script: Script, make: Make, point: str
) -> None:
    before = make("tree", seed=0)
    killed = script(PUBLISH, store.root, **{VARIABLE: point})
    killed.communicate()
    assert killed.returncode == -9, f"the fault point {point} was not reached"

    report = check(store)
    assert report.clean, report.findings
    found = store.find(RECIPE)
    if found is not None:
        assert store.verify(found) == [], "what can be found is whole"
    listed = {entry.recipe for entry in store.entries()}
    assert (RECIPE.digest in listed) == (found is not None), "listing and finding agree"

    with store.build(RECIPE, wait=5) as build:  # the dead process's lock does not block
        assert build.entry == found
        if build.entry is None:
            (build.path / "a").mkdir()
            (build.path / "a" / "weights").write_text("w" * 100000)
            (build.path / "config.json").write_text("{}")
            build.publish()
    assert build.entry is not None
    assert store.verify(build.entry) == []
    assert check(store).clean
    assert list(store.tmp.iterdir()) == [], "what the dead process left is gone"
    assert store.resolve(before.object[:8]) == before


def test_the_run_after_a_kill_gives_the_same_object_as_an_undisturbed_one(
    tmp_path: Path, script: Script
) -> None:
    undisturbed = script(PUBLISH, tmp_path / "one").communicate()[0]
    script(PUBLISH, tmp_path / "two", **{VARIABLE: "object.renamed"}).communicate()
    assert script(PUBLISH, tmp_path / "two").communicate()[0] == undisturbed != ""


@pytest.mark.parametrize("point", ["gc.buried", "gc.unlisted", "gc.moved"])
def test_a_kill_during_collection_loses_nothing_that_is_needed(
    store: Store, make: Make, script: Script, point: str
) -> None:
    kept = make("tree", seed=0)
    store.name("kept", kept)
    make("tree", seed=1)
    code = (
        "import sys\nfrom pathlib import Path\nfrom tratree_store import Store\n"
        "from tratree_store.gc import collect\ncollect(Store(Path(sys.argv[1])), younger_than=0)"
    )
    killed = script(code, store.root, **{VARIABLE: point})
    killed.communicate()
    assert killed.returncode == -9
    assert check(store).clean, check(store).findings
    assert store.verify(kept) == []
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) is None
    collect(store, younger_than=0)
    assert [path.name for path in store.objects.glob("*/*")] == [kept.object[2:]]
    assert list(store.tmp.iterdir()) == []


@pytest.mark.parametrize("point", [p for p in PUBLISH_POINTS if not p.startswith("build.")])
def test_a_full_disk_at_any_step_is_one_sentence_and_a_clean_store(
    store: Store, monkeypatch: pytest.MonkeyPatch, make: Make, point: str
) -> None:
    make("tree", seed=0)
    monkeypatch.setenv(VARIABLE, f"{point}=ENOSPC")
    with pytest.raises(StoreError, match="no space left"), store.build(RECIPE) as build:
        (build.path / "a").write_text("x")
        build.publish()
    monkeypatch.delenv(VARIABLE)
    assert check(store).clean, check(store).findings
    make("model", {"a": "x"}, stage="sft", seed=1)
    assert store.find(RECIPE) is not None
    assert check(store).clean


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs privileges that are not here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_really_full_file_system_fails_in_one_sentence_and_recovers(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    with store.build(Recipe("sft", 1, "model", {"n": 0})) as build:
        (build.path / "a").write_text("small")
        build.publish()
    with pytest.raises((StoreError, OSError)), store.build(RECIPE) as build:
        for number in range(40):
            (build.path / f"{number}").write_bytes(b"x" * 25_000)
        build.publish()
    store.leases.release()
    assert check(store).clean, check(store).findings
    with store.build(RECIPE) as build:
        (build.path / "a").write_text("fits")
        entry = build.publish()
    assert store.verify(entry) == []


def test_a_file_size_limit_fails_in_one_sentence_and_a_clean_store(
    store: Store, make: Make, script: Script
) -> None:
    make("tree", seed=0)
    code = """
        import resource, signal, sys
        from pathlib import Path
        from tratree_store import Recipe, Store, StoreError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Store(Path(sys.argv[1])).build(Recipe("sft", 1, "model", {"seed": 1})) as build:
            (build.path / "a").write_text("x")
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
            try:
                build.publish()
            except StoreError as error:
                print(error)
    """
    said, trouble = script(code, store.root).communicate()
    assert "ulimit -f" in said, trouble
    assert check(store).clean
    assert store.find(RECIPE) is None


def test_a_store_removed_under_a_running_stage_is_one_sentence(store: Store) -> None:
    with pytest.raises(StoreError, match="run again"), store.build(RECIPE) as build:
        (build.path / "a").write_text("x")
        shutil.rmtree(store.root)
        build.publish()
    with store.build(RECIPE) as build:
        (build.path / "a").write_text("x")
        build.publish()
    assert check(store).clean


def test_every_flipped_byte_in_the_store_is_found(store: Store, make: Make) -> None:
    parent = make("rollouts", {"r.jsonl": "line"}, seed=0)
    entry = make("tree", {"a.txt": "abc"}, inputs={"rollouts": parent.object}, seed=1)
    store.name("weak", entry)
    make("tree", {"a.txt": "old"}, seed=2)
    make("pairs", inputs={"tree": entry.object})
    places = [
        path
        for folder in ("objects", "entries", "refs")
        for path in sorted((store.root / folder).rglob("*"))
        if path.is_file()
    ]
    assert len(places) >= 4 * 3 + 1
    missed = []
    for path in places:
        whole = path.read_bytes()
        for offset in range(0, len(whole), max(1, len(whole) // 12)):
            flip(path, offset)
            if check(store).clean:
                missed.append((path, offset))
            path.write_bytes(whole)
    assert missed == []
    assert check(store).clean
