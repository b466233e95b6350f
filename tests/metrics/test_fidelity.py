"""Likeness of lists: hand-made cases, plain references, and the properties a likeness must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsec.metrics import agreement, kendall_tau, rbo

A = np.array([[1, 2, 3, 4]])


@st.composite
def two_lists(draw: st.DrawFn, k: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Two batches of three lists with up to ``k`` of nine items, padded with zeros."""
    batches = []
    for _ in range(2):
        rows = np.zeros((3, k), dtype=np.int64)
        for row in rows:
            length = draw(st.integers(1, k))
            row[:length] = draw(st.permutations(range(1, 10)))[:length]
        batches.append(rows)
    return batches[0], batches[1]


def plain_rbo(a: list[int], b: list[int], p: float) -> float:
    """Webber et al. eq. 32, term by term."""
    short, long = sorted([a, b], key=len)
    s, n = len(short), len(long)

    def x(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    first = sum(x(d) / d * p**d for d in range(1, n + 1))
    second = sum(x(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (first + second) + ((x(n) - x(s)) / n + x(s) / s) * p**n


def plain_tau(a: list[int], b: list[int]) -> float:
    """tau-b by scipy on the places in the union, missing items after the end."""
    union = sorted({*a, *b})
    places = [[row.index(i) if i in row else len(row) for i in union] for row in (a, b)]
    return stats.kendalltau(*places).statistic


def test_agreement_is_the_share_of_common_items() -> None:
    b = np.array([[4, 9, 2, 8]])
    assert [agreement(A, b, k)[0] for k in (1, 2, 3, 4)] == [0, 0, 1 / 3, 1 / 2]


def test_agreement_at_one_is_the_same_best_item() -> None:
    assert agreement(A, np.array([[1, 9, 8, 7]]), 1).tolist() == [1]


def test_empty_places_never_agree() -> None:
    a = np.array([[1, 2, 0, 0]])
    assert agreement(a, a, 4).tolist() == [1 / 2]


def test_agreement_refuses_lists_that_are_too_short() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        agreement(A, A, 5)
    with pytest.raises(ValueError, match="one shape"):
        agreement(A, A[:, :2], 1)


def test_rbo_of_a_swapped_pair() -> None:
    p = 0.5  # agreements 0, 1 at depths 1, 2; carried on beyond
    expected = (1 - p) / p * (0 * p + 1 * p**2) + 1 * p**2
    assert rbo(np.array([[1, 2]]), np.array([[2, 1]]), p) == pytest.approx([expected])


def test_rbo_of_two_empty_lists_is_unknown() -> None:
    assert np.isnan(rbo(np.zeros((1, 3), dtype=np.int64), np.zeros((1, 3), dtype=np.int64)))


def test_tau_of_one_reversed_pair_of_three() -> None:
    assert kendall_tau(np.array([[1, 2, 3]]), np.array([[1, 3, 2]])) == pytest.approx([1 / 3])
    assert kendall_tau(np.array([[1, 2, 3]]), np.array([[3, 2, 1]])).tolist() == [-1]


@settings(max_examples=60, deadline=None)
@given(two_lists())
def test_lists_match_their_plain_references(lists: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = lists
    pairs = [(x[x > 0].tolist(), y[y > 0].tolist()) for x, y in zip(a, b, strict=True)]
    assert agreement(a, b, 4) == pytest.approx([len({*x[:4]} & {*y[:4]}) / 4 for x, y in pairs])
    assert rbo(a, b, 0.8) == pytest.approx([plain_rbo(x, y, 0.8) for x, y in pairs])
    assert kendall_tau(a, b) == pytest.approx(
        [plain_tau(x, y) if len({*x, *y}) > 1 else np.nan for x, y in pairs], nan_ok=True
    )


@settings(max_examples=40, deadline=None)
@given(two_lists())
def test_likeness_is_symmetric_bounded_and_one_for_equal_lists(
    lists: tuple[np.ndarray, np.ndarray],
) -> None:
    a, b = lists
    for k in (1, 3, 6):
        assert (agreement(a, b, k) == agreement(b, a, k)).all()
        assert ((agreement(a, b, k) >= 0) & (agreement(a, b, k) <= 1)).all()
    assert rbo(a, b) == pytest.approx(rbo(b, a))
    assert ((rbo(a, b) >= 0) & (rbo(a, b) <= 1 + 1e-12)).all()
    assert kendall_tau(a, b) == pytest.approx(kendall_tau(b, a), nan_ok=True)
    assert rbo(a, a) == pytest.approx(np.ones(3))
    full = kendall_tau(a, a)
    assert full[(a > 0).sum(axis=1) > 1] == pytest.approx(1.0)


def test_disjoint_lists_share_nothing() -> None:
    b = A + 4
    assert agreement(A, b, 4).tolist() == [0]
    assert rbo(A, b).tolist() == [0]
    assert kendall_tau(A, b)[0] < 0


def test_many_users_give_the_same_as_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    a, b = (np.argsort(rng.random((50, 30)), axis=1)[:, :8] + 1 for _ in range(2))
    whole = kendall_tau(a, b), agreement(a, b, 5)
    monkeypatch.setattr("recsec.metrics.fidelity.CELLS", 100)
    assert kendall_tau(a, b) == pytest.approx(whole[0])
    assert agreement(a, b, 5) == pytest.approx(whole[1])
