from __future__ import annotations

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsec.models import SasRec, SasRecConfig
from recsec.targets import LocalTarget, Target
from recsec.targets.local import GROWING


def plain(model, histories, k, *, exclude_history=True):
    lists = model.top_k(histories, k, exclude_history=exclude_history)
    return np.pad(lists, ((0, 0), (0, k - lists.shape[1])))


def test_is_a_target(decay):
    assert isinstance(LocalTarget(decay), Target)


def test_growing_histories_are_extended_and_equal_the_plain_answers(decay):
    target, other = LocalTarget(decay), type(decay)(decay.catalog)
    rng = np.random.default_rng(0)
    histories = rng.integers(1, 41, (5, 1))
    for _ in range(30):
        answer = target.query("thief", histories, 10)
        np.testing.assert_array_equal(answer, plain(other, histories, 10))
        histories = np.column_stack([histories, answer[np.arange(5), rng.integers(0, 10, 5)]])
    assert (decay.encoded, decay.extended) == (5, 5 * 29)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), max_size=12))
def test_any_mixture_of_queries_gives_the_plain_answers(decay, plan):
    """Extending, repeating, shrinking and padding, by two accounts in turn."""
    target, other = LocalTarget(decay, chunk=3), type(decay)(decay.catalog)
    histories = {"a": np.array([[1], [2], [3], [4]]), "b": np.array([[9], [8]])}
    for account, choice in plan:
        current = histories[account]
        answer = target.query(account, current, 6)
        np.testing.assert_array_equal(answer, plain(other, current, 6))
        if choice < 3:
            current = np.column_stack([current, answer[:, choice]])
        elif len(current) > 1:
            current = current[1:].copy()
            current[0, -1] = 0
        histories[account] = current


def test_sasrec_past_its_window_gives_the_plain_answers(catalog):
    """Extended while the window fills, encoded anew when it slides."""
    torch.manual_seed(0)
    model = SasRec(catalog, SasRecConfig(embedding_dim=16, max_length=12))
    target = LocalTarget(model)
    histories = np.array([[1], [2], [3]])
    for step in range(20):
        answer = target.query("thief", histories, 10)
        np.testing.assert_array_equal(answer, plain(model, histories, 10))
        histories = np.column_stack([histories, answer[:, step % 10]])


def test_accounts_have_their_own_state(decay):
    target = LocalTarget(decay)
    target.query("a", np.array([[1]]), 3)
    target.query("b", np.array([[1, 2]]), 3)
    assert (decay.encoded, decay.extended) == (3, 0)
    target.query("a", np.array([[1, 2]]), 3)
    assert (decay.encoded, decay.extended) == (3, 1)


def test_several_chunks_grow_side_by_side(decay):
    target = LocalTarget(decay, chunk=2)
    target.query("a", np.array([[1], [2], [3], [4], [5]]), 3)
    target.query("a", np.array([[1, 6], [2, 6], [3, 6], [4, 6], [5, 6]]), 3)
    assert (decay.encoded, decay.extended) == (5, 5)


def test_old_groups_are_forgotten(decay):
    target = LocalTarget(decay)
    for item in range(1, GROWING + 2):
        target.query("a", np.array([[item]]), 3)
    decay.encoded = 0
    target.query("a", np.array([[1, 2]]), 3)
    target.query("a", np.array([[GROWING + 1, 2]]), 3)
    assert (decay.encoded, decay.extended) == (2, 1)


def test_history_is_left_out_unless_asked_otherwise(decay):
    histories = np.array([[1, 2, 3], [4, 0, 0]])
    lists = LocalTarget(decay).query("a", histories, 40)
    assert not set(lists[0]) & {1, 2, 3}
    assert (lists > 0).sum(axis=1).tolist() == [37, 39], "short lists are filled with zeros"
    everything = LocalTarget(decay, exclude_history=False).query("a", histories, 40)
    assert (np.sort(everything) == np.arange(1, 41)).all()


def test_lists_longer_than_the_catalog_are_filled(decay):
    lists = LocalTarget(decay).query("a", np.array([[1]]), 50)
    assert lists.shape == (1, 50)
    assert (lists > 0).sum() == 39


def test_empty_and_no_histories(decay):
    target = LocalTarget(decay)
    assert target.query("a", np.zeros((2, 0), dtype=np.int64), 4).shape == (2, 4)
    assert target.query("a", np.zeros((0, 3), dtype=np.int64), 4).shape == (0, 4)
