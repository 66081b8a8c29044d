"""The base models that ship with tratree: their names and shapes. Values only; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 32
"""Width of an attention head; the same in all of them."""


@dataclass(frozen=True)
class Shape:
    """Width and depth of a Llama, and the corpus it was trained on (``pretraining.corpora``)."""

    width: int
    layers: int
    inner: int
    text: str = "shop"

    @property
    def heads(self) -> int:
        return self.width // HEAD


SHAPES = {
    "tratree-s": Shape(width=96, layers=4, inner=192),
    "tratree-m": Shape(width=128, layers=4, inner=256),
    "tratree-l": Shape(width=192, layers=4, inner=384),
    "tratree-rooms-s": Shape(width=96, layers=4, inner=192, text="rooms"),
    "tratree-rooms-m": Shape(width=128, layers=4, inner=256, text="rooms"),
}
