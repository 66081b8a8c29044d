"""The default embedder: hashed words and word pairs, a real SentenceTransformer without weights.

Pages of text environments share most of their words, so word averages find different pages
similar. Words *and pairs of neighbouring words*, hashed into a fixed number of dimensions with
damped counts, distinguish pages and stay similar under one changed price or another order.
Every word has a bucket, nothing is downloaded, and a text's vector depends on the text alone. The
trade-off: synonyms are different words; name a trained model where observations are free prose.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Normalize

OFFLINE_DIMENSIONS = 2048
_WORD = re.compile(r"\w+(?:[.'-]\w+)*|[^\w\s]")


class HashedNgrams(InputModule):
    """Counts of words and word pairs, damped (1 + log n), signed, in hash buckets.

    ``pair_weight`` is how much a pair counts beside a word.
    """

    config_keys: ClassVar[list[str]] = ["dimensions", "pair_weight"]
    save_in_root: bool = False

    def __init__(self, dimensions: int = OFFLINE_DIMENSIONS, pair_weight: float = 1.0) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.pair_weight = pair_weight
        self.tokenizer = None

    def preprocess(
        self, inputs: list[str], prompt: str | None = None, **_: Any
    ) -> dict[str, torch.Tensor]:
        rows, columns, values = [], [], []
        for row, text in enumerate(inputs):
            tokens = _WORD.findall((prompt or "").lower() + text.lower())
            grams = Counter(tokens)
            grams.update(f"{left} {right}" for left, right in pairwise(tokens))
            for gram, count in grams.items():
                code = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
                weight = self.pair_weight if " " in gram else 1.0
                rows.append(row)
                columns.append((code >> 1) % self.dimensions)
                values.append((1.0 if code & 1 else -1.0) * weight * _damped(count))
        vectors = torch.zeros(len(inputs), self.dimensions)
        index = (torch.tensor(rows, dtype=torch.long), torch.tensor(columns, dtype=torch.long))
        vectors.index_put_(index, torch.tensor(values), accumulate=True)
        return {"sentence_embedding": vectors}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        return features

    def get_embedding_dimension(self) -> int:
        return self.dimensions

    def get_sentence_embedding_dimension(self) -> int:
        return self.dimensions

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        config = {"dimensions": self.dimensions, "pair_weight": self.pair_weight}
        (Path(output_path) / "config.json").write_text(json.dumps(config, sort_keys=True))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **_: Any) -> HashedNgrams:
        config = json.loads((Path(model_name_or_path) / subfolder / "config.json").read_text())
        return cls(**config)


def _damped(count: int) -> float:
    return 1.0 if count == 1 else 1.0 + math.log(count)


def offline_embedder(dimensions: int = OFFLINE_DIMENSIONS) -> SentenceTransformer:
    """A SentenceTransformer of hashed n-grams and normalisation, on the CPU."""
    return SentenceTransformer(modules=[HashedNgrams(dimensions), Normalize()], device="cpu")
