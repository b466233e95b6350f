"""Pairs: categories, distinctness, and samples that nest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsec.attacks.evasion import PairPolicy, Pairs, Scene, popular_rows, read_pairs, sample_pairs
from recsec.errors import ConfigError, DataError
from recsec.rng import Streams

ROWS = np.arange(10, 50)
LABELS = np.arange(60) % 4


@pytest.mark.parametrize("policy", ["cross-category", "same-category", "popular-target"])
def test_pairs_keep_to_their_policy(policy: PairPolicy) -> None:
    popular = np.array([12, 13, 14, 15])
    found = sample_pairs(policy, ROWS, LABELS, 100, rng=Streams(3), popular=popular)
    assert len(found) == 100
    assert len(set(zip(found.attackers.tolist(), found.targets.tolist(), strict=True))) == 100
    alike = LABELS[found.attackers] == LABELS[found.targets]
    assert alike.all() if policy == "same-category" else not alike.any()
    assert set(found.attackers) <= set(ROWS)
    assert set(found.targets) <= set(popular if policy == "popular-target" else ROWS)


def test_a_small_sample_is_the_start_of_a_large_one() -> None:
    small, large = (
        sample_pairs("cross-category", ROWS, LABELS, n, rng=Streams(3)) for n in (20, 200)
    )
    assert large.first(20).attackers.tolist() == small.attackers.tolist()
    assert large.first(20).targets.tolist() == small.targets.tolist()


def test_too_few_pairs_are_an_error() -> None:
    with pytest.raises(DataError, match="expected 5"):
        sample_pairs("same-category", np.array([0, 1]), LABELS, 5, rng=Streams(0))
    with pytest.raises(DataError, match="found 2"):
        sample_pairs("cross-category", np.array([0, 1]), LABELS, 5, rng=Streams(0))


def test_an_item_is_no_target_of_itself() -> None:
    with pytest.raises(ConfigError, match="the target is the item itself"):
        Pairs(np.array([1, 2]), np.array([3, 2]), "csv")


def test_pairs_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("note,target,item\na,30,1\nb,10,2\n")
    found = read_pairs(path, lambda ids: np.array([int(one) for one in ids]))
    assert found.attackers.tolist() == [1, 2]
    assert found.targets.tolist() == [30, 10]
    path.write_text("item,other\n1,2\n")
    with pytest.raises(DataError, match="has no column for target"):
        read_pairs(path, lambda ids: np.zeros(len(ids), dtype=np.int64))
    path.write_text("item,target\n")
    with pytest.raises(DataError, match="is empty"):
        read_pairs(path, lambda ids: np.zeros(len(ids), dtype=np.int64))


def test_popular_items_are_those_in_most_lists(scene: Scene) -> None:
    vectors = scene.index.vectors
    cosines = (vectors @ vectors.T).fill_diagonal_(-2)
    counts = np.bincount(cosines.topk(10).indices.flatten().numpy(), minlength=60)
    found = popular_rows(scene.index, np.arange(60))
    assert sorted(counts[found]) == sorted(counts)[-3:]
