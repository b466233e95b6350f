"""Coverage, popularity and genres of lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsec.metrics import (
    coverage,
    genre_confusion,
    genre_counts,
    jaccard,
    mean_per_list,
    popularity_percentiles,
    weighted_jaccard,
)


def test_coverage_counts_each_item_once_and_never_padding() -> None:
    assert coverage(np.array([[1, 2, 0], [2, 1, 3]]), 6) == 1 / 2


def test_percentiles_share_ties() -> None:
    assert popularity_percentiles(np.array([9, 0, 5, 5, 8]))[1:].tolist() == [0, 1 / 2, 1 / 2, 1]


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.int64, st.integers(3, 20), elements=st.integers(0, 5)))
def test_percentiles_average_one_half(counts: np.ndarray) -> None:
    percentiles = popularity_percentiles(counts)[1:]
    assert percentiles.mean() == pytest.approx(0.5)
    assert ((percentiles >= 0) & (percentiles <= 1)).all()


def test_mean_per_list_leaves_out_what_has_no_value() -> None:
    values = np.array([np.nan, 2.0, 4.0, np.nan])
    means = mean_per_list(values, np.array([[1, 2, 0], [1, 3, 3], [3, 0, 0]]))
    assert means.tolist()[:2] == [3, 2]
    assert np.isnan(means[2])


def test_genre_counts_count_an_item_for_each_genre() -> None:
    genres = np.array([[0, 0], [1, 1], [0, 1]], dtype=bool)
    assert genre_counts(np.array([[1, 2, 2], [1, 0, 0]]), genres).tolist() == [[1, 3], [1, 1]]


def test_jaccard_of_sets_and_of_shares() -> None:
    a, b = np.array([[3.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 2.0]])
    assert jaccard(a, b).tolist() == [2 / 3]
    assert weighted_jaccard(a, b) == pytest.approx([(1 / 4 + 1 / 4) / (3 / 4 + 1 / 4 + 2 / 4)])


def test_jaccard_without_genres_is_unknown() -> None:
    empty, some = np.zeros((1, 2)), np.array([[1.0, 0.0]])
    assert np.isnan(jaccard(empty, empty))
    assert jaccard(empty, some).tolist() == [0]
    assert np.isnan(weighted_jaccard(empty, some))


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.float64, (3, 4), elements=st.integers(0, 5)),
    hnp.arrays(np.float64, (3, 4), elements=st.integers(0, 5)),
)
def test_jaccard_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    for metric in (jaccard, weighted_jaccard):
        value = metric(a, b)
        assert value == pytest.approx(metric(b, a), nan_ok=True)
        known = value[~np.isnan(value)]
        assert ((known >= 0) & (known <= 1 + 1e-12)).all()
        same = metric(a, a)
        assert same[~np.isnan(same)] == pytest.approx(1)


def test_confusion_splits_an_item_over_its_genres() -> None:
    genres = np.array([[0, 0], [1, 0], [1, 1]], dtype=bool)
    found = genre_confusion(np.array([1, 1]), np.array([[2, 0], [1, 0]]), genres)
    assert found[0].tolist() == [3 / 4, 1 / 4]
    assert np.isnan(found[1]).all()
