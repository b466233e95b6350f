import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.models.sequential.layers.windows import cut_windows, gather_windows, length_buckets


@settings(max_examples=60)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 99))
def test_every_transition_is_in_exactly_one_window(lengths, window, seed):
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    cuts = cut_windows(offsets, window, np.random.default_rng(seed))
    covered = [at for first, end in cuts for at in range(first, end - 1)]
    expected = [at for start, end in itertools.pairwise(offsets) for at in range(start, end - 1)]
    assert sorted(covered) == expected
    assert all(2 <= end - first <= window + 1 for first, end in cuts)


def test_cuts_move_between_epochs():
    offsets = np.array([0, 50])
    cuts = {
        tuple(cut_windows(offsets, 10, np.random.default_rng(seed))[:, 0]) for seed in range(20)
    }
    assert len(cuts) > 3


def test_gathering():
    items = np.array([10, 11, 12, 20, 21])
    windows = np.array([[0, 3], [3, 5]])
    assert gather_windows(items, windows).tolist() == [[10, 11, 12], [20, 21, 0]]


def test_buckets_hold_every_row_once_and_little_padding():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 200, 1000)
    batches = length_buckets(sizes, 16, rng)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padding = sum((sizes[rows].max() - sizes[rows]).sum() for rows in batches)
    assert padding / sizes.sum() < 0.1
