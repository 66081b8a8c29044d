"""References mean one artifact or are refused with what they could mean; names have a history."""

from __future__ import annotations

import pytest
from tratree_store import AmbiguousReference, Store, StoreError, UnknownReference
from tratree_store.lineage import lineage

from .conftest import Make


def test_every_form_of_reference_finds_its_artifact(store: Store, make: Make) -> None:
    rollouts = make("rollouts", seed=1)
    tree = make("tree", inputs={"rollouts": rollouts.object})
    pairs = make("pairs", inputs={"tree": tree.object})
    store.name("study/seed1/weak", tree)
    for text in (
        tree.ref,
        tree.object,
        tree.object[:4],
        f"tree:{tree.object[:8]}",
        "tree@latest",
        "study/seed1/weak",
        "tree:study/seed1/weak",
        f"{pairs.object[:8]}^tree",
        f"{pairs.object[:8]}^",
    ):
        assert store.resolve(text) == tree, text
    assert store.resolve(f"{pairs.ref}^tree^rollouts") == rollouts
    assert store.resolve(f"{pairs.ref}^tree", kind="tree") == tree


def test_unknown_words_are_refused_with_the_nearest_name(store: Store, make: Make) -> None:
    store.name("weak-sft", make("model"))
    with pytest.raises(UnknownReference, match="'weak-sft'") as caught:
        store.resolve("weak-stf")
    assert caught.value.exit_code == 2
    for text in ("", "model:", "^", "nothing@latest", "@latest", "abcdef12", "tree:weak-sft"):
        with pytest.raises(UnknownReference):
            store.resolve(text)


def test_a_prefix_that_fits_several_lists_them(store: Store, make: Make) -> None:
    seen: dict[str, str] = {}
    for seed in range(400):
        entry = make("tree", seed=seed, into=Store(store.root, durable=False))
        if entry.object[:1] in seen:
            break
        seen[entry.object[:1]] = entry.ref
    prefix = entry.object[:1]
    # Four digits rarely meet by chance; the rule below that length is the same.
    with pytest.raises(AmbiguousReference) as caught:
        store._resolver._prefixed(prefix, prefix, None, None)
    assert set(caught.value.candidates) == {entry.ref, seen[prefix]}


def test_the_wrong_kind_is_said_with_what_is_wanted(store: Store, make: Make) -> None:
    entry = make("tree")
    with pytest.raises(UnknownReference, match="is a tree, but a model is wanted"):
        store.resolve(entry.object[:8], kind="model")


def test_a_role_with_several_inputs_is_ambiguous(store: Store, make: Make) -> None:
    inputs = [make("rollouts", seed=seed).object for seed in (1, 2)]
    tree = make("tree", inputs={"rollouts": inputs})
    with pytest.raises(AmbiguousReference) as caught:
        store.resolve(f"{tree.ref}^rollouts")
    assert list(caught.value.candidates) == inputs
    with pytest.raises(UnknownReference, match="it has: rollouts"):
        store.resolve(f"{tree.ref}^demos")


def test_a_name_moves_and_remembers_where_it_was(store: Store, make: Make) -> None:
    one, two = make("tree", seed=1), make("tree", seed=2)
    store.name("weak", one)
    store.name("weak", two)
    store.name("weak", None)
    assert [naming.ref for naming in store.refs.history("weak")] == [one.ref, two.ref, ""]
    assert store.names() == {}
    with pytest.raises(UnknownReference):
        store.resolve("weak")


@pytest.mark.parametrize(
    "name", ["", "a b", "../x", "/x", "x/", "a@b", "a^b", "a:b", "beef", "-x", ".x", "a//b"]
)
def test_names_that_could_be_mistaken_are_refused(store: Store, make: Make, name: str) -> None:
    with pytest.raises(StoreError):
        store.name(name, make("tree"))


def test_a_name_whose_artifact_is_gone_says_so(store: Store, make: Make) -> None:
    entry = make("tree")
    store.name("weak", entry)
    next(store.records.glob("*/*/*.json")).unlink()
    with pytest.raises(UnknownReference, match="not in the store any more"):
        store.resolve("weak")


def test_lineage_lists_inputs_before_what_was_made_from_them(store: Store, make: Make) -> None:
    demos = make("demos")
    model = make("model", inputs={"demos": demos.object})
    rollouts = make("rollouts", inputs={"policy": model.object, "demos": demos.object})
    graph = store.lineage([rollouts])
    assert [entry.kind for entry in graph.entries.values()] == ["demos", "model", "rollouts"]
    assert len(graph.edges) == 3
    text = graph.mermaid()
    assert text.startswith("flowchart LR")
    assert "@" not in text
    assert graph.dot().startswith("digraph")


def test_lineage_shows_inputs_that_are_not_here(store: Store, make: Make) -> None:
    graph = store.lineage([make("tree", inputs={"rollouts": "a" * 64})])
    assert list(graph.missing.values()) == ["a" * 64]
    assert "not in the store" in graph.mermaid()


def test_lineage_of_a_model_that_was_given_back_unchanged_reaches_its_real_maker(
    store: Store, make: Make
) -> None:
    demos = make("demos")
    model = make("model", {"w": "1"}, inputs={"demos": demos.object})
    same = make("model", {"w": "1"}, stage="train-strong", inputs={"init": model.object})
    assert same.object == model.object
    graph = lineage([same], store.maker)
    assert [entry.stage for entry in graph.entries.values()] == [
        "make-demos", "make-model", "train-strong",
    ]  # fmt: skip
