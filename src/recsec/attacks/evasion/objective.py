"""What an attack raises: one number per image, a function of its embedding.

For one target item the rank is a monotone function of the cosine, so every loss on the rank has
the gradient direction of the cosine; other objectives matter where several targets, the query side
or unnormalized features come in.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "CosineToTarget",
    "Demotion",
    "FeatureDistance",
    "ListOverlap",
    "ListedPlace",
    "Objective",
    "QueryMargin",
    "SoftRank",
    "overlap_weights",
]


@dataclass(frozen=True)
class Objective(ABC):
    """B rows, one per image. Tensor fields whose name is not in ``shared`` have B rows."""

    raw: ClassVar[bool] = False
    """Reads the features before normalization instead of the embedding."""
    shared: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """What the attacker wants high, differentiable, each row on its own."""

    @abstractmethod
    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """Which rows need no further step; all False where no goal is set."""

    def select(self, rows: Tensor) -> Self:
        """The objective of some rows (a boolean mask or indices)."""
        changed = {
            field.name: value[rows]
            for field in fields(self)
            if field.name not in self.shared
            and isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **changed)


def never(embeddings: Tensor) -> Tensor:
    """False for every row."""
    return torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)


@dataclass(frozen=True)
class CosineToTarget(Objective):
    """The cosine to a target item: the item-to-item attack.

    Attributes:
        targets: ``(B, D)`` float32 unit vectors, embedded once.
        thresholds: ``(B,)`` float32: above it the rank is good enough (``ExactIndex.thresholds``);
            None never stops early.
        margin: by how much the cosine has to exceed the threshold.
    """

    targets: Float[Tensor, "B D"]
    thresholds: Float[Tensor, " B"] | None = None
    margin: float = 1e-4

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        return (embeddings * self.targets).sum(1)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if self.thresholds is None:
            return never(embeddings)
        return (embeddings * self.targets).sum(1) > self.thresholds + self.margin


@dataclass(frozen=True)
class FeatureDistance(Objective):
    """Minus the squared distance of unnormalized features, as feature-matching attacks minimize.

    Attributes:
        targets: ``(B, D)`` float32 features of the target items, not normalized.
        thresholds: ``(B,)`` float32, of the cosine, as in ``CosineToTarget``.
        margin: of the cosine.
    """

    raw: ClassVar[bool] = True
    targets: Float[Tensor, "B D"]
    thresholds: Float[Tensor, " B"] | None = None
    margin: float = 1e-4

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        return -(embeddings - self.targets).square().sum(1)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if self.thresholds is None:
            return never(embeddings)
        return F.cosine_similarity(embeddings, self.targets) > self.thresholds + self.margin


@dataclass(frozen=True)
class SoftRank(Objective):
    """How many lists one image enters, smoothed: the hub attack.

    ``mean_q sigmoid((<e, q> - threshold_q) / temperature)`` over Q target items. The mean cosine
    or a hinge has the same gradient for every list while none is entered, and enters none.

    Attributes:
        targets: ``(Q, D)`` float32 unit vectors, the same for all rows.
        thresholds: ``(B, Q)`` float32, what enters the list of each target.
        temperature: of the sigmoid.
        margin: by how much the cosines have to exceed the thresholds before a row is done.
    """

    shared: ClassVar[tuple[str, ...]] = ("targets",)
    targets: Float[Tensor, "Q D"]
    thresholds: Float[Tensor, "B Q"]
    temperature: float = 0.02
    margin: float = 1e-4

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        over = embeddings @ self.targets.T - self.thresholds
        return torch.sigmoid(over / self.temperature).mean(1)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """Rows that enter every list."""
        return (embeddings @ self.targets.T > self.thresholds + self.margin).all(1)


@dataclass(frozen=True)
class Demotion(Objective):
    """Minus the cosine: the item leaves the target's list.

    Attributes:
        targets: ``(B, D)`` float32 unit vectors.
        thresholds: ``(B,)`` float32: at or below it the item is out of the first r (ties count
            against the item). None never stops early.
    """

    targets: Float[Tensor, "B D"]
    thresholds: Float[Tensor, " B"] | None = None

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        return -(embeddings * self.targets).sum(1)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if self.thresholds is None:
            return never(embeddings)
        return (embeddings * self.targets).sum(1) <= self.thresholds


@dataclass(frozen=True)
class QueryMargin(Objective):
    """The margin by which a target item enters the list of a perturbed *query* image.

    ``(<e, t> - s_r) / (s_1 - s_4)``, with s the sorted cosines of ``e`` to all other items: the
    targeted DLR loss (Croce & Hein, ICML 2020) with the catalog as classes.

    Attributes:
        catalog: ``(N, D)`` float32 unit vectors, the same for all rows.
        targets: ``(B,)`` int64 rows of the catalog.
        excluded: ``(B,)`` int64 rows of the catalog that are in no list (the query item itself).
        rank: r, the place wanted.
        stops: whether a row that is at its place is done.
        margin: of the cosine, by which the target has to lead.
    """

    shared: ClassVar[tuple[str, ...]] = ("catalog",)
    catalog: Float[Tensor, "N D"]
    targets: Int[Tensor, " B"]
    excluded: Int[Tensor, " B"]
    rank: int = 1
    stops: bool = True
    margin: float = 1e-4

    def _cosines(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """To the target ``(B,)``, and the largest to the others ``(B, max(r, 4))``, sorted."""
        cosines = embeddings @ self.catalog.T
        own = cosines.gather(1, self.targets[:, None])
        out = torch.stack([self.targets, self.excluded], dim=1)
        others = cosines.scatter(1, out, float("-inf"))
        return own[:, 0], others.topk(min(max(self.rank, 4), self._others), dim=1).values

    @property
    def _others(self) -> int:
        """How many items are in the list beside the target."""
        return len(self.catalog) - 2

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        own, best = self._cosines(embeddings)
        place, fourth = min(self.rank, self._others) - 1, min(4, self._others) - 1
        return (own - best[:, place]) / (best[:, 0] - best[:, fourth] + 1e-12)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if not self.stops:
            return never(embeddings)
        own, best = self._cosines(embeddings)
        if self.rank > self._others:
            return torch.ones_like(own, dtype=torch.bool)
        return own > best[:, self.rank - 1] + self.margin


@dataclass(frozen=True)
class ListOverlap(Objective):
    """What lists of ids tell a client: does the answer to the image look like the target's list?

    ``10 w(place of the target) + sum over items i in both lists of w(place of i in the answer)
    w(place of i in the target's list)``, ``w(r) = 1 / log2(1 + r)``. Not differentiable.

    Source: the rank similarities of QAIR (Li et al., CVPR 2021) and of order attacks (Zhou et al.,
    ICCV 2021), simplified.

    Attributes:
        catalog: ``(N, D)`` float32 unit vectors behind the API, the same for all rows.
        targets: ``(B,)`` int64 rows of the catalog.
        weights: ``(B, N)`` float32, what each item of an answer is worth (``overlap_weights``).
        thresholds: ``(B,)`` float32 as in ``CosineToTarget``: the target's own list is public, so
            the client sees when the item has arrived in it.
        k: length of the answers.
    """

    shared: ClassVar[tuple[str, ...]] = ("catalog",)
    catalog: Float[Tensor, "N D"]
    targets: Int[Tensor, " B"]
    weights: Float[Tensor, "B N"]
    thresholds: Float[Tensor, " B"] | None = None
    k: int = 50

    def values(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        lists = (embeddings @ self.catalog.T).topk(min(self.k, len(self.catalog)), dim=1).indices
        return (self.weights.gather(1, lists) * place_weights(lists)).sum(1)

    def solved(self, embeddings: Float[Tensor, "B D"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if self.thresholds is None:
            return never(embeddings)
        return (embeddings * self.catalog[self.targets]).sum(1) > self.thresholds


@dataclass(frozen=True)
class ListedPlace(Objective):
    """What a list of ids tells a client who has no vector at all: the place of one item in it, and
    how much of it is in another list.

    It reads answers ``(B, N)``: ``w(place)`` for every item that is listed, 0 for the others
    (``place_weights``). The formula is that of ``ListOverlap``. Not differentiable.

    Attributes:
        subjects: ``(B,)`` int64, the item whose place counts.
        worth: ``(B, N)`` float32, what each item of an answer is worth.
        rank: the place wanted; None never stops.
    """

    subjects: Int[Tensor, " B"]
    worth: Float[Tensor, "B N"]
    rank: int | None = 1

    def values(self, embeddings: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
        """See ``Objective.values``."""
        return (embeddings * self.worth).sum(1)

    def solved(self, embeddings: Float[Tensor, "B N"]) -> Bool[Tensor, " B"]:
        """See ``Objective.solved``."""
        if self.rank is None:
            return never(embeddings)
        least = 1 / math.log2(1.5 + self.rank)  # between this place and the next
        return embeddings.gather(1, self.subjects[:, None])[:, 0] > least


def place_weights(lists: Tensor) -> Tensor:
    """``1 / log2(1 + r)`` for the places of lists ``(B, K)``."""
    places = torch.arange(1, lists.shape[1] + 1, device=lists.device, dtype=torch.float32)
    return (1 / torch.log2(1 + places)).expand(lists.shape)


def overlap_weights(
    catalog: Float[Tensor, "N D"], targets: Int[Tensor, " B"], attackers: Int[Tensor, " B"], k: int
) -> Float[Tensor, "B N"]:
    """The worth of each item for ``ListOverlap``: its weight in the target's list, 10 the target.

    The attacker's own item is worth nothing: it is in every answer to its own photo.
    """
    cosines = catalog[targets] @ catalog.T
    cosines.scatter_(1, torch.stack([targets, attackers], dim=1), float("-inf"))
    lists = cosines.topk(min(k, len(catalog) - 2), dim=1).indices
    worth = torch.zeros_like(cosines).scatter_(1, lists, place_weights(lists))
    return worth.scatter_(1, targets[:, None], 10.0)
