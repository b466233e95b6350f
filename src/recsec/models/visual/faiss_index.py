"""The same search by FAISS: for serving large catalogs, exactly or with a graph (HNSW).

Ranks that are reported come from ``ExactIndex``; an approximate index is what a shop would serve.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsec.errors import ConfigError
from recsec.models.visual.index import ExactIndex

__all__ = ["FaissIndex", "FaissKind"]

FaissKind: TypeAlias = Literal["exact", "hnsw"]
LINKS, BUILD, SEARCH = 32, 200, 128
"""HNSW: links of a node, and how many candidates are kept while building and searching.

Source: Malkov & Yashunin, Efficient and robust approximate nearest neighbor search (2018): M,
efConstruction and ef."""


class FaissIndex:
    """Neighbors of unit vectors by cosine, which is their inner product.

    Args:
        vectors: ``(N, D)`` float32 of unit norm; copied.
        kind: ``exact`` compares with all, ``hnsw`` walks a graph and may miss some.

    Raises:
        ConfigError: FAISS is not installed.
        DataError: the vectors are no unit vectors.
    """

    def __init__(self, vectors: Float[Tensor, "N D"], *, kind: FaissKind = "exact") -> None:
        faiss = _faiss()
        width = vectors.shape[1]
        self.size = len(ExactIndex(vectors))  # refuses what is no embedding
        if kind == "exact":
            self.index: Any = faiss.IndexFlatIP(width)
        else:
            self.index = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = BUILD
        self.index.add(np.ascontiguousarray(vectors.cpu().numpy()))

    def __len__(self) -> int:
        return self.size

    def neighbors(
        self, queries: Float[Tensor, "B D"], k: int, *, exclude: Int[Tensor, " B"] | None = None
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Rows and cosines as ``ExactIndex.neighbors`` gives them, one excluded row per query.

        Where the search finds fewer than k, rows are -1 and cosines -inf.
        """
        k = min(k, len(self))
        wanted = k if exclude is None else min(k + 1, len(self))
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = max(SEARCH, 2 * wanted)
        found = self.index.search(np.ascontiguousarray(queries.cpu().numpy()), wanted)
        cosines, rows = map(torch.from_numpy, found)
        cosines = cosines.masked_fill(rows < 0, float("-inf"))
        if exclude is None:
            return rows, cosines
        gone = rows == exclude[:, None].cpu()
        rows, cosines = rows.masked_fill(gone, -1), cosines.masked_fill(gone, float("-inf"))
        order = gone.to(torch.int8).argsort(dim=1, stable=True)[:, :k]
        return rows.gather(1, order), cosines.gather(1, order)


def _faiss() -> Any:
    """The library, or what to do to have it."""
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "this index needs the library FAISS, which is not installed",
            hint='pip install "recsec[faiss]"',
        ) from error
    return faiss
