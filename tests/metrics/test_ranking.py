"""Ranks and the metrics of ranks, against values that a reader can check."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsec.metrics import hits, list_ranks, mrr, ndcg, target_ranks

INF = float("inf")


def test_ranks_count_items_that_score_higher() -> None:
    scores = torch.tensor([[-INF, 0.1, 0.9, 0.5], [-INF, 3.0, 2.0, 1.0]])
    assert target_ranks(scores, torch.tensor([3, 1])).tolist() == [2, 1]


def test_padding_never_takes_a_rank() -> None:
    scores = torch.tensor([[99.0, 0.1, 0.9]])
    assert target_ranks(scores, torch.tensor([2])).tolist() == [1]


def test_ties_count_against_the_recommender() -> None:
    scores = torch.zeros(1, 5)
    assert target_ranks(scores, torch.tensor([1])).tolist() == [4]


def test_nan_scores_never_win() -> None:
    nan = float("nan")
    scores = torch.tensor([[-INF, nan, nan, nan], [-INF, 1.0, nan, 0.0]])
    assert target_ranks(scores, torch.tensor([1, 1])).tolist() == [4, 2]


def test_masked_target_is_in_no_list() -> None:
    scores = torch.tensor([[-INF, -INF, 0.5]])
    assert target_ranks(scores, torch.tensor([1])).tolist() == [3]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (4, 9), elements=st.floats(-3, 3, width=16)), st.integers(1, 8))
def test_ranks_equal_the_plain_reference(scores: np.ndarray, target: int) -> None:
    ranks = target_ranks(torch.from_numpy(scores), torch.full((4,), target))
    plain = [sum(row[j] >= row[target] for j in range(1, 9)) for row in scores]
    assert ranks.tolist() == plain


def test_list_ranks_stop_at_the_end_of_the_list() -> None:
    lists = np.array([[7, 3, 5], [7, 3, 0]])
    assert list_ranks(lists, np.array([5, 9])).tolist() == [3, 4]


def test_metrics_of_known_ranks() -> None:
    ranks = np.array([1, 3, 10, 11])
    assert hits(ranks, 10).tolist() == [1, 1, 1, 0]
    assert ndcg(ranks, 10) == pytest.approx([1, 1 / 2, 1 / np.log2(11), 0])
    assert mrr(ranks, 10) == pytest.approx([1, 1 / 3, 1 / 10, 0])


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int64, 20, elements=st.integers(1, 50)), st.integers(1, 49))
def test_metrics_are_bounded_ordered_and_monotone_in_k(ranks: np.ndarray, k: int) -> None:
    for metric in (hits, ndcg, mrr):
        now, later = metric(ranks, k), metric(ranks, k + 1)
        assert ((now >= 0) & (now <= later) & (later <= 1)).all()
    assert (mrr(ranks, k) <= ndcg(ranks, k)).all()
    assert (ndcg(ranks, k) <= hits(ranks, k)).all()
