"""Every registered model keeps the contract, and the contract notices who does not."""

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out, pad
from recsec.errors import RecsecError
from recsec.models import Popularity, PopularityConfig, Training, train
from recsec.models.sequential.contract import CONTRACT
from recsec.registry import registry

NEURAL = {"epochs": 1, "embedding_dim": 8, "max_length": 6}


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 31, rng.integers(4, 12)).tolist() for _ in range(20)]
    return leave_one_out(Sequences.from_lists(Catalog.from_ids(list(range(100, 130))), rows))


@pytest.fixture
def histories():
    rng = np.random.default_rng(1)
    return pad([rng.permutation(30)[:length] + 1 for length in (9, 4, 7, 6)])


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry("models").keys())
def test_registered_models_keep_the_contract(name, check, split, histories):
    fields = registry("models").get(name).config_class.model_fields
    settings = {key: value for key, value in NEURAL.items() if key in fields}
    config = registry("models").get(name).config_class.model_validate(settings)
    model = train(name, split, config, training=Training(device="cpu", precision="float32"))
    check(model, histories)


class PaddingHasAScore(Popularity):
    def scores(self, histories):
        scores = super().scores(histories)
        scores[:, 0] = 0
        return scores


class CountsPadding(Popularity):
    def scores(self, histories):
        return super().scores(histories) * histories.shape[1]


class Forgets(Popularity):
    calls = 0

    def scores(self, histories):
        self.calls += 1
        return super().scores(histories) + self.calls


class TakesAnything(Popularity):
    @classmethod
    def from_state(cls, catalog, config, state):
        return cls(catalog, config, torch.arange(len(catalog) + 1.0))


class ListsHistory(Popularity):
    def top_k(self, histories, k, *, exclude_history=True):
        return super().top_k(histories, k, exclude_history=False)


@pytest.mark.parametrize(
    "kind", [PaddingHasAScore, CountsPadding, Forgets, TakesAnything, ListsHistory]
)
def test_breaking_the_contract_is_noticed(kind, split, histories):
    counts = torch.arange(len(split.catalog) + 1.0)
    model = kind(split.catalog, PopularityConfig(), counts)
    best = pad([[30, 29, 28, 27], [1, 2]])
    with pytest.raises(RecsecError):
        for check in CONTRACT:
            check(model, best)
