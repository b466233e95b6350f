"""Made-up product photos: shape x texture x color on white, drawn by formulas at any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from recsec.data.photos.files import ResizeRule
from recsec.data.photos.shapes import COLORS, SHAPES, TEXTURES
from recsec.runs import digest
from recsec.settings import checked
from recsec.types import IntArray

__all__ = ["SyntheticPhotos", "SyntheticPhotosConfig"]

Floats = npt.NDArray[Any]

BLOCK = 2**22
"""Pixels that are drawn at once."""
VERSION = 1
"""Counts up when the same settings give other pixels."""


class SyntheticPhotosConfig(BaseModel):
    """Size of a made-up catalog.

    Attributes:
        items: N.
        categories: shapes; every one has N / categories items, or one more.
        seed: everything follows from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int = Field(default=600, ge=1)
    categories: int = Field(default=12, ge=1, le=len(SHAPES))
    seed: int = Field(default=0, ge=0)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> SyntheticPhotosConfig:
        """From texts or numbers, with one readable error.

        Raises:
            ConfigError: an unknown word or a value out of range.
        """
        return checked(cls, values, where="photos")


@dataclass(frozen=True, eq=False)
class SyntheticPhotos:
    """The law of a made-up catalog; a photo is a function of its row and of nothing else.

    Items of one category differ in texture, color, both tones, proportions of the shape, pose,
    light and noise, all drawn from continuous ranges, so no two are alike.
    """

    config: SyntheticPhotosConfig

    @property
    def digest(self) -> str:
        """Names the pixels."""
        return digest({"version": VERSION} | self.config.model_dump())

    @cached_property
    def table(self) -> pl.DataFrame:
        """Columns id, title, category, color, texture; one row a photo."""
        law = self._law
        colors, shapes, textures = list(COLORS), list(SHAPES), list(TEXTURES)
        rows = np.arange(self.config.items)
        table = pl.DataFrame(
            {
                "id": rows + 10_001,
                "category": [shapes[place] for place in law["category"]],
                "color": [colors[place] for place in law["color"]],
                "texture": [textures[place] for place in law["texture"]],
            }
        )
        title = pl.concat_str(
            ["color", pl.col("texture").str.to_lowercase(), pl.col("category").str.to_lowercase()],
            separator=" ",
        )
        return table.select("id", title.alias("title"), "category", "color", "texture")

    @cached_property
    def _law(self) -> dict[str, npt.NDArray[Any]]:
        """What every item is, ``(N,)`` or ``(N, 3)`` each."""
        from recsec.rng import Streams  # imports torch, which reading files does not need

        streams = Streams(self.config.seed).child("photos")
        n = self.config.items

        def uniform(name: str, low: float, high: float, *shape: int) -> Floats:
            drawn = streams.numpy(name).uniform(low, high, (n, *shape))
            return drawn.astype(np.float32)

        color = streams.numpy("color").integers(len(COLORS), size=n)
        base = np.array(list(COLORS.values()), dtype=np.float32)[color]
        base = np.clip(base + uniform("shade", -0.07, 0.07, 3), 0, 1)
        share = uniform("second tone", 0.45, 0.8)[:, None]
        toward = (base.mean(axis=1, keepdims=True) < 0.5).astype(np.float32)
        return {
            "category": streams.numpy("category").permutation(
                np.arange(n) % self.config.categories
            ),
            "color": color,
            "texture": streams.numpy("texture").integers(len(TEXTURES), size=n),
            "first": base,
            "second": base + share * (toward - base),
            "p": uniform("proportion one", 0, 1),
            "q": uniform("proportion two", 0, 1),
            "turn": uniform("turn", -0.3, 0.3),
            "flip": np.sign(uniform("flip", -1, 1)),
            "scale": uniform("scale", 0.6, 0.9),
            "x": uniform("x", -0.1, 0.1),
            "y": uniform("y", -0.1, 0.1),
            "rate": uniform("rate", 2, 3.6),
            "phase": uniform("phase", 0, 1),
            "light": uniform("light", 0, 2 * np.pi),
            "depth": uniform("depth", 0.05, 0.25),
        }

    def draw(self, rows: IntArray, size: int, rule: ResizeRule) -> npt.NDArray[np.uint8]:
        """Photos ``(B, 3, size, size)`` of ``rows``. They are square already: no rule applies."""
        out = np.empty((len(rows), 3, size, size), dtype=np.uint8)
        step = max(1, BLOCK // size**2)
        for start in range(0, len(rows), step):
            part = np.asarray(rows[start : start + step])
            out[start : start + step] = self._draw(part, size)
        return out

    def _draw(self, rows: IntArray, size: int) -> npt.NDArray[np.uint8]:
        law = {name: values[rows] for name, values in self._law.items()}
        axis = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
        x = axis[None, None, :] - _wide(law["x"])
        y = axis[None, :, None] - _wide(law["y"])
        sine, cosine = _wide(np.sin(law["turn"])), _wide(np.cos(law["turn"]))
        u = _wide(law["flip"] / law["scale"]) * (cosine * x + sine * y)
        v = _wide(1 / law["scale"]) * (cosine * y - sine * x)

        inside = np.empty_like(u)
        for place, shape in enumerate(SHAPES.values()):
            of = np.flatnonzero(law["category"] == place)
            inside[of] = shape(u[of], v[of], _wide(law["p"][of]), _wide(law["q"][of]))
        tone = np.empty_like(u)
        for place, texture in enumerate(TEXTURES.values()):
            of = np.flatnonzero(law["texture"] == place)
            tone[of] = texture(u[of], v[of], _wide(law["rate"][of]), _wide(law["phase"][of]))

        cover = np.clip(inside * _wide(law["scale"]) * (size / 2) + 0.5, 0, 1)
        slope = u * _wide(np.cos(law["light"])) + v * _wide(np.sin(law["light"]))
        bright = 1 - _wide(law["depth"]) * (0.5 + 0.5 * slope)
        grain = 0.1 * (_noise(self.config.seed, rows, size) - 0.5)
        out = np.empty((len(rows), 3, size, size), dtype=np.uint8)
        for channel in range(3):
            first, second = _wide(law["first"][:, channel]), _wide(law["second"][:, channel])
            product = np.clip((first + tone * (second - first)) * bright + grain, 0, 1)
            out[:, channel] = np.rint(255 * (1 + cover * (product - 1))).astype(np.uint8)
        return out


def _wide(values: npt.NDArray[Any]) -> Floats:
    """``(B,)`` as ``(B, 1, 1)``."""
    return values[:, None, None].astype(np.float32)


def _noise(seed: int, rows: IntArray, size: int) -> Floats:
    """``(B, size, size)`` in [0, 1): a hash of row and place, so no photo depends on the others.

    Source: the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
    """
    place = np.arange(size * size, dtype=np.uint64).reshape(1, size, size)
    key = rows.astype(np.uint64)[:, None, None] << np.uint64(32)
    mixed = (key + place) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
