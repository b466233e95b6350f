"""People whom a recommender has not seen: what they are served, and guards fitted to them."""

import json

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out, pad
from recsec.errors import ConfigError
from recsec.models import Recommender, Training, train
from recsec.models.base import ModelConfig
from recsec.targets import guard_digests, unseen_served_worse
from recsec.targets.guards import Misinform, MisinformConfig, Surroundings
from recsec.targets.guards.typical import NEWEST, keep_ranks, own_ranks, read_ranks
from recsec.targets.unseen import served_worse

ITEMS, LENGTH = 300, 30
CATALOG = Catalog.from_ids(range(1, ITEMS + 1))


class Memory(Recommender):
    """Items have a fixed order of merit; of histories it was shown, it knows what comes next."""

    name = "memory"
    config_class = ModelConfig

    def __init__(self, shown=()):
        super().__init__(CATALOG, ModelConfig())
        self.shown = {tuple(row[:end]): row[end] for row in shown for end in range(1, len(row))}
        self.merit = torch.linspace(1, 0, ITEMS + 1)

    def scores(self, histories):
        scores = self.merit.repeat(len(histories), 1)
        for at, row in enumerate(histories):
            known = self.shown.get(tuple(row[row > 0].tolist()))
            if known is not None:
                scores[at, known] = scores[at, known] ** 0.5 + 0.05
        scores[:, 0] = float("-inf")
        return scores

    def state(self):
        return {"shown": torch.tensor(list(self.shown.values()))}

    @classmethod
    def from_state(cls, catalog, config, state):
        return cls()

    @classmethod
    def fit(cls, split, config, *, seed, training):
        return cls([row.tolist() for row in split.train])


def people(count, seed):
    """Histories without repetition: any item, those of merit more often."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(10, ITEMS + 10)
    return [
        (1 + rng.choice(ITEMS, LENGTH, replace=False, p=weights / weights.sum())).tolist()
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def split():
    return leave_one_out(Sequences.from_lists(CATALOG, people(1200, 0)))


@pytest.fixture(scope="module")
def memory(split):
    return Memory.fit(split, ModelConfig(), seed=0, training=Training())


def test_half_of_what_is_due_is_enough_and_a_shorter_list_is_held_to_its_length():
    due = np.array([[1, 2, 3, 4]] * 5)
    served = np.array([[2, 1, 8, 9], [1, 7, 8, 9], [2, 1, 0, 0], [9, 0, 0, 0], [0, 0, 0, 0]])
    assert served_worse(due, served).tolist() == [False, True, False, True, True]


def test_fitted_to_unseen_people_it_keeps_its_promise_to_them(split, memory, tmp_path):
    strangers = pad(people(1000, 1))
    keep_ranks(tmp_path / "people.json", own_ranks(memory, pad(people(1000, 2))), items=ITEMS)
    shares = []
    for path in (None, tmp_path / "people.json"):
        config = MisinformConfig(false_alarms=0.02, people=path)
        guard = Misinform.build(config, Surroundings(memory, split.train))
        shares.append(len(guard.suspected(strangers)) / len(strangers))
    assert shares[0] > 0.05, "they look like nobody it was trained on"
    assert shares[1] < 0.04


@pytest.fixture(scope="module")
def checkpoint(split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("markov")
    train("markov", split, training=Training(out=folder))
    return folder


def ask(checkpoint, split, people, *, users=100, guards=({"name": "misinform"},)):
    rng = np.random.default_rng(5)
    return unseen_served_worse(
        checkpoint, guards, split, users=users, k=10, rng=rng, training=Training(), people=people
    )


def test_the_recipe_is_trained_without_them_and_half_of_them_ask(checkpoint, split, tmp_path):
    path = tmp_path / "people.json"
    found = ask(checkpoint, split, path)
    assert (found.worse.n, found.fitted.n) == (50, 50)
    assert read_ranks(path, items=ITEMS).shape == (100, NEWEST)
    cut = ask(checkpoint, split, path, guards=[{"name": "truncate", "length": 5}])
    assert (cut.worse.value, cut.fitted) == (0.0, None)
    with pytest.raises(ConfigError, match="cannot be left out"):
        ask(checkpoint, split, path, users=601)


def test_what_holds_no_ranks_is_refused_and_what_does_is_part_of_the_run(tmp_path):
    path = tmp_path / "people.json"
    table = {"name": "misinform", "people": str(path)}
    with pytest.raises(ConfigError, match="cannot read"):
        guard_digests([table])
    for text in ("", "[]", "{}", '{"items": 300, "ranks": [[1, 2]]}', '{"ranks": [[-1], [0]]}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="holds no ranks of people"):
            read_ranks(path, items=ITEMS)
    keep_ranks(path, np.ones((2, NEWEST), dtype=np.int64), items=ITEMS)
    with pytest.raises(ConfigError, match="not of these 40 items"):
        read_ranks(path, items=40)
    before = guard_digests([table])
    path.write_text(json.dumps({"items": ITEMS, "ranks": [[2] * NEWEST] * 2}))
    assert guard_digests([table]) != before
