"""The assumed click law is what it says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from pydantic import ValidationError

from recsec.traffic import ACCEPTANCES, BIASES, ClickLaw


def test_shares_of_ranks_are_powers() -> None:
    total = 1 + Fraction(1, 2) + Fraction(1, 3)
    expected = [float(Fraction(1, rank) / total) for rank in (1, 2, 3)]
    np.testing.assert_allclose(ClickLaw(bias=1.0).probabilities(3), expected)
    np.testing.assert_allclose(ClickLaw(bias=0.0).probabilities(4), 0.25)


@pytest.mark.parametrize("bias", BIASES)
def test_draws_follow_the_law(bias: float) -> None:
    law, n = ClickLaw(bias=bias), 100_000
    lists = np.tile(np.arange(1, 11), (n, 1))
    drawn = np.bincount(law.draw(lists, np.random.default_rng(1)), minlength=11)[1:]
    expected = n * law.probabilities(10)
    assert ((drawn - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees, p = 0.001


def test_an_empty_place_gives_nothing() -> None:
    assert ClickLaw().draw(np.zeros((3, 5), np.int64), np.random.default_rng(0)).tolist() == [0] * 3


def test_labels_and_limits() -> None:
    labels = {ClickLaw(acceptance=c, bias=eta).label for c in ACCEPTANCES for eta in BIASES}
    assert len(labels) == 1 + (len(ACCEPTANCES) - 1) * len(BIASES)
    with pytest.raises(ValidationError):
        ClickLaw(acceptance=1.1)
    with pytest.raises(ValidationError):
        ClickLaw.model_validate({"measured": True})
