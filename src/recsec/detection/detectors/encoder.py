"""Vectors of histories: pooled item vectors, and SEAT's similarity encoder on top of them.

Source: Zhang, Chen & Wagner, "SEAT: Similarity Encoder by Adversarial Training for Detecting Model
Extraction Attack Queries", AISec 2021. There the inputs are images and the worst case is a PGD
image; here the inputs are histories and the worst case replaces a few items.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import torch
from torch import Tensor, nn

from recsec.data.sequences import Sequences
from recsec.models.sequential.neural import NeuralRecommender
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = ["Encoder", "item_vectors", "pool", "train_encoder", "worst_case"]

WINDOW = 50
"""Newest items of a history that are pooled."""

HALF_LIFE = 5.0
"""Items after which the weight of an item has halved, in the second pool."""

STARTS = 4
"""Random starts of a worst case."""

Floats = npt.NDArray[np.float32]


def item_vectors(
    histories: Sequences, recommender: object | None, *, width: int, rng: np.random.Generator
) -> Floats:
    """One unit vector per item ``(N + 1, E)``, row 0 zero.

    The output embeddings of a trained recommender; else the leading singular vectors of the
    counts of which item stood next to which.
    """
    n = len(histories.catalog) + 1
    if isinstance(recommender, NeuralRecommender):
        vectors = recommender.item_table().detach().cpu().numpy().astype(np.float32).copy()
    else:
        user = np.repeat(np.arange(len(histories)), histories.lengths)
        same = user[1:] == user[:-1]
        pair = (histories.items[:-1][same], histories.items[1:][same])
        counts = scipy.sparse.coo_array((np.ones(int(same.sum())), pair), shape=(n, n)).tocsr()
        both = (counts + counts.T).log1p()
        rank = min(width, n - 2)
        left, values, _ = scipy.sparse.linalg.svds(both, k=rank, v0=rng.normal(size=n))
        vectors = (left * np.sqrt(values)).astype(np.float32)
    vectors[0] = 0.0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-6), dtype=np.float32)


def _weights(lengths: IntArray) -> tuple[Floats, Floats, IntArray]:
    """Weights of the pooled items of histories with these (cut) lengths, flat, and each's row."""
    row = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(lengths)
    age = ends[row] - 1 - np.arange(int(lengths.sum()))
    decay = 0.5 ** (age / HALF_LIFE)
    sums = np.bincount(row, weights=decay, minlength=len(lengths))
    even = (1.0 / np.maximum(lengths, 1))[row]
    return even.astype(np.float32), (decay / sums[row]).astype(np.float32), row


def pool(items: IntArray, offsets: IntArray, vectors: Floats) -> Floats:
    """Pooled vectors ``(n, 2 E)`` of histories: the mean, and the mean that favors the newest.

    Args:
        items: flat histories.
        offsets: ``(n + 1,)``.
        vectors: ``(N + 1, E)``.
    """
    lengths = np.minimum(np.diff(offsets), WINDOW)
    begins = offsets[1:] - lengths
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(begins - bounds[:-1], lengths) + np.arange(int(bounds[-1]))
    even, newest, _ = _weights(lengths)
    shape = (len(lengths), len(vectors))
    chosen = items[place] if len(place) else np.zeros(0, np.int64)
    parts = [
        scipy.sparse.csr_array((weight, chosen, bounds), shape=shape) @ vectors
        for weight in (even, newest)
    ]
    return np.concatenate(parts, axis=1)


class Encoder(nn.Module):
    """Two layers on pooled vectors: ``(B, 2 E) -> (B, D)``; near means similar."""

    def __init__(self, inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)
        for layer in (self.first, self.second):
            nn.init.xavier_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.second(torch.relu(self.first(pooled)))
        return out

    def arrays(self) -> dict[str, Floats]:
        """The weights as arrays, for ``encode``."""
        return {
            f"encoder.{name}": value.numpy().copy() for name, value in self.state_dict().items()
        }


def encode(pooled: Floats, fitted: Mapping[str, npt.NDArray[Any]]) -> Floats:
    """What ``Encoder`` gives for pooled vectors, from its arrays."""
    first = pooled @ fitted["encoder.first.weight"].T + fitted["encoder.first.bias"]
    out = np.maximum(first, 0) @ fitted["encoder.second.weight"].T + fitted["encoder.second.bias"]
    return np.asarray(out, dtype=np.float32)


def embed(encoder: nn.Module, vectors: Tensor, lengths: Tensor) -> Tensor:
    """Encode item vectors ``(B, L, E)`` of padded histories; differentiable in the vectors."""
    places = torch.arange(vectors.shape[1])
    inside = places < lengths[:, None]
    even = inside / lengths[:, None]
    decay = inside * 0.5 ** ((lengths[:, None] - 1 - places).clamp(min=0) / HALF_LIFE)
    decay = decay / decay.sum(dim=1, keepdim=True)
    pooled = [torch.einsum("bl,ble->be", weight, vectors) for weight in (even, decay)]
    out: Tensor = encoder(torch.cat(pooled, dim=1))
    return out


def worst_case(
    encoder: nn.Module,
    table: Tensor,
    histories: Tensor,
    *,
    substitutions: int,
    steps: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Replace up to ``substitutions`` items so that the encoding moves as far away as possible.

    Starts ``STARTS`` times from random items at random places and **ascends** the squared distance:
    the items whose vectors lie furthest along the gradient are tried, and those furthest against
    it (from a start that is hardly a change, the far side may be behind). Kept is what grows the
    distance, and of all starts the best, so a result is never nearer than its first start.

    Args:
        encoder: from pooled vectors to encodings.
        table: ``(N + 1, E)`` item vectors.
        histories: ``(B, L)`` int64, zeros on the right, none empty.
        substitutions: the budget, at most so many items differ.
        steps: gradient steps.
        generator: draws the starts.

    Returns:
        The first random start and the worst case that was found, ``(B, L)`` int64 each.
    """
    count = len(histories)
    best = histories.repeat(STARTS, 1)
    lengths = (best > 0).sum(dim=1)
    rows = torch.arange(len(best))[:, None]
    draws = torch.rand(len(best), substitutions, generator=generator)
    places = (draws * lengths[:, None]).long()
    with torch.no_grad():
        anchor = embed(encoder, table[best], lengths)
    best[rows, places] = torch.randint(1, len(table), places.shape, generator=generator)
    start = best[:count].clone()

    def distance(vectors: Tensor) -> Tensor:
        out: Tensor = (embed(encoder, vectors, lengths) - anchor).square().sum(dim=1)
        return out

    for _ in range(steps):
        vectors = table[best].requires_grad_()
        reached = distance(vectors)
        (gradient,) = torch.autograd.grad(reached.sum(), vectors)
        reached = reached.detach()
        for sign in (1.0, -1.0):
            along = sign * (gradient[rows, places] @ table.T)
            along[:, :, 0] = float("-inf")
            tried = best.clone()
            tried[rows, places] = along.argmax(dim=2)
            with torch.no_grad():
                then = distance(table[tried])
            best = torch.where((then > reached)[:, None], tried, best)
            reached = torch.maximum(reached, then)
    with torch.no_grad():
        furthest = distance(table[best]).view(STARTS, count).argmax(dim=0)
    return start, best.view(STARTS, count, -1)[furthest, torch.arange(count)]


def train_encoder(
    vectors: Floats,
    histories: Sequences,
    *,
    width: int,
    margin: float,
    substitutions: int,
    attack_steps: int,
    steps: int,
    batch: int,
    streams: Streams,
) -> Encoder:
    """Learn to keep worst cases near and other users' histories at least ``margin`` away.

    Loss, averaged over a batch: ``|f(o) - f(t)|^2 + max(0, margin^2 - |f(o) - f(d)|^2)`` for a
    history o, its worst case t, and the history d of another user.

    Source: Zhang et al. 2021, section 3; their public code has the same loss with means in place
    of sums. Departure: t replaces items of a history, see ``worst_case``.
    """
    rng, generator = streams.numpy("batches"), streams.torch("worst cases")
    encoder = Encoder(2 * vectors.shape[1], 64, width, streams.torch("weights"))
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    table = torch.from_numpy(vectors)
    users = np.flatnonzero(histories.lengths >= 2)
    for _ in range(steps):
        chosen = rng.choice(users, size=min(batch, len(users)), replace=False)
        lengths = 2 + (rng.random(len(chosen)) * (histories.lengths[chosen] - 1)).astype(np.int64)
        kept = np.minimum(lengths, WINDOW)
        columns = np.arange(int(kept.max()))
        place = histories.offsets[chosen][:, None] + (lengths - kept)[:, None] + columns
        inside = columns < kept[:, None]
        items = histories.items[np.where(inside, place, 0)]
        padded = torch.from_numpy(np.where(inside, items, 0))
        _, moved = worst_case(
            encoder, table, padded,
            substitutions=substitutions, steps=attack_steps, generator=generator,
        )  # fmt: skip
        sizes = torch.from_numpy(kept)
        anchor, near = (embed(encoder, table[rows], sizes) for rows in (padded, moved))
        far = anchor.roll(1, dims=0)
        pull = (anchor - near).square().sum(dim=1)
        push = torch.relu(margin**2 - (anchor - far).square().sum(dim=1))
        loss = (pull + push).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return encoder
