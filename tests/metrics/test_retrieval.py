"""Retrieval metrics against fractions that a reader can check."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsec.metrics import average_precision_at_r, hubness, occurrences, precision


def test_precision_counts_equal_labels_and_misses_where_a_list_ends():
    labels = torch.tensor([7, 2])
    found = torch.tensor([[7, 1, 7, -1], [2, 2, 2, 2]])
    assert precision(labels, found, 1).tolist() == [1.0, 1.0]
    assert precision(labels, found, 3).tolist() == pytest.approx([2 / 3, 1.0])
    assert precision(labels, found, 4).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="1 to 4"):
        precision(labels, found, 5)


def test_average_precision_at_r():
    same = torch.tensor([[True, False, True, True], [False, True, False, False]])
    found = average_precision_at_r(same, torch.tensor([3, 2])).tolist()
    assert found == pytest.approx([(1 / 1 + 2 / 3) / 3, (1 / 2) / 2])
    assert math.isnan(float(average_precision_at_r(same[:1], torch.tensor([0]))))
    with pytest.raises(ValueError, match="shorter than R = 5"):
        average_precision_at_r(same, torch.tensor([5, 1]))


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 1000))
def test_average_precision_lies_between_nothing_and_a_perfect_list(relevant, extra, seed):
    rng = torch.Generator().manual_seed(seed)
    hits = (torch.arange(relevant + extra) < relevant)[None]
    mixed = hits[:, torch.randperm(relevant + extra, generator=rng)]
    r = torch.tensor([relevant])
    assert float(average_precision_at_r(hits, r)) == pytest.approx(1)
    assert 0 <= float(average_precision_at_r(mixed, r)) <= 1


def test_a_hub_skews_the_occurrences():
    lists = torch.tensor([[3, 1], [3, 0], [3, -1], [3, 2]])
    counts = occurrences(lists, 5)
    assert counts.tolist() == [1, 1, 1, 4, 0]
    assert hubness(torch.tensor([2, 2, 2])) == 0.0
    x = [1, 1, 1, 4, 0]
    mean = sum(x) / 5
    spread = math.sqrt(sum((v - mean) ** 2 for v in x) / 5)
    assert hubness(counts) == pytest.approx(sum((v - mean) ** 3 for v in x) / 5 / spread**3)
    assert hubness(torch.tensor([1, 3])) == pytest.approx(0)
