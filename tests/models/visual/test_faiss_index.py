"""FAISS finds what the exact index finds."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from recsec.errors import ConfigError, DataError
from recsec.models import ExactIndex
from recsec.models.visual.faiss_index import FaissIndex

pytest.importorskip("faiss")


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=rng), dim=1)


@pytest.mark.parametrize("exclude", [None, torch.arange(40)])
def test_exact_faiss_equals_ours(exclude):
    vectors = unit(2000, 32, 0)
    rows, cosines = FaissIndex(vectors).neighbors(vectors[:40], 10, exclude=exclude)
    expected, values = ExactIndex(vectors).neighbors(vectors[:40], 10, exclude=exclude)
    assert torch.equal(rows, expected)
    torch.testing.assert_close(cosines, values)


def test_the_graph_finds_nearly_all():
    vectors = unit(2000, 16, 0)
    own = torch.arange(100)
    rows, _ = FaissIndex(vectors, kind="hnsw").neighbors(vectors[own], 10, exclude=own)
    expected, _ = ExactIndex(vectors).neighbors(vectors[own], 10, exclude=own)
    found = (rows[:, :, None] == expected[:, None, :]).any(dim=2).double().mean()
    assert float(found) > 0.95
    assert not bool((rows == own[:, None]).any())


def test_a_catalog_of_one():
    index = FaissIndex(unit(1, 4, 0))
    rows, cosines = index.neighbors(unit(1, 4, 0), 5, exclude=torch.tensor([0]))
    assert (len(index), rows.tolist(), cosines.tolist()) == (1, [[-1]], [[-float("inf")]])


def test_what_is_no_embedding_is_refused():
    with pytest.raises(DataError, match="norm"):
        FaissIndex(torch.zeros(3, 4))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="FAISS") as found:
        FaissIndex(unit(3, 4, 0))
    assert "recsec[faiss]" in str(found.value.hint)
