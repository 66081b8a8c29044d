"""Publishing and finding: what goes in comes out, verified, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tratree_store import Entry, Recipe, Store, StoreError
from tratree_store.objects import check_path

from .conftest import Make, flip


def test_reading_a_missing_store_is_empty_and_creates_nothing(store: Store) -> None:
    assert store.find(Recipe("sft", 1, "model", {})) is None
    assert list(store.entries()) == []
    assert store.names() == {}
    assert store.reasons(Recipe("sft", 1, "model", {})).kind == "first"
    assert not store.root.exists()


def test_a_published_artifact_is_found_with_everything_that_was_recorded(
    store: Store, make: Make
) -> None:
    made = make("tree", {"a.txt": "x", "sub/b.txt": "y"}, summary={"nodes": 2}, seed=1)
    found = store.find(Recipe("make-tree", 1, "tree", {"seed": 1}))
    assert found == made
    assert found.ref == f"tree:{made.object}"
    assert found.summary == {"nodes": 2}
    assert (found.path / "sub" / "b.txt").read_text() == "y"
    assert found.size == 2
    assert [entry.ref for entry in store.entries()] == [made.ref]


def test_the_object_digest_can_be_recomputed_with_sha256sum(make: Make) -> None:
    entry = make("tree", {"a.txt": "hello", "b/c.txt": "world"})
    manifest = entry.path.parent / "manifest.json"
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == entry.object
    for row in json.loads(manifest.read_bytes())["files"]:
        data = (entry.path / row["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (row["sha256"], row["size"])


def test_equal_bytes_from_different_recipes_are_one_object_with_two_entries(
    store: Store, make: Make
) -> None:
    one = make("tree", {"a": "same"}, seed=1)
    two = make("tree", {"a": "same"}, seed=2)
    assert one.object == two.object
    assert one.recipe != two.recipe
    assert len(list(store.objects.glob("*/*"))) == 1
    assert store.resolve(one.object[:8]).recipe == two.recipe, "the newest entry answers"


def test_a_forced_second_run_keeps_both_results_and_the_newest_counts(
    store: Store, make: Make
) -> None:
    make("tree", {"a": "first"}, seed=1)
    second = make("tree", {"a": "second"}, seed=1, force=True)
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) == second
    assert len(list(store.entries())) == 2
    assert second.reason["kind"] == "forced"


def test_a_recipe_may_adopt_an_object_that_exists(store: Store, make: Make) -> None:
    model = make("model", {"weights": "w"})
    recipe = Recipe("train-strong", 1, "model", {}, {"init": model.object})
    with store.build(recipe) as build:
        build.adopt(model)
    assert build.entry is not None
    assert build.entry.object == model.object
    assert store.find(recipe) == build.entry
    assert store.resolve(f"{build.entry.object}^init").recipe == model.recipe


def test_a_failed_stage_leaves_no_trace(store: Store) -> None:
    recipe = Recipe("sft", 1, "model", {})
    with pytest.raises(ZeroDivisionError), store.build(recipe) as build:
        (build.path / "half").write_text("half")
        _ = 1 / 0
    assert store.find(recipe) is None
    assert list(store.tmp.iterdir()) == []
    assert list(store.locks.glob("[0-9a-f]*.lock")) == []


def test_links_are_refused_and_nothing_is_published(store: Store, tmp_path: Path) -> None:
    recipe = Recipe("sft", 1, "model", {})
    with pytest.raises(StoreError, match="not a plain file"), store.build(recipe) as build:
        (build.path / "link").symlink_to(tmp_path / "elsewhere")
        build.publish()
    assert store.find(recipe) is None


def test_an_artifact_without_files_is_refused(store: Store) -> None:
    with (
        pytest.raises(StoreError, match="no file"),
        store.build(Recipe("sft", 1, "model", {})) as build,
    ):
        (build.path / "empty").mkdir()
        build.publish()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a//b", "a\\b", "", ".", "a\nb", "C:x"])
def test_names_that_could_leave_the_folder_are_refused(path: str) -> None:
    with pytest.raises(StoreError):
        check_path(path)


def test_published_files_cannot_be_changed_by_accident(make: Make) -> None:
    entry = make("tree", {"a": "x"})
    assert stat.S_IMODE((entry.path / "a").stat().st_mode) == 0o444


def test_a_nan_in_a_summary_does_not_cost_the_artifact(make: Make) -> None:
    assert make("tree", summary={"mean": float("nan")}).summary == {"mean": None}


def test_a_broken_entry_is_a_warning_and_a_miss_and_is_made_again(
    store: Store, make: Make, warnings_seen: list[str]
) -> None:
    entry = make("tree", {"a": "content"}, seed=1)
    flip(entry.path / "a")
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) is None
    assert "other bytes" in warnings_seen[-1]
    again = make("tree", {"a": "content"}, seed=1)
    assert again.object == entry.object
    assert again.reason["kind"] == "broken"
    assert (again.path / "a").read_text() == "content"
    assert store.verify(again) == []
    assert list(store.quarantine.iterdir()), "the broken bytes are kept aside"


@pytest.mark.parametrize("what", ["record", "manifest", "missing file", "missing object"])
def test_any_damage_to_an_entry_is_a_miss_and_never_a_crash(
    store: Store, make: Make, what: str
) -> None:
    entry = make("tree", {"a": "content"}, seed=1)
    if what == "record":
        flip(next(store.records.glob("*/*/*.json")), 100)
    elif what == "manifest":
        flip(entry.path.parent / "manifest.json", 20)
    elif what == "missing file":
        (entry.path / "a").unlink()
    else:
        entry.path.parent.rename(store.root / "away")
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) is None
    again = make("tree", {"a": "content"}, seed=1)
    assert store.verify(again) == []


def test_large_files_are_compared_by_size_when_found_and_hashed_on_demand(
    store: Store, make: Make
) -> None:
    entry = make("model", {"weights": "w" * (2 << 20)})
    flip(entry.path / "weights", 1000)
    assert store.find(Recipe("make-model", 1, "model", {})) == entry
    assert "other bytes" in store.verify(entry)[0]
    (entry.path / "weights").write_text("short")
    assert store.find(Recipe("make-model", 1, "model", {})) is None


def test_a_partial_folder_is_shared_by_equal_keys_and_survives(store: Store) -> None:
    folder = store.partial({"stage": "explore", "seed": 1})
    (folder / "episode-0").write_text("done")
    again = Store(store.root).partial({"seed": 1, "stage": "explore"})
    assert again == folder
    assert (again / "episode-0").read_text() == "done"
    assert store.partial({"stage": "explore", "seed": 2}) != folder


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere; become somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_store_can_be_read_and_says_so_when_written(make: Make) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        writer = Store(Path(folder) / "store")
        entry = make("tree", seed=1, into=writer)
        for inner, _, _ in os.walk(writer.root):
            Path(inner).chmod(0o555)
        with as_nobody():
            reader = Store(writer.root)
            assert reader.resolve("tree@latest") == entry
            assert reader.find(Recipe("make-tree", 1, "tree", {"seed": 1})) == entry
            recipe = Recipe("sft", 1, "model", {})
            with pytest.raises(StoreError, match="permission"), reader.build(recipe):
                pass
        for inner, _, _ in os.walk(writer.root):
            Path(inner).chmod(0o755)


def test_an_entry_that_somebody_has_something_against_is_a_miss_with_that_reason(
    store: Store, make: Make
) -> None:
    entry = make(provenance={"code": "old"}, seed=1)
    recipe = Recipe.from_document(entry.document)

    def accept(found: Entry) -> str:
        return "" if found.provenance["code"] == "new" else "made by old code"

    assert store.find(recipe) is not None
    assert store.find(recipe, accept) is None
    assert store.reasons(recipe, accept=accept).kind == "refused"
    with store.build(recipe, accept=accept) as build:
        assert (build.entry, build.reason.text) == (None, "made by old code")
        (build.path / "data.txt").write_text("other bytes")
        made = build.publish(provenance={"code": "new"})
    assert store.find(recipe, accept) == made
    # Both results stay; the other one is there for whoever has nothing against it.
    assert {found.object for found in store.records_of(recipe.digest)} == {
        entry.object,
        made.object,
    }
    with store.build(recipe, accept=accept) as build:
        assert build.entry == made
