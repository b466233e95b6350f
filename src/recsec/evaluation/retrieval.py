"""How good an encoder is at retrieval and at naming what it sees, on photos it was not trained on.

Queries are the test rows of a split; the catalog is every photo of the split but the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.errors import DataError
from recsec.evaluation.estimates import paired_estimates
from recsec.metrics.retrieval import average_precision_at_r, hubness, occurrences, precision
from recsec.models.base import PhotoEncoder
from recsec.models.visual.embedding import embed
from recsec.models.visual.encoder import Encoder, Heads
from recsec.models.visual.index import ExactIndex
from recsec.stats import Estimate, wilson
from recsec.types import FloatArray, IntArray, Progress

if TYPE_CHECKING:
    from recsec.data.photos.split import PhotoSplit

__all__ = ["Retrieval", "check_heads", "classification", "embed", "evaluate_encoder", "retrieval"]

CUTOFFS = (1, 5, 10)
QUERIES = 256
"""Queries whose whole lists are held at a time."""


@dataclass(frozen=True)
class Retrieval:
    """What was measured, per query.

    Attributes:
        columns: metric to ``(Q,)`` values; NaN where a query has none.
        hubness: skewness of how often each photo of the catalog is in the others' lists of 10.
        catalog: how many photos there are.
        protocol: how it was measured, one line.
    """

    columns: Mapping[str, FloatArray]
    hubness: float
    catalog: int
    protocol: str

    def estimates(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Every metric with its interval: Wilson's for rates, else the bootstrap over queries.

        ``hubness`` is one number of the whole catalog and has no interval.
        """
        found = paired_estimates(self.columns, rng)
        for name, values in self.columns.items():
            known = values[~np.isnan(values)]
            if len(known) and bool(np.isin(known, (0.0, 1.0)).all()):
                found[name] = wilson(int(known.sum()), len(known))
        return {**found, "hubness": Estimate(self.hubness, None, None, self.catalog)}


def classification(
    heads: Heads, labels: Tensor, attributes: Mapping[str, Tensor]
) -> dict[str, FloatArray]:
    """Whether the heads are right, per image: the columns of the thesis' classifier table.

    Args:
        heads: logits of B images.
        labels: ``(B,)`` int64 categories.
        attributes: per attribute ``(B, A)`` bool, the values an image has; without any, NaN.

    Returns:
        ``accuracy``, ``accuracy@5`` and ``attribute_precision@1:NAME``: 1 or 0, ``(B,)`` float64.
        The last is whether the value with the largest logit is one of the image's.
    """
    best = heads.category.topk(min(5, heads.category.shape[1]), dim=1).indices
    right = best == labels[:, None]
    columns = {"accuracy": right[:, 0], "accuracy@5": right.any(dim=1)}
    found = {name: column.double().numpy() for name, column in columns.items()}
    for name, logits in heads.attributes.items():
        values = attributes[name]
        hit = values.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0].double()
        found[f"attribute_precision@1:{name}"] = hit.masked_fill(
            ~values.any(dim=1), float("nan")
        ).numpy()
    return found


def retrieval(
    vectors: Tensor, labels: Tensor, queries: Tensor, *, progress: Progress | None = None
) -> tuple[dict[str, FloatArray], float]:
    """Columns ``precision@k`` and ``map@r`` per query, and the hubness of the catalog.

    Args:
        vectors: ``(N, D)`` unit embeddings of the catalog.
        labels: ``(N,)`` int64 categories.
        queries: ``(Q,)`` rows of the catalog; each is left out of its own list.
        progress: is told about every block of queries.
    """
    index = ExactIndex(vectors)
    relevant = torch.bincount(labels)[labels[queries]] - 1
    depth = min(max(*CUTOFFS, int(relevant.max())), len(vectors))
    parts: dict[str, list[Tensor]] = {name: [] for name in (*map(_at, CUTOFFS), "map@r")}
    done = 0
    for part, wanted in zip(
        torch.split(queries, QUERIES), torch.split(relevant, QUERIES), strict=True
    ):
        rows, _ = index.neighbors(vectors[part], depth, exclude=part)
        found = labels[rows.clamp(min=0)].masked_fill(rows < 0, -1)
        for k in CUTOFFS:
            parts[_at(k)].append(precision(labels[part], found, min(k, depth)))
        parts["map@r"].append(average_precision_at_r(found == labels[part, None], wanted))
        done += len(part)
        if progress is not None:
            progress("neighbors", done, len(queries))
    counts = torch.zeros(len(vectors), dtype=torch.int64)
    for part in torch.split(torch.arange(len(vectors)), 4 * QUERIES):
        lists, _ = index.neighbors(vectors[part], 10, exclude=part)
        counts += occurrences(lists, len(vectors))
    return {name: torch.cat(values).numpy() for name, values in parts.items()}, hubness(counts)


def evaluate_encoder(
    encoder: PhotoEncoder,
    split: PhotoSplit,
    *,
    queries: IntArray | None = None,
    features: Tensor | None = None,
    progress: Progress | None = None,
) -> Retrieval:
    """Retrieval on the held-out photos of a split, and classification where there are heads.

    Args:
        queries: rows to measure on, by default ``split.test``.
        features: ``(N, D)`` of all photos, as ``catalog_features`` gives them.
        progress: is told about every batch.

    Raises:
        DataError: there are no queries, or nothing else that could be found.
    """
    rows = split.test if queries is None else queries
    if len(rows) == 0 or len(split.catalog) < 2:
        raise DataError(
            f"{len(rows)} queries in a catalog of {len(split.catalog)} photos: nothing to measure",
            hint="a category needs enough photos to hold some out",
        )
    if isinstance(encoder, Encoder):
        check_heads(encoder, split)
    catalog = torch.from_numpy(split.catalog)
    if features is None:
        features = embed(encoder, split.photos, split.catalog, normalize=False, progress=progress)
    else:
        features = features[catalog]
    at = torch.searchsorted(catalog, torch.from_numpy(rows))
    known = torch.from_numpy(rows)
    labels = torch.from_numpy(split.labels)
    said_right: dict[str, FloatArray] = {}
    if isinstance(encoder, Encoder):  # one of others has no heads
        with torch.no_grad():
            heads = encoder.heads(features[at].to(encoder.device))
        said = Heads(heads.category.cpu(), {name: x.cpu() for name, x in heads.attributes.items()})
        masks = {
            name: torch.from_numpy(mask)[known]
            for name, (_, mask) in split.attribute_targets().items()
        }
        said_right = classification(said, labels[known], masks)
    vectors = F.normalize(features, dim=1)
    columns, skew = retrieval(vectors, labels[catalog], at, progress=progress)
    protocol = (
        f"{len(rows):,} held-out photos of {len(split.categories)} categories; catalog of "
        f"{len(split.catalog):,} photos minus the query; cosine of embeddings, exact; "
        f"{split.protocol}"
    )
    columns = {**said_right, **columns}
    return Retrieval(columns, skew, len(vectors), protocol)


def check_heads(encoder: Encoder, split: PhotoSplit) -> None:
    """Whether categories and attributes of the encoder are those of the split.

    Raises:
        DataError: they differ; predictions could not be compared with labels.
    """
    theirs = {name: tuple(values) for name, (values, _) in split.attribute_targets().items()}
    if encoder.categories != tuple(split.categories) or encoder.attributes != theirs:
        raise DataError(
            f"the encoder knows {len(encoder.categories)} categories and the attributes "
            f"{', '.join(encoder.attributes) or 'none'}; the data have {len(split.categories)} "
            f"categories and {', '.join(theirs) or 'none'}, or other names for them",
            hint="evaluate on the data that the encoder was trained on",
        )


def _at(k: int) -> str:
    return f"precision@{k}"
