"""Genre bias against the formula, and at its ends."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.models.sequential.rerank import genre_match, genre_rerank, with_genre_bias


@pytest.fixture
def catalog() -> Catalog:
    """1 and 2 are comedies, 3 drama, 4 both, 5 without genre."""
    genres = [["Comedy"], ["Comedy"], ["Drama"], ["Comedy", "Drama"], []]
    return Catalog(
        pl.DataFrame(
            {"id": range(5), "title": list("abcde"), "genres": genres, "year": [None] * 5},
            schema_overrides={"genres": pl.List(pl.String), "year": pl.Int64},
        )
    )


def test_match_is_the_cosine(catalog: Catalog) -> None:
    match = genre_match(np.array([[1, 3, 4, 5, 0]]), np.array([[1, 2, 4, 0]]), catalog)
    liked = np.array([3, 1]) / np.sqrt(10)  # three comedies, one drama
    expected = [liked[0], liked[1], liked.sum() / np.sqrt(2), 0, 0]
    assert match[0] == pytest.approx(expected)


def test_score_follows_the_formula(catalog: Catalog) -> None:
    """w = 0.5: the drama at rank 2 gains on the comedy at rank 1 by what the formula says."""
    lists, history = np.array([[1, 3]]), np.array([[3]])
    rank_part = np.exp(-1 / 20)
    assert 0.5 * rank_part + 0.5 * 1 > 0.5 * 1 + 0.5 * 0
    assert genre_rerank(lists, history, catalog, weight=0.5, k=2).tolist() == [[3, 1]]
    tipping = (1 - rank_part) / (2 - rank_part)
    assert genre_rerank(lists, history, catalog, weight=tipping * 0.99, k=2).tolist() == [[1, 3]]
    assert genre_rerank(lists, history, catalog, weight=tipping * 1.01, k=2).tolist() == [[3, 1]]


def test_no_weight_or_no_genres_changes_nothing(catalog: Catalog) -> None:
    lists, history = np.array([[5, 3, 1, 0]]), np.array([[2]])
    assert genre_rerank(lists, history, catalog, weight=0.0, k=4).tolist() == lists.tolist()
    bare = Catalog.from_ids(range(5))
    assert genre_rerank(lists, history, bare, weight=1.0, k=4).tolist() == lists.tolist()


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(1, 6)), st.integers(1, 5), st.floats(0, 1))
def test_the_result_is_a_reordering_with_padding_last(
    catalog_order: list[int], filled: int, weight: float
) -> None:
    items = Catalog.from_ids(range(5))
    lists = np.zeros((1, 5), dtype=np.int64)
    lists[0, :filled] = catalog_order[:filled]
    found = genre_rerank(lists, np.array([[1]]), items, weight=weight, k=5)
    assert sorted(found[0]) == sorted(lists[0])
    assert (found[0, :filled] > 0).all()


def test_bias_reaches_down_into_the_pool(catalog: Catalog) -> None:
    asked = []

    def answer(histories: np.ndarray, k: int) -> np.ndarray:
        asked.append(k)
        return np.array([[1, 2, 3]])[:, :k]

    biased = with_genre_bias(answer, catalog, weight=1.0, pool=3)
    assert biased(np.array([[3]]), 1).tolist() == [[3]]
    assert asked == [3]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_the_unit_interval_is_refused(catalog: Catalog, weight: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        with_genre_bias(lambda h, k: h, catalog, weight=weight)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        genre_rerank(np.array([[1]]), np.array([[1]]), catalog, weight=weight, k=1)
