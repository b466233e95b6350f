"""Exact search among the embeddings of a catalog: ranks, thresholds and neighbors.

Everything is a block of the catalog times a batch in float32. Where two cosines are closer than
float32 can tell, they are computed again in float64, so a rank is that of exact arithmetic on the
float32 vectors, whatever the block or batch size.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsec.errors import DataError

__all__ = ["ExactIndex"]

BLOCK = 1024
"""Catalog vectors per matrix product: block x batch cosines stay in cache for batches of 1,000."""
WIDE = 1 << 14
"""The same where the best of each query are wanted: fewer, longer lines to select from."""
CLOSE = 1 << 15
"""Pairs that are computed in float64 at a time."""


class ExactIndex:
    """The embeddings of a catalog, searched completely.

    Args:
        vectors: ``(N, D)`` float32 of unit norm, row i the photo of row i. Not copied.

    Raises:
        DataError: no vectors, or one that is not finite or not of unit norm.
    """

    def __init__(self, vectors: Float[Tensor, "N D"]) -> None:
        if vectors.dtype != torch.float32:
            raise DataError(f"embeddings are {vectors.dtype}; expected float32")
        if len(vectors) == 0:
            raise DataError("the catalog is empty: there is nothing to search")
        norms = torch.linalg.vector_norm(vectors, dim=1)
        wrong = ((norms - 1).abs() > 1e-3) | ~norms.isfinite()
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0, 0])
            raise DataError(
                f"the embedding of row {row} has norm {float(norms[row]):.4g}, expected 1 "
                f"({int(wrong.sum())} of {len(vectors)} are wrong)",
                hint="the weights of the encoder are broken, or the embeddings were not normalized",
            )
        self.vectors = vectors
        self.band = 2.0 ** (math.ceil(math.log2(vectors.shape[1] + 2)) - 23)
        """At least twice the largest rounding error of a float32 inner product of unit vectors; a
        power of two, so that dividing by it is exact."""

    def __len__(self) -> int:
        return len(self.vectors)

    def rank(
        self,
        embeddings: Float[Tensor, "B D"],
        targets: Int[Tensor, " B"],
        attackers: Int[Tensor, " B"],
    ) -> Int[Tensor, " B"]:
        """The place of each embedding in the neighbor list of its target; 1 is the best.

        It is 1 + the number of catalog vectors whose cosine to the target is at least that of the
        embedding. The target itself and the attacker's own (clean) vector do not count; ties count
        against the attacker.

        Args:
            embeddings: the perturbed photos.
            targets: rows of the targets.
            attackers: rows of the photos that were perturbed.
        """
        wanted = self.vectors[targets]
        scaled = wanted * (0.5 / self.band)
        below = (embeddings * scaled).sum(dim=1) - 0.5
        exact = _cosines(embeddings, wanted)
        columns = torch.arange(len(below), device=below.device)
        counts = torch.ones_like(columns)
        room = wanted.new_empty((2, min(BLOCK, len(self)), len(wanted)))
        for start in range(0, len(self), BLOCK):
            part = self.vectors[start : start + BLOCK]
            place, square = room[:, : len(part)]
            torch.mm(part, scaled.T, out=place)
            for left_out in (targets, attackers):
                inside = (left_out >= start) & (left_out < start + BLOCK)
                place[left_out[inside] - start, columns[inside]] = float("-inf")
            # 0 surely below, 1 surely above, between them: too close to call in float32
            place.sub_(below).clamp_(0, 1)
            sure = place.sum(dim=0)
            unsure = (sure != torch.mul(place, place, out=square).sum(dim=0)).nonzero()[:, 0]
            if len(unsure):
                close = place[:, unsure]
                sure[unsure] = (close == 1).sum(dim=0).to(sure.dtype)
                row, at = ((close > 0) & (close < 1)).nonzero(as_tuple=True)
                self._settle(row + start, unsure[at], wanted, exact, counts)
            counts += sure.to(torch.int64)
        return counts

    def _settle(
        self, rows: Tensor, columns: Tensor, wanted: Tensor, exact: Tensor, counts: Tensor
    ) -> None:
        """Add the close pairs ``(row of the catalog, column of the batch)`` that do count."""
        for row, column in zip(torch.split(rows, CLOSE), torch.split(columns, CLOSE), strict=True):
            reached = _cosines(self.vectors[row], wanted[column]) >= exact[column]
            counts.index_add_(0, column, reached.to(counts.dtype))

    def thresholds(
        self, targets: Int[Tensor, " B"], r: int, attackers: Int[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """The cosine that a photo must exceed to be among the first r neighbors of the target.

        That is the r-th largest cosine to the target, without the target and the attacker's own
        vector; -inf where the catalog has fewer than r others.
        """
        _, cosines = self.neighbors(
            self.vectors[targets], r, exclude=torch.stack([targets, attackers], dim=1)
        )
        missing = cosines.new_full((len(cosines), max(0, r - cosines.shape[1])), float("-inf"))
        return torch.cat([cosines, missing], dim=1)[:, r - 1]

    def neighbors(
        self,
        queries: Float[Tensor, "B D"],
        k: int,
        *,
        exclude: Int[Tensor, "B ..."] | None = None,
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The k nearest catalog vectors of each query, nearest first.

        Args:
            queries: unit vectors.
            k: cut at N.
            exclude: rows that must not be listed, ``(B,)`` or ``(B, E)``; -1 stands for none.

        Returns:
            Rows and cosines. Where exclusion leaves fewer than k, rows are -1 and cosines -inf.
            Among equal cosines lower rows come first.
        """
        if k < 1:
            raise ValueError(f"k = {k}: expected at least 1")
        left_out = queries.new_empty((len(queries), 0), dtype=torch.int64)
        if exclude is not None:
            left_out = exclude.reshape(len(queries), -1)
        k = min(k, len(self))
        columns = torch.arange(len(queries), device=queries.device)[:, None].expand_as(left_out)
        best = queries.new_empty((len(queries), 0))
        rows = left_out[:, :0]
        for start in range(0, len(self), WIDE):
            cosines = queries @ self.vectors[start : start + WIDE].T
            inside = (left_out >= start) & (left_out < start + WIDE)
            cosines[columns[inside], left_out[inside] - start] = float("-inf")
            found, at = cosines.topk(min(k, cosines.shape[1]), dim=1)
            best, rows = _first(torch.cat([best, found], 1), torch.cat([rows, at + start], 1), k)
        return rows.masked_fill(best == float("-inf"), -1), best


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    """Row by row in float64: products of float32 are exact there, and equal rows give equals."""
    return (a.double() * b.double()).sum(dim=1)


def _first(cosines: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each line, in order of cosine, then row."""
    order = rows.argsort(dim=1)
    cosines, rows = cosines.gather(1, order), rows.gather(1, order)
    order = cosines.argsort(dim=1, descending=True, stable=True)[:, :k]
    return cosines.gather(1, order), rows.gather(1, order)
