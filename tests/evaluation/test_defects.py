"""What a sound recommender does not do is found, and nothing is found in a sound one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.errors import TargetError
from recsec.evaluation.answers import fit_lists
from recsec.evaluation.defects import defects, one_ranking, own_share, repeated

USERS, ITEMS, K = 40, 30, 5
RNG = np.random.default_rng(0)
HISTORIES = np.stack([RNG.permutation(ITEMS)[:4] + 1 for _ in range(USERS)])
RANKING = RNG.permutation(ITEMS) + 1


def without_own(rankings) -> np.ndarray:
    pairs = zip(rankings, HISTORIES, strict=True)
    return np.stack([ranking[~np.isin(ranking, own)][:K] for ranking, own in pairs])


def test_a_sound_model_has_none():
    lists = without_own(RNG.permutation(ITEMS) + 1 for _ in range(USERS))
    assert defects(lists, HISTORIES, k=K, items=ITEMS) == ()


@pytest.mark.hostile(kind="models", what="a model that serves one ranking to all histories")
@pytest.mark.parametrize("own", [True, False])
def test_one_ranking_for_all_is_named(own):
    lists = without_own([RANKING] * USERS) if own else np.tile(RANKING[:K], (USERS, 1))
    found = defects(lists, HISTORIES, k=K, items=ITEMS)
    assert "40 different histories get comes from one and the same ranking" in found[0]
    lists[:8] = without_own(RNG.permutation(ITEMS) + 1 for _ in range(USERS))[:8]
    found = defects(lists, HISTORIES, k=K, items=ITEMS)
    assert not any("one and the same" in one for one in found)


@pytest.mark.hostile(kind="models", what="a model that lists the history, too little, or nothing")
@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (HISTORIES, "100.0% of the listed items are in the history"),
        (
            np.pad(
                RNG.permuted(np.tile(np.arange(1, 31), (40, 1)), axis=1)[:, :2], ((0, 0), (0, 3))
            ),
            "no list is longer than 2, though 5 items were asked for",
        ),
        (np.zeros((USERS, K), dtype=np.int64), "all 40 lists are empty"),
    ],
    ids=["history", "short", "empty"],
)
def test_lists_of_a_broken_model_are_named(lists, said):
    assert any(said in one for one in defects(lists, HISTORIES, k=K, items=ITEMS))


def test_a_catalog_that_runs_out_is_no_defect():
    lists = np.array([[3, 0, 0], [1, 0, 0]])
    assert defects(lists, np.array([[1, 2], [2, 3]]), k=3, items=3) == ()


def test_a_list_of_all_that_is_left_is_no_ranking():
    lists = np.stack([RNG.permutation(6) + 1 for _ in range(USERS)])
    assert defects(lists, np.full((USERS, 1), 7), k=6, items=7) == ()


@given(st.permutations(range(1, 41)), st.lists(st.sets(st.integers(1, 40), max_size=8), min_size=1))
def test_lists_of_one_ranking_are_always_recognized(ranking, owns):
    width = max(map(len, owns)) or 1
    histories = np.array([[*own, *[0] * (width - len(own))] for own in owns])
    lists = np.array([[item for item in ranking if item not in own][:6] for own in owns])
    assert one_ranking(lists, histories, items=40) == 1


def test_shares_and_repeats_by_hand():
    assert own_share(np.array([[1, 2, 0], [3, 4, 0]]), np.array([[1, 2], [5, 0]])) == 0.5
    assert own_share(np.zeros((2, 3), dtype=np.int64), np.array([[1], [2]])) == 0
    assert repeated(np.array([[1, 2, 0, 0], [3, 5, 3, 0]])) == (1, 3)
    assert repeated(np.array([[1, 2, 0, 0]])) is None
    with pytest.raises(TargetError, match="list 1 of 2 names item 3 twice"):
        fit_lists(np.array([[1, 2], [3, 3]]), rows=2, k=2)
