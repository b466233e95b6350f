"""Rank law and doubt: wrong lists are noticed and not learned, and the budget is what was said."""

import numpy as np
import pytest
import torch
from smooth_target import SmoothTarget

from recsec.attacks.extraction import Adaptive, ExtractionConfig, collect, fit_surrogate
from recsec.attacks.extraction.copying.doubt import believed, surprise
from recsec.attacks.extraction.doubting import opening_calls
from recsec.attacks.extraction.policies.rank_law import RankLawConfig, RankLawPolicy
from recsec.errors import ConfigError
from recsec.metrics import agreement
from recsec.models import top_k
from recsec.models.sequential.sasrec import SasRec, SasRecConfig
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget

SMALL = {"embedding_dim": 32, "epochs": 15, "batch_size": 8, "lr": 5e-3, "blocks": 1, "heads": 1}
PLAIN = ExtractionConfig(policy="rank-law", length=12, sessions=10, surrogate_settings=SMALL)
SWITCHED = PLAIN.model_copy(update={"policy": "mixed", "adaptive": Adaptive.parse(["doubt=0.05"])})


class Misinforms(LocalTarget):
    """Answers at random whose history holds a multiple of 5 after the seventh item."""

    wrong = 0

    def query(self, account, histories, k):
        lists = super().query(account, histories, k)
        caught = ((histories[:, 7:] > 0) & (histories[:, 7:] % 5 == 0)).any(axis=1)
        self.wrong += int(caught.sum())
        for row in np.flatnonzero(caught):
            rest = np.setdiff1d(np.arange(1, 51), histories[row])
            lists[row] = np.random.default_rng(int(histories[row].sum())).permutation(rest)[:k]
        return lists


def ask(folder, target=None, *, calls=900, k=6, config=PLAIN):
    metered = MeteredTarget(
        target or LocalTarget(SmoothTarget(), pool=1),
        budget=Budget(calls=calls, k=k),
        folder=folder,
    )
    collect(metered, config, calls=calls, k=k, streams=Streams(0))
    return metered


def histories_of(metered):
    transcript = metered.transcript()
    return [transcript.history(call).tolist() for call in range(len(transcript))]


@pytest.mark.parametrize("config", [PLAIN, SWITCHED])
def test_the_budget_is_spent_first_in_short_sessions(tmp_path, config):
    metered = ask(tmp_path, config=config)
    asked = histories_of(metered)
    opening = opening_calls(config, 900)
    assert (metered.calls, len(asked), opening) == (900, 900, 450)
    assert max(map(len, asked[:opening])) == 7
    assert 7 < max(map(len, asked[opening:])) <= 12
    assert all(len(set(row)) == len(row) for row in asked)


@pytest.mark.parametrize("calls", [1, 2, 3, 20])
def test_tiny_budgets(tmp_path, calls):
    assert ask(tmp_path, calls=calls).calls == calls


class Dies(LocalTarget):
    """Dies after some calls, as a killed process does."""

    left = 600

    def query(self, account, histories, k):
        self.left -= len(histories)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().query(account, histories, k)


def test_killed_between_copies_the_same_command_asks_the_rest(tmp_path):
    whole = ask(tmp_path / "whole", calls=700)
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path / "broken", Dies(SmoothTarget(), pool=1), calls=700)
    again = ask(tmp_path / "broken", calls=700)
    assert 0 < again.asked <= 700 - 560
    assert histories_of(again) == histories_of(whole)


def test_wrong_lists_are_noticed_and_not_learned(tmp_path):
    target = Misinforms(SmoothTarget(), pool=1)
    doubting = ask(tmp_path / "doubting", target, calls=1600, config=SWITCHED)
    caught = target.wrong
    believing = SWITCHED.model_copy(update={"adaptive": Adaptive.parse([])})
    target.wrong = 0
    plain = ask(tmp_path / "plain", target, calls=1600, config=believing)
    assert caught < 0.4 * target.wrong
    truth, rng = SmoothTarget(), np.random.default_rng(5)
    people = np.stack([1 + rng.permutation(50)[:10] for _ in range(200)])
    found = {}
    for name, metered, config in (
        ("doubting", doubting, SWITCHED),
        ("plain", plain, believing),
    ):
        copy = fit_surrogate(
            metered.transcript(), truth.catalog, config, calls=1600, streams=Streams(0)
        )
        lists = [top_k(model.scores(people), 6).numpy() for model in (copy, truth)]
        found[name] = float(agreement(*lists, 6).mean())
    assert found["doubting"] > found["plain"] + 0.03


class Fixed(SmoothTarget):
    """Ranks items by their number whatever the history."""

    def scores(self, histories):
        scores = -np.arange(51.0, dtype=np.float32)[None].repeat(len(histories), axis=0)
        scores[:, 0] = -np.inf
        return torch.from_numpy(scores)


def test_surprise_is_the_sum_of_log_ranks_without_the_history():
    histories, lists = np.array([[1, 2]]), np.array([[3, 6, 0]])
    expected = np.log(1 / 48) + np.log(4 / 48)
    assert surprise(Fixed(), histories, lists) == pytest.approx([expected])


def test_of_random_lists_the_stated_share_is_believed():
    rng = np.random.default_rng(0)
    lists = np.stack([1 + rng.permutation(50)[:3] for _ in range(4000)])
    histories = np.zeros((4000, 1), dtype=np.int64)
    share = believed(Fixed(), histories, lists, 0.1).mean()
    assert 0.04 < share < 0.11
    true = np.tile([1, 2, 3], (5, 1))
    assert believed(Fixed(), histories[:5], true, 0.01).all()


def test_ranks_follow_the_law_across_list_and_copy():
    policy = RankLawPolicy(RankLawConfig(), items=50)
    policy.surrogate = Fixed()
    histories = np.full((20_000, 1), 50)
    lists = np.tile([11, 12, 13, 14], (20_000, 1))
    chosen = policy.next(histories, lists, np.random.default_rng(0))
    order = [11, 12, 13, 14, *range(1, 11), *range(15, 50)]
    weights = (np.arange(1, 50) + 2.25) ** -1.3
    seen = np.bincount(chosen, minlength=51)[order] / 20_000
    assert np.abs(seen - weights / weights.sum()).max() < 0.01


def test_without_a_copy_he_stays_in_the_list():
    policy = RankLawPolicy(RankLawConfig(), items=50)
    lists = np.tile([11, 12, 13, 0], (5000, 1))
    chosen = policy.next(np.full((5000, 1), 50), lists, np.random.default_rng(0))
    weights = (np.arange(1, 4) + 2.25) ** -1.3
    seen = np.bincount(chosen, minlength=51) / 5000
    assert seen[[11, 12, 13]] == pytest.approx(weights / weights.sum(), abs=0.03)


def test_the_first_rank_has_the_share_that_is_set():
    weights = RankLawConfig(p1=0.4).weights(50)
    plain = RankLawConfig().weights(50)
    assert weights[0] / weights.sum() == pytest.approx(0.4)
    np.testing.assert_allclose(weights[1:], plain[1:])


def test_who_steers_takes_list_items_until_that_looks_like_a_machine():
    shares = {}
    for steer in (False, True):
        policy = RankLawPolicy(RankLawConfig(steer=steer), items=50)
        policy.surrogate = Fixed()
        rng = np.random.default_rng(0)
        histories = policy.first(200, rng)[:, None]
        taken = []
        for _ in range(30):
            rest = [np.setdiff1d(np.arange(1, 51), row)[:4] for row in histories]
            lists = np.array(rest)
            grown = policy.next(histories, lists, rng)
            taken.append((grown[:, None] == lists).any(axis=1))
            histories = np.concatenate([histories, grown[:, None]], axis=1)
        shares[steer] = np.mean(taken, axis=1)
    assert shares[True][0] == 1
    assert shares[True].mean() > shares[False].mean() + 0.05
    assert shares[True][-10:].mean() < 0.95


def test_a_session_with_a_taste_prefers_what_is_like_its_first_item():
    catalog = Fixed().catalog
    copy = SasRec(catalog, SasRecConfig(embedding_dim=8, blocks=1, heads=1, max_length=8))
    copy.initialize(Streams(0).torch("copy"))
    table = copy.item_table().detach().numpy()
    alike = {}
    for taste in (0.0, 2.0):
        policy = RankLawPolicy(RankLawConfig(taste=taste), items=50)
        policy.surrogate = copy
        histories = np.random.default_rng(1).integers(1, 51, (2000, 1))
        lists = np.zeros((2000, 4), dtype=np.int64)
        chosen = policy.next(histories, lists, np.random.default_rng(2))
        alike[taste] = (table[chosen] * table[histories[:, 0]]).sum(axis=1).mean()
        assert (chosen != histories[:, 0]).all()
    assert alike[2.0] > alike[0.0] + 0.5 * table[1:].var() * 8**0.5


@pytest.mark.parametrize(
    ("policy", "words", "said"),
    [
        ("rank-law", ["human-like"], "law of choice"),
        ("mixed", ["doubt=0.05", "one-call"], "one-call"),
        ("active-entropy", ["doubt=0.05"], "active-entropy"),
        ("rank-law", ["repeat=2"], "repeat"),
    ],
)
def test_what_cannot_go_together_is_refused(tmp_path, policy, words, said):
    config = PLAIN.model_copy(update={"policy": policy, "adaptive": Adaptive.parse(words)})
    with pytest.raises(ConfigError, match=said):
        ask(tmp_path, config=config)
