"""Embeddings for the merge: offline, cached, chunked, and never loaded without need."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.trees.making import made_rollouts
from tratree_cli.embedding.similarity import (
    TextSimilarity,
    load_embedder,
    model_digest,
    numbers_in,
    split_to_window,
)
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.build import MergePolicy, build_forest


class Letters:
    """A tiny embedder with a window of four tokens, one per word."""

    max_seq_length = 6

    class tokenizer:  # noqa: N801
        @staticmethod
        def tokenize(text: str) -> list[str]:
            return text.split()

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        # Like a real model it reads its window and nothing after it.
        rows = np.zeros((len(texts), 26))
        for row, text in enumerate(texts):
            for word in text.split()[:4]:
                rows[row, ord(word[0]) - 97] += 1
        return rows


def noisy_shop(seed: int = 0) -> object:
    """A stochastic world: the same page comes with its offers in any order."""
    rng = random.Random(seed)
    offers = [
        f"offer {name} for {price} dollars"
        for name, price in zip("abcdefgh", range(8), strict=True)
    ]
    episodes = []
    for sample in range(8):
        page = offers[:]
        rng.shuffle(page)
        shown = "Results: " + " | ".join(page)
        episodes.append(
            ("t", [("home", "search"), (shown, "click a"), ("item", "buy")], sample / 8)
        )
    return made_rollouts(episodes)


def test_a_stochastic_world_merges_by_similarity() -> None:
    rollouts = noisy_shop()
    columns = columns_from_rollouts(rollouts)
    similarity = TextSimilarity(rollouts.texts.texts)
    exact = build_forest(columns)
    similar = build_forest(columns, MergePolicy("similar", 0.95), similarity)
    assert len(exact) == 1 + 1 + 8 + 8
    assert len(similar) == 1 + 3
    assert similar.merges.by_similarity == 7
    assert similar.merges.embedded == similarity.computed == 8


def test_different_pages_stay_apart_offline() -> None:
    texts = [
        "Page 1: red cotton mug with a long handle, 12 dollars; blue bowl, 4 dollars",
        "Page 1: green garden hose made of rubber, 30 dollars; iron nails, 2 dollars",
        "On the drawer 1, you see a mug 1.",
        "On the drawer 2, you see a mug 1.",
    ]
    vectors = TextSimilarity(texts)(np.arange(4))
    cosines = vectors @ vectors.T
    assert np.allclose(np.diag(cosines), 1.0, atol=1e-6)
    assert (cosines - np.eye(4)).max() < 0.95


def test_cached_vectors_need_no_model(tmp_path: Path) -> None:
    texts = ["one page", "another page"]
    first = TextSimilarity(texts, "letters", tmp_path, loader=lambda _: Letters())
    vectors = first(np.array([0, 1]))

    def refuse(_: str) -> object:
        raise AssertionError("the model was loaded")

    second = TextSimilarity(texts, "letters", tmp_path, loader=refuse)
    assert np.array_equal(second(np.array([1, 0])), vectors[::-1])
    assert (second.computed, second.cached) == (0, 2)


def test_a_damaged_cache_is_computed_again(tmp_path: Path) -> None:
    TextSimilarity(["a b"], "letters", tmp_path, loader=lambda _: Letters())(np.array([0]))
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:40])
    again = TextSimilarity(["a b"], "letters", tmp_path, loader=lambda _: Letters())
    assert again(np.array([0])).shape == (1, 26) and again.computed == 1


def test_pages_that_differ_after_the_window_are_not_equal() -> None:
    texts = ["a b c d e f g", "a b c d e f h"]
    similarity = TextSimilarity(texts, "letters", loader=lambda _: Letters())
    one, other = similarity(np.array([0, 1]))
    assert one @ other < 0.999
    assert similarity.chunked == 2 and "chunks" in similarity.warnings[0]
    assert "".join(split_to_window(texts[0], Letters())) == texts[0]


class Bytes(Letters):
    """The same for a language without spaces: one token per byte, six bytes seen."""

    max_seq_length = 8

    class tokenizer:  # noqa: N801
        @staticmethod
        def tokenize(text: str) -> list[int]:
            return list(text.encode())

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        return np.array([np.bincount(list(t.encode()[:6]), minlength=256) for t in texts], float)


def test_no_end_is_cut_off_where_nobody_writes_spaces() -> None:
    texts = ["你在厨房里看见灯", "你在厨房里看见碗", "厨房", "厨灯", "三个字"]
    assert ["".join(split_to_window(text, Bytes())) for text in texts] == texts
    assert all(len(p.encode()) <= 6 for text in texts for p in split_to_window(text, Bytes()))
    kitchen, other = TextSimilarity(texts, "bytes", loader=lambda _: Bytes())(np.array([0, 1]))
    assert kitchen @ other < 0.999


def test_the_guard_compares_numbers_whatever_their_order() -> None:
    texts = ["drawer 1, mug 2", "mug 2, drawer 1", "drawer 2, mug 2", "$12.50"]
    classes = TextSimilarity(texts).guard(np.arange(4))
    assert classes[0] == classes[1] != classes[2]
    assert numbers_in(texts[3]) == ("12.50",)


def test_a_model_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("1")
    before = model_digest(str(tmp_path))
    (tmp_path / "w").write_text("2")
    assert model_digest(str(tmp_path)) != before != model_digest("offline")


@pytest.mark.slow
def test_the_offline_embedder_is_a_model_that_can_be_saved(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = load_embedder("offline")
    assert isinstance(model, SentenceTransformer)
    texts = ["a page of things", ""]
    alone = np.stack([model.encode([text])[0] for text in texts])
    assert np.array_equal(model.encode(texts), alone)
    model.save(str(tmp_path / "m"))
    again = SentenceTransformer(str(tmp_path / "m"), trust_remote_code=True, device="cpu")
    assert np.array_equal(again.encode(texts), alone)


def test_a_tree_knows_the_folder_of_its_embedder_by_content(tmp_path: Path) -> None:
    from tratree_cli.config import Config
    from tratree_cli.stages import build_tree

    keys = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        config = Config().with_values({"tree": {"embedder": str(tmp_path / name)}}, "--set")
        node = build_tree.node(config)
        assert list(node.files.values()) == [tmp_path / name]
        keys.append(dict(node.key_params)["embedder"])
    assert keys[0] == keys[1]
    assert keys[0].startswith("sha256:")
