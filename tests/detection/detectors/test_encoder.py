"""SEAT's encoder: pooled vectors, and worst cases with the right sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.detection.detectors.encoder import (
    HALF_LIFE,
    WINDOW,
    Encoder,
    embed,
    encode,
    item_vectors,
    pool,
    train_encoder,
    worst_case,
)
from recsec.rng import Streams


@pytest.fixture(scope="module")
def people() -> Sequences:
    """Two kinds of users: one meets items 1..30, the other 31..60."""
    rng = np.random.default_rng(0)
    rows = [(rng.permutation(30)[:20] + 1 + 30 * (user % 2)).tolist() for user in range(60)]
    return Sequences.from_lists(Catalog.from_ids(list(range(60))), rows)


@pytest.fixture(scope="module")
def vectors(people: Sequences) -> np.ndarray:
    return item_vectors(people, None, width=8, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def encoder(people: Sequences, vectors: np.ndarray) -> Encoder:
    return train_encoder(
        vectors, people, width=8, margin=2.0, substitutions=2, attack_steps=2, steps=200, batch=32,
        streams=Streams(0),
    )  # fmt: skip


def padded(people: Sequences, count: int, length: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([people[user][:length] for user in range(count)]))


def test_items_that_stand_together_have_near_vectors(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(np.linalg.norm(vectors[1:], axis=1), 1.0, rtol=1e-5)
    assert not vectors[0].any()
    alike = vectors[1:] @ vectors[1:].T
    assert alike[:30, :30].mean() > alike[:30, 30:].mean() + 0.3


def test_pooling_equals_the_plain_loop(vectors: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.integers(1, 61, size).tolist() for size in (1, 7, WINDOW + 20)] + [[]]
    flat = np.array([item for row in rows for item in row])
    found = pool(flat, np.cumsum([0, *map(len, rows)]), vectors)
    for row, pooled in zip(rows, found, strict=True):
        newest = row[-WINDOW:]
        weights = [0.5 ** (age / HALF_LIFE) for age in range(len(newest) - 1, -1, -1)]
        mean, recent = np.zeros(8), np.zeros(8)
        for item, weight in zip(newest, weights, strict=True):
            mean += vectors[item] / len(newest)
            recent += vectors[item] * weight / sum(weights)
        np.testing.assert_allclose(pooled, np.concatenate([mean, recent]), atol=1e-5)


def test_both_paths_encode_alike(people: Sequences, vectors: np.ndarray, encoder: Encoder) -> None:
    rows = padded(people, 6, 12)
    slow = embed(encoder, torch.from_numpy(vectors)[rows], torch.full((6,), 12))
    pooled = pool(rows.numpy().ravel(), np.arange(0, 73, 12), vectors)
    np.testing.assert_allclose(encode(pooled, encoder.arrays()), slow.detach(), atol=1e-4)


def distances(
    encoder: Encoder, vectors: np.ndarray, a: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    table, size = torch.from_numpy(vectors), torch.full((len(a),), a.shape[1])
    with torch.no_grad():
        return (embed(encoder, table[a], size) - embed(encoder, table[b], size)).norm(dim=1)


def test_the_worst_case_lowers_the_similarity(
    people: Sequences, vectors: np.ndarray, encoder: Encoder
) -> None:
    """Ascent, not descent: further than any random change of the same size, within the budget."""
    rows = padded(people, 60, 15)
    start, worst = worst_case(
        encoder, torch.from_numpy(vectors), rows,
        substitutions=2, steps=4, generator=Streams(1).torch("worst"),
    )  # fmt: skip
    assert ((rows != worst).sum(dim=1) <= 2).all()
    assert (worst >= 1).all()
    from_start = distances(encoder, vectors, rows, start)
    from_worst = distances(encoder, vectors, rows, worst)
    assert (from_worst >= from_start - 1e-5).all()
    assert from_worst.mean() > 1.5 * from_start.mean()


def test_one_substitution_is_as_bad_as_the_worst_by_search(
    people: Sequences, vectors: np.ndarray, encoder: Encoder
) -> None:
    """Against trying all items at the same place."""
    rows = padded(people, 10, 8)
    _, worst = worst_case(
        encoder, torch.from_numpy(vectors), rows,
        substitutions=1, steps=6, generator=Streams(2).torch("worst"),
    )  # fmt: skip
    found = distances(encoder, vectors, rows, worst)
    for row in range(10):
        changed = (rows[row] != worst[row]).nonzero().ravel()
        tried = rows[row].repeat(60, 1)
        tried[:, changed[0] if len(changed) else 0] = torch.arange(1, 61)
        every = distances(encoder, vectors, rows[row].repeat(60, 1), tried)
        assert found[row] >= 0.8 * every.max()


def test_training_lowers_the_contrastive_loss(
    people: Sequences, vectors: np.ndarray, encoder: Encoder
) -> None:
    """Other users beyond the margin, worst cases near; the worst cases are each encoder's own."""
    fresh = Encoder(16, 64, 8, Streams(0).child("x").torch("weights"))
    a, b = padded(people, 60, 15)[:-1], padded(people, 60, 15)[1:]

    def loss(one: Encoder) -> float:
        table, generator = torch.from_numpy(vectors), Streams(3).torch("worst")
        _, worst = worst_case(one, table, a, substitutions=2, steps=3, generator=generator)
        far, near = distances(one, vectors, a, b), distances(one, vectors, a, worst)
        return float((near**2 + torch.relu(4.0 - far**2)).mean())

    assert loss(encoder) < 0.5 * loss(fresh)
    apart = distances(encoder, vectors, a, b)  # neighbors are users of the other kind
    assert apart.mean() > 1.8
