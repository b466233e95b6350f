"""Every registered guard keeps the contract, and the contract notices who does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import TargetError
from recsec.models import SasRec, SasRecConfig
from recsec.registry import registry
from recsec.targets import CONTRACT, LocalTarget
from recsec.targets.guards import GUARD_CONTRACT, Guard, Surroundings, Truncate, write_key

ITEMS = 60
HISTORIES = np.array([[3, 5, 9, 0], [8, 0, 0, 0], [1, 2, 9, 4], [4, 30, 2, 1], [0, 0, 0, 0]])

by_name = pytest.mark.parametrize("check", GUARD_CONTRACT, ids=lambda check: check.__name__)


def suspects_the_thief(account, histories):
    return account == "thief"


@pytest.fixture(scope="module")
def recommender():
    model = SasRec(
        Catalog.from_ids(range(1, ITEMS + 1)), SasRecConfig(embedding_dim=16, max_length=8)
    )
    model.initialize(torch.Generator().manual_seed(2))
    return model


@pytest.fixture(scope="module")
def scores():
    scores = torch.randn(len(HISTORIES), ITEMS + 1, generator=torch.Generator().manual_seed(3))
    scores.scatter_(1, torch.from_numpy(HISTORIES), float("-inf"))
    scores[:, 0] = float("-inf")
    return scores


@pytest.fixture(scope="module")
def guards(recommender, tmp_path_factory):
    key = tmp_path_factory.mktemp("key") / "owner.key"
    write_key(key)
    settings = {
        "watermark": {"key": key},
        "quantize": {"key": key, "lists": 64},
        "throttle": {"verdict": f"{__name__}:suspects_the_thief"},
    }
    known = [[item + 1 for item in range(ITEMS) if item % (user + 1) == 0] for user in range(20)]
    surroundings = Surroundings(recommender, Sequences.from_lists(recommender.catalog, known))
    built = {}
    for name, kind in registry("guards").items().items():
        given = settings.get(name, {})
        if name == "throttle":
            built[name] = kind(suspects_the_thief)
            continue
        built[name] = kind.build(kind.config_class.model_validate(given), surroundings)
    return built


@by_name
@pytest.mark.parametrize("name", registry("guards").keys())
def test_registered_guards_keep_the_contract(name, check, guards, scores):
    check(guards[name], HISTORIES, scores)


class Order(Guard):
    """Best first, made wrong by the subclasses."""

    name = "order"

    @classmethod
    def build(cls, config, surroundings):
        return cls()

    def answer(self, account, histories, scores, k):
        return Truncate(10_000).answer(account, histories, scores, k)


class Forgetful(Order):
    asked = 0

    def answer(self, account, histories, scores, k):
        self.asked += 1
        return np.roll(super().answer(account, histories, scores, k), self.asked, axis=1)


class Gaps(Order):
    def answer(self, account, histories, scores, k):
        lists = super().answer(account, histories, scores, k)
        lists[:, 0] = 0
        return lists


class ServesHistory(Order):
    def answer(self, account, histories, scores, k):
        free = scores.clone()
        free[:, 1:] = free[:, 1:].nan_to_num(neginf=9.0)
        return super().answer(account, histories, free, k)


class Writes(Order):
    def answer(self, account, histories, scores, k):
        scores[:, 1] = 0
        return super().answer(account, histories, scores, k)


class Counts(Order):
    """Depends on who asks beside it."""

    def answer(self, account, histories, scores, k):
        return np.roll(super().answer(account, histories, scores, k), len(histories), axis=1)


@pytest.mark.parametrize("kind", [Forgetful, Gaps, ServesHistory, Writes, Counts])
def test_breaking_the_contract_is_noticed(kind, scores):
    with pytest.raises(TargetError):
        for check in GUARD_CONTRACT:
            check(kind(), HISTORIES, scores.clone())


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("names", [["watermark"], ["quantize"], ["watermark", "shuffle"]])
def test_a_guarded_target_keeps_the_contract_of_targets(names, check, guards, recommender):
    check(LocalTarget(recommender, [guards[name] for name in names]), HISTORIES[:4])
