"""What a screen is: a check of a photo that is uploaded for a listing, before it is served."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.models import ModelConfig

__all__ = ["Catalog", "Screen", "Uploads", "cosine_shift", "entry_cosines", "in_degrees", "own"]

LIST_LENGTH = 10
BLOCK = 1024
"""Queries per matrix product."""
CELLS = 1 << 26
"""Cosines that are held at once: 256 MB."""


@dataclass(frozen=True)
class Catalog:
    """What the shop knows without the upload: the photos it serves now. Made by ``of``.

    Attributes:
        vectors: ``(N, D)`` float32 unit vectors of the catalog.
        labels: ``(N,)`` int64, the category that each listing declares; -1 where it is not known.
        entry: ``(N,)`` float32, the cosine that enters the list of each photo.
        degrees: ``(N,)`` float32, in how many lists each photo is.
    """

    vectors: Float[Tensor, "N D"]
    labels: Int[Tensor, " N"]
    entry: Float[Tensor, " N"]
    degrees: Float[Tensor, " N"]

    @classmethod
    def of(cls, vectors: Float[Tensor, "N D"], labels: Int[Tensor, " N"]) -> Self:
        """The catalog with its lists of ten."""
        entry = entry_cosines(vectors, LIST_LENGTH)
        return cls(vectors, labels, entry, in_degrees(vectors, entry))


@dataclass(frozen=True)
class Uploads:
    """B new photos, each for a listing that has one already.

    Attributes:
        images: ``(B, 3, S, S)`` float32 in [0, 1], as the encoder sees them.
        looks: ``(B, V, D)`` float32 unit vectors: the photo itself, then its squeezed copies.
        listings: ``(B,)`` int64 rows of the catalog; -1 for a photo that is only searched with.
        previous: ``(B, 3, S, S)`` float32, the photos that they replace.
    """

    images: Float[Tensor, "B 3 H W"]
    looks: Float[Tensor, "B V D"]
    listings: Int[Tensor, " B"]
    previous: Float[Tensor, "B 3 H W"]

    @property
    def embeddings(self) -> Float[Tensor, "B D"]:
        """Of the photos themselves."""
        return self.looks[:, 0]


class Screen(ABC):
    """Gives each upload a score; the higher, the more suspicious. Registered as ``screens``.

    Scores are differentiable functions of the embeddings: who defends has nothing to hide, and the
    attacker who knows the screen is the one that is measured.

    Args:
        config: settings, of ``config_class``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    listed: ClassVar[bool] = True
    """Whether it looks at the listing, so that a photo without one says nothing to it."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def score(self, uploads: Uploads, catalog: Catalog) -> Float[Tensor, " B"]:
        """``(B,)`` float32; each row on its own."""


def cosine_shift(a: Float[Tensor, "*B D"], b: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    """One minus the cosine of unit vectors."""
    return 1 - F.cosine_similarity(a, b, dim=-1)


def own(listings: Int[Tensor, " B"], count: int) -> Tensor:
    """``(B, N)`` bool: which column is the upload's own listing."""
    return torch.arange(count, device=listings.device)[None, :] == listings[:, None]


def entry_cosines(vectors: Float[Tensor, "N D"], k: int) -> Float[Tensor, " N"]:
    """The cosine that enters the list of each photo: that of its k-th neighbor, itself excluded."""
    found = []
    for cosines, _ in _others(vectors):
        found.append(cosines.topk(min(k, len(vectors) - 1), dim=1).values[:, -1])
    return torch.cat(found)


def in_degrees(vectors: Float[Tensor, "N D"], entry: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """In how many lists each photo is; photos that tie at the end of a list are all in it."""
    count = torch.zeros(len(vectors), device=vectors.device)
    for cosines, rows in _others(vectors):
        count += (cosines >= entry[rows, None]).sum(dim=0)
    return count


def _others(vectors: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Cosines of a block of photos to all, to themselves -inf; and which photos they are."""
    size = max(1, min(BLOCK, CELLS // len(vectors)))
    for start in range(0, len(vectors), size):
        rows = slice(start, start + size)
        cosines = vectors[rows] @ vectors.T
        cosines.diagonal(start).fill_(float("-inf"))
        yield cosines, rows
