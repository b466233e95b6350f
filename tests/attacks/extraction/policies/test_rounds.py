"""Attacks in rounds: what is selected, what it costs, and that no answer is asked for twice."""

import numpy as np
import pytest
import torch
from smooth_target import SmoothTarget, small_catalog

from recsec.attacks.extraction import ExtractionConfig, collect
from recsec.attacks.extraction.policies.active import farthest_first, list_entropy
from recsec.attacks.extraction.policies.base import MixedConfig, MixedPolicy
from recsec.attacks.extraction.policies.erase import EraseConfig, EraseRequeryPolicy, saliency
from recsec.attacks.extraction.policies.rounds import Seen, cut, oldest_first, rollouts
from recsec.data.sequences import pad
from recsec.errors import ConfigError
from recsec.models import MeanPool, MeanPoolConfig
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget

ROUNDS = ["active-entropy", "active-kcenter", "erase-requery"]
TINY = {"embedding_dim": 8, "max_length": 8, "epochs": 1, "blocks": 1, "heads": 1}


def config(policy, **changes):
    return ExtractionConfig(
        policy=policy,
        policy_settings={"first": 20, "longest": 6},
        length=6,
        sessions=5,
        surrogate_settings=TINY,
        **changes,
    )


def metered(folder, calls, target=None):
    return MeteredTarget(
        target or LocalTarget(SmoothTarget(), pool=8),
        budget=Budget(calls=calls, k=5),
        folder=folder,
    )


def histories_of(target):
    transcript = target.transcript()
    return [transcript.history(call).tolist() for call in range(len(transcript))]


@pytest.mark.parametrize("name", ROUNDS)
def test_the_budget_is_spent_and_asked_again_nothing_is_asked(tmp_path, name):
    asked = []
    for again in range(2):
        target = metered(tmp_path, 90)
        collect(target, config(name), calls=90, k=5, streams=Streams(0))
        assert (target.calls, target.asked) == (90, 0 if again else 90)
        asked.append(histories_of(target))
    assert asked[0] == asked[1]
    assert all(1 <= len(row) <= 6 and len(set(row)) == len(row) for row in asked[0])


def test_a_smaller_budget_asks_what_a_larger_one_asks_first(tmp_path):
    found = []
    for calls in (55, 70):
        target = metered(tmp_path / str(calls), calls)
        collect(target, config("active-entropy"), calls=calls, k=5, streams=Streams(0))
        found.append(histories_of(target))
    assert found[0] == found[1][:55]


class Fails(LocalTarget):
    """Dies after some calls, as a killed process does."""

    left = 50

    def query(self, account, histories, k):
        self.left -= len(histories)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().query(account, histories, k)


def test_killed_in_a_round_the_same_command_continues(tmp_path):
    whole = metered(tmp_path / "whole", 90)
    collect(whole, config("erase-requery"), calls=90, k=5, streams=Streams(0))
    broken = metered(tmp_path / "broken", 90, Fails(SmoothTarget(), pool=1))
    with pytest.raises(KeyboardInterrupt):
        collect(broken, config("erase-requery"), calls=90, k=5, streams=Streams(0))
    done = broken.asked
    resumed = metered(tmp_path / "broken", 90)
    collect(resumed, config("erase-requery"), calls=90, k=5, streams=Streams(0))
    assert resumed.asked == 90 - done
    assert histories_of(resumed) == histories_of(whole)


def test_rounds_need_a_transcript():
    with pytest.raises(ConfigError, match="transcript"):
        collect(metered(None, 50), config("active-entropy"), calls=50, k=5, streams=Streams(0))


def test_each_round_doubles_what_was_asked():
    kind = registry("policies").get("active-entropy")
    policy = kind(kind.config_class(first=100), items=10)
    assert [policy.size(number) for number in range(5)] == [100, 100, 200, 400, 800]


def test_farthest_first_visits_every_cluster_before_any_twice():
    rng = torch.Generator().manual_seed(0)
    centers = torch.eye(6)
    points = (centers[:, None] + 0.01 * torch.randn(6, 9, 6, generator=rng)).flatten(0, 1)
    chosen = farthest_first(points, 12, first=20)
    assert chosen[0] == 20
    assert len(set(chosen.tolist())) == 12
    assert sorted(chosen[:6] // 9) == list(range(6))


def test_entropy_of_known_lists():
    even = torch.tensor([[-torch.inf, 1.0, 1.0, 1.0, 1.0, -9.0]])
    sure = torch.tensor([[-torch.inf, 99.0, 1.0, 1.0, 1.0, -9.0]])
    assert float(list_entropy(even, 4)) == pytest.approx(np.log(4))
    assert float(list_entropy(sure, 4)) == pytest.approx(0, abs=1e-6)
    few = torch.tensor([[-torch.inf, 2.0, 2.0, -torch.inf, -torch.inf, -torch.inf]])
    assert float(list_entropy(few, 4)) == pytest.approx(np.log(2))


def test_rollouts_ask_nobody_and_cuts_are_prefixes():
    rng = np.random.default_rng(0)
    policy = MixedPolicy(MixedConfig(share=0.0), items=50)
    surrogate = SmoothTarget(seed=3)
    grown = rollouts(policy, surrogate, 7, 6, 5, rng)
    for at in range(1, 6):
        lists = surrogate.top_k(grown[:, :at], 5)
        assert (lists == grown[:, at : at + 1]).any(axis=1).all()
    pieces = cut(grown, 20, rng)
    for row, piece in enumerate(pieces):
        items = piece[piece > 0]
        assert items.tolist() == grown[row % 7, : len(items)].tolist()
    assert oldest_first(np.array([[0, 4, 0, 2]])).tolist() == [[4, 2, 0, 0]]


@pytest.fixture
def meanpool():
    model = MeanPool(small_catalog(20), MeanPoolConfig(embedding_dim=5, max_length=8))
    model.initialize(Streams(0).torch("weights"))
    torch.nn.init.normal_(model.items.weight, generator=torch.Generator().manual_seed(0))
    return model.eval()


def test_saliency_of_a_mean_in_closed_form(meanpool):
    """The first choice of a mean of embeddings depends on item i by <e_i, w> / n."""
    history = np.array([[3, 7, 9, 0]])
    best = int(meanpool.top_k(history, 1)[0, 0])
    pull = meanpool.output.weight[best].detach()
    expected = (meanpool.items.weight.detach()[[3, 7, 9]] @ pull / 3).abs()
    found = saliency(meanpool, history)[0]
    torch.testing.assert_close(found[:3], expected)
    assert float(found[3]) == 0


@pytest.mark.parametrize("name", ["bert4rec", "narm", "sasrec"])
def test_saliency_of_every_kind_of_surrogate(name):
    kind = registry("models").get(name)
    fields = kind.config_class.model_fields
    sizes = {key: value for key, value in TINY.items() if key in fields}
    model = kind(small_catalog(20), kind.config_class(**sizes))
    model.initialize(Streams(0).torch("weights"))
    found = saliency(model, np.array([[3, 7, 9, 0], [1, 2, 3, 4]]))
    assert found.shape == (2, 4)
    assert float(found[0, 3]) == 0
    assert (found[1] > 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_most_salient_items_are_erased(meanpool):
    policy = EraseRequeryPolicy(EraseConfig(share=0.3, longest=8), items=20)
    histories = pad([[3, 7, 9, 11], [5], [2, 4, 6, 8, 10, 12]])
    variants, sure = policy._erased(meanpool, histories)
    weight = saliency(meanpool, histories).numpy()
    for row, (before, after) in enumerate(zip(histories, variants, strict=True)):
        items, left = before[before > 0], after[after > 0]
        gone = min(int(np.ceil(0.3 * len(items))), len(items) - 1)
        order = np.argsort(-weight[row, : len(items)], kind="stable")
        assert left.tolist() == items[np.sort(order[gone:])].tolist()
    assert ((sure > 0) & (sure <= 1)).all()


def test_without_answers_histories_are_made_up():
    policy = EraseRequeryPolicy(EraseConfig(longest=5), items=20)
    found = policy.choose(9, Seen(None, None, 5), np.random.default_rng(0))
    assert found.shape == (9, 5)
    assert (found[:, 0] > 0).all()
