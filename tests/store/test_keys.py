"""Keys: equal recipes give equal digests everywhere, and doubtful values are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tratree_store import KeyValueError, Recipe, canonical_json
from tratree_store.keys import recorded

HEX = "0123456789abcdef" * 4

keys = st.text("abcé", max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_canonical_json_reads_back_equal_and_is_a_fixed_point(value: Any) -> None:
    data = canonical_json(value, paths=True)
    assert canonical_json(json.loads(data), paths=True) == data


def test_canonical_json_is_what_the_documentation_says_byte_for_byte() -> None:
    value = {"b": [1, 1.0, -0.0, True, None], "a": "é", "B": {"y": 1e-7, "x": "1"}}
    expected = '{"B":{"x":"1","y":1e-07},"a":"é","b":[1,1.0,0.0,true,null]}'
    assert canonical_json(value) == expected.encode()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        ({1, 2}, "sorted list"),
        ({1: "a"}, "keys must be strings"),
        (b"x", "bytes"),
        (Path("a"), "Path"),
        (2**64, "64 bits"),
        ("\ud800", "surrogate"),
        ("/data/models/x", "absolute path"),
        ("~/models", "absolute path"),
        ("C:\\models", "absolute path"),
        ("file:///x", "absolute path"),
        (object(), "object"),
    ],
)
def test_values_without_one_lasting_form_are_refused_with_their_place(
    value: Any, words: str
) -> None:
    with pytest.raises(KeyValueError, match=words) as caught:
        Recipe("sft", 1, "model", {"outer": {"list": [0, value]}})
    assert "recipe.params.outer" in str(caught.value)
    assert caught.value.exit_code == 2


def test_words_that_only_look_a_little_like_paths_are_accepted() -> None:
    params = {"a": "/no_think", "b": "/", "c": "and/or", "d": "Qwen/Qwen2.5-7B", "e": "a: b"}
    assert Recipe("sft", 1, "model", params).document["params"] == params


def test_a_value_that_contains_itself_is_refused_and_does_not_overflow() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(KeyValueError, match="nested"):
        canonical_json(loop)


def test_the_digest_is_the_same_in_another_process_with_another_hash_seed() -> None:
    recipe = Recipe("sft", 2, "model", {"lr": 1e-5, "z": 1, "a": [1, 2]}, {"demos": HEX})
    code = (
        "from tratree_store import Recipe;"
        "print(Recipe('sft', 2, 'model', {'a': [1, 2], 'z': 1, 'lr': 1e-5},"
        f" {{'demos': '{HEX}'}}).digest)"
    )
    sources = Path(__file__).resolve().parents[2] / "store"
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(sources), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == recipe.digest


def test_every_field_of_a_recipe_changes_its_digest() -> None:
    base: dict[str, Any] = {
        "stage": "sft", "version": 1, "kind": "model", "params": {"a": 1},
        "inputs": {"demos": HEX}, "templates": {"chat": HEX}, "models": {"base": "x@1"},
        "environment": {"id": "webshop"},
    }  # fmt: skip
    other: dict[str, Any] = {
        "stage": "dpo", "version": 2, "kind": "tree", "params": {"a": 1.0},
        "inputs": {"pairs": HEX}, "templates": {"chat": "f" * 64}, "models": {"base": "x@2"},
        "environment": None,
    }  # fmt: skip
    digests = {Recipe(**base).digest, *(Recipe(**{**base, k: v}).digest for k, v in other.items())}
    assert len(digests) == 1 + len(other)


def test_the_order_of_inputs_within_a_role_is_part_of_the_key() -> None:
    first, second = HEX, HEX[::-1]
    one = Recipe("build-tree", 1, "tree", {}, {"rollouts": [first, second]})
    two = Recipe("build-tree", 1, "tree", {}, {"rollouts": (second, first)})
    assert one.digest != two.digest


def test_an_input_that_is_not_an_object_digest_is_refused() -> None:
    with pytest.raises(KeyValueError, match=r"inputs\.demos"):
        Recipe("sft", 1, "model", {}, {"demos": "weak"})


def test_a_recipe_read_back_from_its_document_has_the_same_digest() -> None:
    recipe = Recipe(
        "sft", 1, "model", {"a": [1]}, {"demos": [HEX]}, {"c": HEX}, {"b": "x"}, {"i": 1}
    )
    assert Recipe.from_document(recipe.document).digest == recipe.digest


def test_a_changed_document_does_not_change_the_recipe() -> None:
    params: dict[str, Any] = {"a": [1]}
    recipe = Recipe("sft", 1, "model", params)
    digest = recipe.digest
    params["a"].append(2)
    recipe.document["params"]["a"].append(3)
    assert recipe.document["params"] == {"a": [1]}
    assert recipe.digest == digest


def test_what_is_only_recorded_is_never_refused() -> None:
    odd = {"nan": float("nan"), 1: {2, 1}, "path": Path("/x/y"), "bad": "\ud800", "t": (1,)}
    assert recorded(odd) == {"nan": None, "1": [1, 2], "path": "/x/y", "bad": "?", "t": [1]}
