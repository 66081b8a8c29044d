"""The reproduction check runs a recipe again elsewhere and compares the bytes."""

from __future__ import annotations

import itertools

import pytest
from tratree_store import Entry, Recipe, Store, StoreError
from tratree_store.differences import compare
from tratree_store.recompute import recompute

from .conftest import Make


def rerun(entry: Entry, scratch: Store) -> Entry:
    """A deterministic stage: counts the letters of its input."""
    recipe = Recipe.from_document(entry.document)
    text = (scratch.resolve(entry.inputs["demos"][0]).path / "data.txt").read_text()
    with scratch.build(recipe) as build:
        assert build.entry is None, "a scratch store must not answer from the cache"
        (build.path / "count.txt").write_text(str(len(text)))
        (build.path / "same.txt").write_text("same")
        build.publish()
    assert build.entry is not None
    return build.entry


def counted(make: Make, text: str) -> Entry:
    demos = make("demos", {"data.txt": text})
    files = {"count.txt": str(len(text)), "same.txt": "same"}
    return make("tree", files, inputs={"demos": demos.object})


def test_a_deterministic_stage_is_confirmed_and_the_store_is_unchanged(
    store: Store, make: Make
) -> None:
    entry = counted(make, "four")
    before = sorted(path for path in store.objects.rglob("*"))
    assert recompute(store, entry, rerun) is None
    assert sorted(path for path in store.objects.rglob("*")) == before
    assert list(store.tmp.iterdir()) == []
    assert len(list(store.entries())) == 2


def test_the_first_differing_file_is_named(store: Store, make: Make) -> None:
    demos = make("demos", {"data.txt": "four"})
    files = {"count.txt": "5", "same.txt": "same"}
    entry = make("tree", files, inputs={"demos": demos.object})
    found = recompute(store, entry, rerun)
    assert found is not None
    assert "count.txt is the first of 1 files that differ" in found


def test_a_rerun_with_another_recipe_is_an_error_and_not_a_verdict(
    store: Store, make: Make
) -> None:
    entry = counted(make, "four")
    numbers = itertools.count()

    def other(entry: Entry, scratch: Store) -> Entry:
        with scratch.build(Recipe("make-tree", 9, "tree", {"n": next(numbers)})) as build:
            (build.path / "x").write_text("x")
            return build.publish()

    with pytest.raises(StoreError, match="has changed since"):
        recompute(store, entry, other)


def test_two_artifacts_are_compared_by_recipe_summary_files_and_json_leaves(
    store: Store, make: Make
) -> None:
    one = make("evaluation", {"metrics.json": '{"reward": 41.2, "n": 5}'}, seed=1, summary={"r": 1})
    two = make("evaluation", {"metrics.json": '{"reward": 44.0, "n": 5}'}, seed=2, summary={"r": 2})
    found = compare(store.objects, one, two)
    assert [str(change) for change in found.recipe] == ["params.seed: 1 → 2"]
    assert [str(change) for change in found.summary] == ["r: 1 → 2"]
    assert [str(change) for change in found.contents] == ["metrics.json.reward: 41.2 → 44.0"]
    assert [change.field for change in found.files] == ["metrics.json"]
    assert not found.same_content
