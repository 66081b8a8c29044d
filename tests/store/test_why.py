"""Every miss has a reason, found when it happens, kept, and followed through the inputs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tratree_store import Recipe, Store
from tratree_store.fsck import check, repair
from tratree_store.gc import collect
from tratree_store.why import Reason

from .conftest import Make, flip


def lines(store: Store, recipe: Recipe) -> str:
    return "\n".join(store.reasons(recipe).lines())


def test_the_first_time_is_called_that(store: Store, make: Make) -> None:
    assert make("tree", seed=1).reason["kind"] == "first"


def test_a_cached_recipe_is_called_cached(store: Store, make: Make) -> None:
    make("tree", seed=1)
    assert store.reasons(Recipe("make-tree", 1, "tree", {"seed": 1})).kind == "cached"


def test_changed_parameters_version_and_templates_are_named_with_both_sides(
    store: Store, make: Make
) -> None:
    make("tree", seed=1, xi=0.9, templates={"chat": "a" * 64})
    recipe = Recipe("make-tree", 2, "tree", {"seed": 1, "xi": 0.8}, {}, {"chat": "b" * 64})
    text = lines(store, recipe)
    assert "parameter xi changed: 0.9 → 0.8" in text
    assert "stage version changed: 1 → 2" in text
    assert "template chat changed: aaaaaaaaaaaa → bbbbbbbbbbbb" in text
    assert "seed" not in text


def test_a_changed_input_is_explained_down_to_the_field_that_began_it(
    store: Store, make: Make
) -> None:
    def chain(seed: int) -> Recipe:
        rollouts = make("rollouts", {"r": f"seed {seed}"}, seed=seed)
        tree = make("tree", {"t": f"tree {seed}"}, inputs={"rollouts": rollouts.object}, xi=0.9)
        return Recipe("make-pairs", 1, "pairs", {}, {"tree": tree.object})

    with store.build(chain(0)) as build:
        (build.path / "p").write_text("p")
        build.publish()
    reason = store.reasons(chain(1))
    assert reason.kind == "changed"
    (tree,) = reason.because
    (rollouts,) = tree.because
    (seed,) = rollouts.because
    assert tree.text.startswith("input tree changed")
    assert rollouts.text.startswith("input rollouts changed")
    assert seed.text == "parameter seed changed: 0 → 1"


def test_the_nearest_earlier_recipe_is_compared_and_not_merely_the_last(
    store: Store, make: Make
) -> None:
    near = make("tree", a=1, b=2, c=3)
    make("tree", a=9, b=9, c=9)
    reason = store.reasons(Recipe("make-tree", 1, "tree", {"a": 1, "b": 2, "c": 4}))
    assert reason.nearest == near.ref
    assert [inner.text for inner in reason.because] == ["parameter c changed: 3 → 4"]


def test_a_stage_that_gave_other_bytes_for_the_same_recipe_is_called_so(
    store: Store, make: Make
) -> None:
    one = make("model", {"w": "1"}, provenance={"threads": 1})
    make("tree", inputs={"model": one.object})
    two = make("model", {"w": "2"}, provenance={"threads": 2}, force=True)
    text = lines(store, Recipe("make-tree", 1, "tree", {}, {"model": two.object}))
    assert "the same recipe gave other bytes" in text
    assert "threads changed: 1 → 2" in text


def test_a_collected_entry_is_called_collected(store: Store, make: Make) -> None:
    make("tree", seed=1)
    collect(store, younger_than=0)
    assert store.reasons(Recipe("make-tree", 1, "tree", {"seed": 1})).kind == "collected"
    other = store.reasons(Recipe("make-tree", 1, "tree", {"seed": 2}))
    assert other.because[0].text == "parameter seed changed: 1 → 2", "the gone still explain"


def test_a_broken_entry_is_called_broken_before_and_after_repair(store: Store, make: Make) -> None:
    recipe = Recipe("make-tree", 1, "tree", {"seed": 1})
    flip(make("tree", seed=1).path / "data.txt")
    assert store.reasons(recipe).kind == "broken"
    repair(store, check(store))
    assert store.reasons(recipe).kind == "broken"


def test_the_reason_is_kept_with_the_artifact_and_survives_a_reindex(
    store: Store, make: Make
) -> None:
    make("tree", seed=1)
    entry = make("tree", seed=2)
    store.index.path.unlink()
    store.reindex()
    kept = Reason.from_json(store.resolve(entry.ref).reason)
    assert [inner.text for inner in kept.because] == ["parameter seed changed: 1 → 2"]


def test_an_input_with_more_members_is_counted(store: Store, make: Make) -> None:
    one, two = make("rollouts", seed=1), make("rollouts", seed=2)
    make("tree", inputs={"rollouts": [one.object]})
    recipe = Recipe("make-tree", 1, "tree", {}, {"rollouts": [one.object, two.object]})
    assert "input rollouts changed: 1 → 2 artifacts" in lines(store, recipe)


def test_an_explanation_that_fails_never_stops_the_work(tmp_path: Path, make: Make) -> None:
    broken = Store(tmp_path / "other")
    make("tree", seed=1, into=broken)
    with sqlite3.connect(broken.index.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert broken.reasons(Recipe("make-tree", 1, "tree", {"seed": 2})).kind == "unknown"
