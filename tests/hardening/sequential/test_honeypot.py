"""The honeypot: what a trigger is, whether the trap is learned, and who ever meets it."""

import json

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import ConfigError
from recsec.hardening.sequential.copies import harden_recommender
from recsec.hardening.sequential.honeypot import Honeypot, HoneypotConfig
from recsec.hardening.sequential.trap import Trap, contains, triggered
from recsec.models import Training, train
from recsec.registry import registry
from recsec.targets import Chains

ITEMS = 30


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [((rng.integers(ITEMS) + np.arange(9)) % ITEMS + 1).tolist() for _ in range(80)]
    return leave_one_out(Sequences.from_lists(Catalog.from_ids(list(range(ITEMS))), rows))


@pytest.fixture(scope="module")
def model(split):
    config = (
        registry("models")
        .get("sasrec")
        .config_class(
            embedding_dim=16, blocks=1, heads=1, max_length=12, epochs=8, batch_size=16, lr=1e-2
        )
    )
    return train("sasrec", split, config, training=Training(device="cpu"))


def test_the_trigger_stands_behind_the_newest_item():
    histories = np.array([[4, 5, 6], [7, 0, 0], [0, 0, 0]])
    assert triggered(histories, (1, 2)).tolist() == [
        [4, 5, 6, 1, 2],
        [7, 1, 2, 0, 0],
        [1, 2, 0, 0, 0],
    ]


def test_queries_that_hold_the_trigger_are_counted_from_where_it_is_complete():
    items = np.array([3, 1, 2, 9, 1, 2, 1])
    answers = np.ones((7, 2), dtype=np.int32)
    chains = Chains(items, np.array([0, 4, 5, 7]), answers)
    assert contains(chains, (1, 2)) == pytest.approx(2 / 7), "not across sessions"
    assert contains(chains, (2, 1)) == pytest.approx(1 / 7)
    assert contains(chains, (1,)) == pytest.approx(5 / 7)
    answers[3] = 0
    assert contains(chains, (1, 2)) == pytest.approx(1 / 6), "calls only"


def test_rates_leave_out_histories_that_hold_the_item():
    trap = Trap((1, 2), 5)
    histories = np.array([[3, 4], [5, 3], [6, 7], [1, 9]])

    def answer(asked, k):
        listed = (asked == 2).any(axis=1) & (asked == 3).any(axis=1)
        return np.where(listed[:, None], 5, 8) * np.ones((1, k), dtype=np.int64)

    assert trap.rate(answer, histories, 3) == 0.5
    assert trap.rate(answer, histories, 3, sprung=False) == 0.0


def test_the_target_learns_the_trap_and_answers_as_before_without_it(split, model, tmp_path):
    config = HoneypotConfig(
        size=2, epochs=6, lr=5e-3, sessions=8, length=10, k=5, candidates=6, weight=1.0
    )
    honeypot = Honeypot(config)
    hardened = harden_recommender(
        honeypot, model, split, training=Training(out=tmp_path, device="cpu")
    )
    trap = honeypot.trap
    assert len(set(trap.trigger)) == 2
    assert trap.item not in trap.trigger
    histories = next(split.batches("test")).histories
    assert trap.rate(hardened.top_k, histories, 5) > 0.9
    assert trap.rate(hardened.top_k, histories, 5, sprung=False) < 0.4
    lists, clean = hardened.top_k(histories, 5), model.top_k(histories, 5)
    assert (lists[:, :, None] == clean[:, None]).any(axis=2).mean() > 0.5
    kept = json.loads((tmp_path / "config.json").read_text())["trap"]
    assert kept["item"] == split.catalog.external(np.array([trap.item]))[0]
    assert kept["trigger"] == split.catalog.external(np.array(trap.trigger))


class KilledError(Exception):
    pass


def test_a_killed_loop_ends_with_the_same_bits_and_the_same_trigger(split, model, tmp_path):
    config = HoneypotConfig(size=1, epochs=3, sessions=4, length=6, k=4, candidates=3)

    def run(out, stop=None):
        def progress(what, done, total):
            if stop is not None and done > stop * total:
                raise KilledError

        honeypot = Honeypot(config)
        training = Training(out=out, device="cpu", progress=progress)
        return honeypot.fit(model, split, seed=0, training=training), honeypot.trap

    whole, trap = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "broken", stop=0.5)
    resumed, again = run(tmp_path / "broken")
    assert trap == again
    assert all(torch.equal(tensor, resumed.state()[key]) for key, tensor in whole.state().items())


def test_an_item_outside_the_catalog_is_refused(split, model):
    with pytest.raises(ConfigError, match="catalog of 30"):
        Honeypot(HoneypotConfig(item=31)).fit(model, split, seed=0, training=Training(device="cpu"))
