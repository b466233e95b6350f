"""Groups of users."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsec.evaluation.groups import activity_groups, genre_groups, group_rows


def test_quartiles_of_eight_lengths() -> None:
    found = activity_groups(np.array([1, 2, 3, 4, 5, 6, 7, 8]))
    assert len(found.names) == 4
    assert found.names[0] == "Q1 (1-3)"
    assert np.bincount(found.member).tolist() == [3, 2, 2, 1]


def test_equal_lengths_are_one_group() -> None:
    found = activity_groups(np.full(6, 9))
    assert found.names == ("Q1 (9-9)",)
    assert found.member.tolist() == [0] * 6


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(1, 12)))
def test_quartiles_are_ordered_and_keep_equals_together(lengths: np.ndarray) -> None:
    found = activity_groups(lengths)
    order = np.argsort(lengths, kind="stable")
    assert (np.diff(found.member[order]) >= 0).all()
    for length in np.unique(lengths):
        assert len(set(found.member[lengths == length].tolist())) == 1
    assert set(found.member.tolist()) == set(range(len(found.names)))


def test_dominant_genre_takes_the_most_frequent() -> None:
    found = genre_groups(np.array([[2, 1], [1, 3], [1, 1], [0, 0]]), ["Comedy", "Drama"])
    assert found.member.tolist() == [0, 1, 0, -1]


def test_rows_hold_the_mean_of_their_group() -> None:
    grouping = genre_groups(np.array([[1, 0], [1, 0], [0, 1]]), ["Comedy", "Drama"])
    column = np.array([1.0, 0.0, np.nan])
    rows = group_rows([grouping], {"hr@10": column}, np.random.default_rng(0))
    assert [(row.group, row.users) for row in rows] == [("Comedy", 2), ("Drama", 1)]
    assert rows[0].metrics["hr@10"].value == 1 / 2
    assert rows[0].to_json()["hr@10"]["n"] == 2
    assert rows[1].to_json()["hr@10"]["n"] == 0
