"""Exact ranks and neighbors against loops in float64, with duplicates and ties planted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from recsec.errors import DataError
from recsec.models import ExactIndex
from recsec.models.visual import index


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=rng), dim=1)


def plain_rank(vectors, embedding, target, attacker) -> int:
    """The definition, one vector at a time."""

    def cosine(vector):
        return float((vector.double() * vectors[target].double()).sum())

    reached = [
        cosine(vector) >= cosine(embedding)
        for row, vector in enumerate(vectors)
        if row not in (target, attacker)
    ]
    return 1 + sum(reached)


@given(
    rows=st.integers(2, 40), width=st.integers(1, 8), block=st.integers(1, 50), seed=st.integers(0)
)
def test_ranks_are_those_of_the_definition(rows, width, block, seed):
    vectors = unit(rows, width, seed % 1000)
    vectors[rows // 2] = vectors[0]
    rng = torch.Generator().manual_seed(seed % 1000)
    targets = torch.randint(0, rows, (6,), generator=rng)
    attackers = torch.randint(0, rows, (6,), generator=rng)
    embeddings = torch.cat([unit(3, width, 1), vectors[torch.tensor([0, rows // 2, rows - 1])]])
    expected = [
        plain_rank(vectors, e, int(t), int(a))
        for e, t, a in zip(embeddings, targets, attackers, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", block)
        patch.setattr(index, "CLOSE", 3)
        assert ExactIndex(vectors).rank(embeddings, targets, attackers).tolist() == expected


def test_a_tie_counts_against_the_attacker():
    right = torch.tensor([[1.0, 0.0]])
    vectors = torch.cat([right, F.normalize(torch.tensor([[1.0, 1.0]]), dim=1), -right])
    found = ExactIndex(vectors)
    rows = torch.tensor([0]), torch.tensor([2])
    assert found.rank(vectors[1:2], *rows).tolist() == [2]
    assert found.rank(right, *rows).tolist() == [1], "the target itself does not count"
    assert found.rank(-right, *rows).tolist() == [2], "nor does the attacker's clean vector"


def test_float32_cannot_tell_but_the_rank_can():
    """10,000 vectors around the embedding, all within the rounding of a float32 product."""
    rng = torch.Generator().manual_seed(0)
    base = unit(1, 256, 0)
    vectors = F.normalize(base + 1e-7 * torch.randn(10_000, 256, generator=rng), dim=1)
    targets, attackers = torch.tensor([5]), torch.tensor([9])
    exact = (vectors.double() * vectors[5].double()).sum(dim=1)
    reached = exact >= (base.double() * vectors[5].double()).sum()
    reached[[5, 9]] = False
    found = ExactIndex(vectors).rank(base, targets, attackers)
    assert found.tolist() == [1 + int(reached.sum())]


@pytest.mark.parametrize("r", [1, 3, 19])
def test_a_threshold_is_what_must_be_exceeded(r):
    vectors, embeddings = unit(20, 6, 0), unit(200, 6, 1)
    rng = torch.Generator().manual_seed(2)
    targets, attackers = (torch.randint(0, 20, (200,), generator=rng) for _ in range(2))
    found = ExactIndex(vectors)
    reached = (embeddings * vectors[targets]).sum(dim=1) > found.thresholds(targets, r, attackers)
    assert torch.equal(reached, found.rank(embeddings, targets, attackers) <= r)


def test_a_threshold_beyond_the_catalog_is_always_exceeded():
    pair = torch.tensor([0]), torch.tensor([1])
    assert ExactIndex(unit(3, 4, 0)).thresholds(pair[0], 2, pair[1]).tolist() == [-float("inf")]


@pytest.mark.parametrize("wide", [3, 64, 1000])
def test_neighbors_are_sorted_and_leave_out_what_is_excluded(monkeypatch, wide):
    monkeypatch.setattr(index, "WIDE", wide)
    vectors = unit(100, 8, 0)
    vectors[70] = vectors[20]
    queries = vectors[:30]
    exclude = torch.stack([torch.arange(30), torch.full((30,), -1)], dim=1)
    rows, cosines = ExactIndex(vectors).neighbors(queries, 10, exclude=exclude)
    expected = queries @ vectors.T
    expected[torch.arange(30), torch.arange(30)] = -9
    torch.testing.assert_close(cosines, expected.sort(dim=1, descending=True).values[:, :10])
    torch.testing.assert_close(expected.gather(1, rows), cosines)
    assert rows[20, 0] == 70
    assert ExactIndex(vectors).neighbors(vectors[[20]], 2)[0].tolist() == [[20, 70]]


def test_a_catalog_of_one_has_no_neighbors():
    found = ExactIndex(unit(1, 4, 0))
    rows, cosines = found.neighbors(found.vectors, 5, exclude=torch.tensor([0]))
    assert rows.tolist() == [[-1]]
    assert cosines.tolist() == [[-float("inf")]]
    one = torch.tensor([0])
    assert found.rank(found.vectors, one, one).tolist() == [1]


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (torch.zeros(0, 4), "empty"),
        (torch.tensor([[1.0, 0.0], [float("nan"), 0.0]]), "row 1 has norm nan"),
        (torch.tensor([[2.0, 0.0]]), "norm 2"),
        (torch.eye(2, dtype=torch.float64), "float64"),
    ],
)
def test_what_is_no_embedding_is_refused(vectors, said):
    with pytest.raises(DataError, match=said):
        ExactIndex(vectors)
