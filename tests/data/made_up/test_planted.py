"""The planted law: what is drawn follows it, and nobody ranks better than it does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recsec.data import SyntheticConfig, best_answer, best_hit_rate, load, optimal_scores, plant
from recsec.data.sequences import Split
from recsec.types import Answerer, IntArray

CONFIG = SyntheticConfig(users=1500, items=100, length=20, seed=3)


@pytest.fixture(scope="module")
def split() -> Split:
    return load(CONFIG.spec()).split()


def hit_rate(answer: Answerer, split: Split, k: int) -> float:
    hits = [
        (answer(batch.histories, k) == batch.targets[:, None]).any(axis=1)
        for batch in split.batches("test")
    ]
    return float(np.concatenate(hits).mean())


def from_scores(scores: np.ndarray) -> Answerer:
    """Ranks by ``scores[last item]``, history excluded."""

    def answer(histories: IntArray, k: int) -> IntArray:
        last = histories[np.arange(len(histories)), (histories > 0).sum(axis=1) - 1]
        chosen = scores[last].copy()
        np.put_along_axis(chosen, histories, -np.inf, axis=1)
        chosen[:, 0] = -np.inf
        return np.argsort(-chosen, axis=1)[:, :k]

    return answer


def test_probabilities_are_a_law() -> None:
    law = plant(CONFIG)
    table = law.probabilities(np.arange(101))
    assert np.allclose(table.sum(axis=1), 1)
    assert np.all(table[:, 0] == 0)
    assert np.all(table[:, 1:] > 0)
    assert np.allclose(table[0], law.popularity)


def test_draws_follow_the_probabilities() -> None:
    law, n = plant(CONFIG), 200_000
    rng = np.random.default_rng(5)
    for last in (0, 1, 57):
        drawn = np.bincount(law.draw(np.full(n, last), rng), minlength=101) / n
        expected = law.probabilities(np.array([last]))[0]
        spread = np.sqrt(expected * (1 - expected) / n)
        assert np.all(np.abs(drawn - expected) <= 5 * spread + 1e-12)


def test_scores_of_a_chain_that_can_be_checked_by_hand() -> None:
    law = plant(CONFIG)
    history = np.array([[7, 9, 0]])
    scores = optimal_scores(law, history)[0]
    first = law.successors[9][0]
    inside = law.popularity[first] / law.popularity[law.cluster == law.cluster[first]].sum()
    planted = 0.9 * 0.6 * np.array([0.4, 0.3, 0.2, 0.1])[law.successors[9] == first].sum()
    move = 0.9 * 0.4 * law.moves[law.cluster[9], law.cluster[first]] * inside
    assert scores[first] == pytest.approx(planted + move + 0.1 * law.popularity[first])
    assert np.all(np.isneginf(scores[[0, 7, 9]]))


def test_nobody_beats_the_best_answer(split: Split) -> None:
    best = best_answer(plant(CONFIG), split.catalog)
    counts = np.zeros((101, 101))
    for history in split.train:
        for last, item in pairwise(history):
            counts[last, item] += 1
    popular = np.tile(split.train.counts.astype(float), (101, 1))
    rivals = {"popularity": popular, "counted chain": counts + 1e-6 * popular}
    reached = {k: hit_rate(best, split, k) for k in (1, 5, 10)}
    for k, value in reached.items():
        for name, scores in rivals.items():
            assert value > hit_rate(from_scores(scores), split, k), (k, name)
    assert reached[1] < reached[5] < reached[10]


def test_learning_pays(split: Split) -> None:
    """The demo and many tests rest on this: a learner is far above popularity."""
    counts = np.zeros((101, 101))
    for history in split.train:
        for last, item in pairwise(history):
            counts[last, item] += 1
    popular = np.tile(split.train.counts.astype(float), (101, 1))
    learned = hit_rate(from_scores(counts + 1e-6 * popular), split, 10)
    assert learned > 2 * hit_rate(from_scores(popular), split, 10)


def test_the_stated_optimum_is_what_the_best_answer_reaches(split: Split) -> None:
    stated = best_hit_rate(CONFIG, k=10, users=1500)
    reached = hit_rate(best_answer(plant(CONFIG), split.catalog), split, 10)
    assert stated == pytest.approx(reached, abs=4 * np.sqrt(0.25 / 1500))


def test_lists_leave_out_history_and_fill_with_padding() -> None:
    data = load("synthetic:users=60,items=40,seed=1")
    answer = best_answer(plant(SyntheticConfig(users=60, items=40, seed=1)), data.catalog)
    n = len(data.catalog)
    lists = answer(np.array([[1, 2, 3, 0]]), n)
    assert lists.shape == (1, n)
    assert set(lists[0]) == set(range(4, n + 1)) | {0}
    assert lists[0, -3:].tolist() == [0, 0, 0]
