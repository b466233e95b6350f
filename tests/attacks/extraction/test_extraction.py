"""The whole attack on planted targets: budgets, resuming, and what can and cannot be copied."""

import numpy as np
import pytest
import torch

from recsec.attacks.extraction import ExtractionConfig, collect, fit_surrogate, surrogate_config
from recsec.data.catalog import Catalog
from recsec.errors import BudgetExhausted, ConfigError, RunError
from recsec.metrics import agreement
from recsec.models import Recommender
from recsec.models.base import ModelConfig
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget

ITEMS = 50
CATALOG = Catalog.from_ids(list(range(1, ITEMS + 1)))
SMALL = {"embedding_dim": 32, "max_length": 12, "epochs": 30, "batch_size": 8, "lr": 5e-3}


class Planted(Recommender):
    """Scores follow from the newest item alone, by a fixed table: easy to steal."""

    name = "planted"
    config_class = ModelConfig

    def __init__(self) -> None:
        super().__init__(CATALOG, ModelConfig())
        self.table = torch.randn(ITEMS + 1, ITEMS + 1, generator=torch.Generator().manual_seed(0))

    def scores(self, histories):
        lengths = (histories > 0).sum(axis=1)
        newest = histories[np.arange(len(histories)), np.maximum(lengths - 1, 0)]
        scores = self.table[torch.from_numpy(newest)].clone()
        scores[:, 0] = float("-inf")
        return scores

    def state(self):
        return {"table": self.table}

    @classmethod
    def from_state(cls, catalog, config, state):
        return cls()

    @classmethod
    def fit(cls, split, config, *, seed, training):
        return cls()


class Noise(Planted):
    """Answers without any rule: nothing can be learned about the next answer."""

    def scores(self, histories):
        seeds = [hash(row.tobytes()) % 2**31 for row in histories]
        scores = torch.stack(
            [torch.randn(ITEMS + 1, generator=torch.Generator().manual_seed(s)) for s in seeds]
        )
        scores[:, 0] = float("-inf")
        return scores


CONFIG = ExtractionConfig(policy="random", length=12, sessions=20, surrogate_settings=SMALL)


def steal(target, tmp_path, *, calls=1200, config=CONFIG, seed=0):
    metered = MeteredTarget(
        LocalTarget(target), budget=Budget(calls=calls, k=10), folder=tmp_path / "transcript"
    )
    collect(metered, config, calls=calls, k=10, streams=Streams(seed, ("collect",)))
    copy = fit_surrogate(
        metered.transcript(), CATALOG, config, calls=calls, streams=Streams(seed, ("fit",))
    )
    return metered, copy


def fidelity(a, b) -> float:
    rng = np.random.default_rng(9)
    histories = np.stack([rng.permutation(ITEMS)[:8] + 1 for _ in range(300)])
    return float(agreement(a.top_k(histories, 10), b.top_k(histories, 10), 10).mean())


def test_a_rule_is_copied_and_noise_is_not(tmp_path):
    _, copy = steal(Planted(), tmp_path / "rule")
    _, nothing = steal(Noise(), tmp_path / "noise")
    chance = 10 / (ITEMS - 8)
    assert fidelity(Planted(), copy) > 0.8
    assert fidelity(Noise(), nothing) < chance + 0.08


@pytest.mark.parametrize("loss", ["listmle", "hinge"])
def test_the_other_losses_copy_as_well(tmp_path, loss):
    _, copy = steal(Planted(), tmp_path, config=CONFIG.model_copy(update={"loss": loss}))
    assert fidelity(Planted(), copy) > 0.6


@pytest.mark.parametrize("calls", [1, 19, 20, 240, 250, 257])
def test_exactly_the_budget_is_spent(tmp_path, calls):
    metered = MeteredTarget(
        LocalTarget(Planted()), budget=Budget(calls=calls, k=5), folder=tmp_path
    )
    collect(metered, CONFIG, calls=calls, k=5, streams=Streams(0))
    assert metered.calls == calls
    assert len(metered.transcript()) == calls
    with pytest.raises(BudgetExhausted):
        metered.query("thief", np.array([[1]]), 5)


def test_a_smaller_budget_is_a_prefix_of_a_larger_one(tmp_path):
    spans = {}
    for calls in (130, 500):
        metered = MeteredTarget(
            LocalTarget(Planted()), budget=Budget(calls=calls, k=5), folder=tmp_path / str(calls)
        )
        collect(metered, CONFIG, calls=calls, k=5, streams=Streams(0))
        spans[calls] = metered.transcript()
    for call in range(120):
        np.testing.assert_array_equal(spans[130].history(call), spans[500].history(call))


def test_collecting_again_asks_nothing_and_fitting_again_gives_the_same_copy(tmp_path):
    first, copy = steal(Planted(), tmp_path, calls=400)
    second, again = steal(Planted(), tmp_path, calls=400)
    assert (first.asked, second.asked) == (400, 0)
    for name, tensor in copy.state().items():
        assert torch.equal(tensor, again.state()[name]), name


def test_another_seed_may_not_use_the_transcript(tmp_path):
    steal(Planted(), tmp_path, calls=100)
    with pytest.raises(RunError, match="another plan, seed or version"):
        steal(Planted(), tmp_path, calls=100, seed=1)


def test_epochs_and_batches_follow_from_the_calls_unless_set():
    plain = ExtractionConfig()
    small, large = (surrogate_config(plain, calls=calls) for calls in (10_000, 1_000_000))
    assert small.epochs > large.epochs
    assert small.batch_size < large.batch_size
    assert surrogate_config(CONFIG, calls=10_000).epochs == SMALL["epochs"]


def test_a_copy_reads_no_further_back_than_what_was_asked():
    plain = ExtractionConfig()
    assert surrogate_config(plain, calls=1000).max_length == 200
    assert surrogate_config(plain, calls=1000, longest=8).max_length == 8
    assert surrogate_config(plain, calls=1000, longest=900).max_length == 200
    assert surrogate_config(CONFIG, calls=1000, longest=2).max_length == SMALL["max_length"]


def test_a_surrogate_that_cannot_learn_lists_is_refused():
    with pytest.raises(ConfigError, match="trained on lists"):
        surrogate_config(ExtractionConfig(surrogate="markov"), calls=100)
