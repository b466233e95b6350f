"""Fidelity of answerers with planted likeness."""

import numpy as np
import pytest

from recsec.evaluation import fidelity, fidelity_of_lists
from recsec.rng import Streams

RNG = Streams(5)


def test_a_copy_agrees_fully(ring, oracle) -> None:
    found = fidelity(oracle, oracle.top_k, ring, batch=9).estimates(RNG.numpy("f"))
    assert list(found) == ["agr@1", "agr@5", "agr@10", "agr@20", "rbo", "tau"]
    for estimate in found.values():
        assert estimate.value == pytest.approx(1)
        assert estimate.n == 40


def test_a_shifted_copy_agrees_as_far_as_planted(ring) -> None:
    target = lambda h, k: np.tile(np.arange(1, k + 1), (len(h), 1))  # noqa: E731
    shifted = lambda h, k: np.tile(np.arange(3, k + 3), (len(h), 1))  # noqa: E731
    found = fidelity(shifted, target, ring).values
    assert found["agr@1"].tolist() == [0] * 40
    assert found["agr@5"].tolist() == [3 / 5] * 40
    assert found["agr@20"].tolist() == [18 / 20] * 40


def test_only_the_users_asked_for(ring, oracle) -> None:
    result = fidelity(oracle, oracle, ring, users=np.array([4, 2]), k=5)
    assert result.users.tolist() == [4, 2]
    assert result.target_lists[:, 0].tolist() == ring.targets("test")[[4, 2]].tolist()
    assert "agr@10" not in result.values
    assert "2 users" in result.protocol


def test_history_items_are_never_listed(ring, oracle) -> None:
    lists = fidelity(oracle, oracle, ring).target_lists
    for user, row in enumerate(lists):
        assert not set(row.tolist()) & set(ring.history("test", user).tolist())


def test_lists_at_hand_give_the_same(ring, oracle) -> None:
    asked = fidelity(oracle, oracle, ring)
    again = fidelity_of_lists(asked.surrogate_lists, asked.target_lists)
    assert again.protocol == asked.protocol
    with pytest.raises(ValueError, match="one shape"):
        fidelity_of_lists(asked.surrogate_lists, asked.target_lists[:, :5])
