"""The adaptive thief: each switch does what it says, and its calls are counted."""

from collections import Counter

import numpy as np
import pytest
import torch
from smooth_target import SmoothTarget, small_catalog

from recsec.attacks.extraction import Adaptive, ExtractionConfig, collect, fit_surrogate, order_test
from recsec.attacks.extraction.collect import averaged
from recsec.attacks.extraction.copying.distill import NEGATIVE_MARGIN, set_kernel
from recsec.attacks.extraction.copying.jumps import up_to_jumps
from recsec.attacks.extraction.copying.order import turned
from recsec.attacks.extraction.policies.base import AutoregressiveConfig, AutoregressivePolicy
from recsec.attacks.extraction.policies.human import HumanLike
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError
from recsec.models.sequential.objectives.losses import catalog_loss
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget
from recsec.traffic import ClickLaw

SMALL = {"embedding_dim": 32, "max_length": 12, "epochs": 20, "batch_size": 8, "lr": 5e-3}
PLAIN = ExtractionConfig(policy="mixed", length=12, sessions=10, surrogate_settings=SMALL)


class Reversed(LocalTarget):
    """Serves its lists worst first."""

    def query(self, account, histories, k):
        return super().query(account, histories, k)[:, ::-1].copy()


def ask(folder, *, calls=240, k=6, target=None, **changes):
    words = changes.pop("adaptive", [])
    config = PLAIN.model_copy(update={"adaptive": Adaptive.parse(words), **changes})
    metered = MeteredTarget(
        target or LocalTarget(SmoothTarget()),
        budget=Budget(calls=calls, k=k, accounts=config.adaptive.accounts),
        folder=folder,
    )
    collect(metered, config, calls=calls, k=k, streams=Streams(0))
    return metered, config


def test_words_become_switches_and_words_again():
    words = ("set-only", "human-like", "repeat=3", "accounts=10", "benign=0.5", "one-call")
    found = Adaptive.parse(words)
    assert (found.set_only, found.repeat, found.benign, found.list_flip) == (True, 3, 0.5, False)
    assert sorted(found.words()) == sorted(words)
    assert Adaptive.parse([]).words() == ()


@pytest.mark.parametrize("word", ["clever", "accounts", "accounts=0", "repeat=x", "benign=1"])
def test_words_that_mean_nothing_are_refused(word):
    with pytest.raises(ConfigError):
        Adaptive.parse([word])


@pytest.mark.parametrize("word", ["wary=0.1", "accounts=2"])
def test_a_forgotten_value_is_asked_for_with_one_that_fits(word):
    name, _, _ = word.partition("=")
    with pytest.raises(ConfigError, match=f"{name} needs a value, as in {word}"):
        Adaptive.parse([name])
    Adaptive.parse([word])


def test_repeating_counts_every_call_and_averages(tmp_path):
    metered, _ = ask(tmp_path, calls=90, adaptive=["repeat=3"])
    assert metered.calls == 90
    transcript = metered.transcript()
    asked = Counter(tuple(transcript.history(call)) for call in range(90))
    assert all(times % 3 == 0 for times in asked.values())
    lists = [np.array([[1, 2, 3]]), np.array([[2, 1, 4]]), np.array([[2, 3, 1]])]
    assert averaged(lists, 9).tolist() == [[2, 1, 3]]
    two = [np.array([[1, 2], [3, 4]]), np.array([[2, 1]])]
    assert averaged(two, 9)[1].tolist() == [3, 4]


def test_sessions_are_spread_over_the_accounts(tmp_path):
    metered, _ = ask(tmp_path, calls=240, adaptive=["accounts=5"])
    found = metered.calls_by_account
    assert len(found) == 5
    assert max(found.values()) <= 2 * min(found.values())
    assert sum(found.values()) == 240


def test_one_call_per_session_extends_nothing(tmp_path):
    metered, _ = ask(
        tmp_path, calls=60, adaptive=["one-call"], surrogate_settings={**SMALL, "epochs": 1}
    )
    calls = metered.transcript().calls
    sizes = np.diff(calls.offsets)
    assert (calls.parent == -1).mean() > 0.95
    assert sizes.min() >= 1
    assert sizes.max() > 5


def test_benign_sessions_are_leaked_histories(tmp_path):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(50)[:12] + 1 for _ in range(8)]
    leak = Sequences.from_lists(small_catalog(), rows)
    config = PLAIN.model_copy(
        update={"policy": "random", "leak": 0.1, "adaptive": Adaptive.parse(["benign=0.5"])}
    )
    metered = MeteredTarget(
        LocalTarget(SmoothTarget()), budget=Budget(calls=2400, k=6), folder=tmp_path
    )
    collect(metered, config, calls=2400, k=6, streams=Streams(0), leak=leak)
    transcript = metered.transcript()
    known = {tuple(row[: at + 1]) for row in rows for at in range(12)}
    share = np.mean([tuple(transcript.history(call)) in known for call in range(2400)])
    assert 0.3 < share < 0.7


def test_benign_needs_a_leak(tmp_path):
    with pytest.raises(ConfigError, match="leak"):
        ask(tmp_path, adaptive=["benign=0.5"])


class Breaking(LocalTarget):
    """Serves the best items to short histories, and from the fifth item on the worst."""

    def query(self, account, histories, k):
        if histories.shape[1] < 5:
            return super().query(account, histories, k)
        left = len(self.catalog) - histories.shape[1]
        return super().query(account, histories, left)[:, -k:]


def test_a_wary_thief_leaves_where_lists_jump_and_learns_what_came_before(tmp_path):
    metered, _ = ask(tmp_path / "wary", target=Breaking(SmoothTarget()), adaptive=["wary=0.1"])
    assert metered.calls == 240
    chains = metered.transcript().chains()
    lengths = np.diff(chains.offsets)
    assert lengths.max() == 5
    kept = up_to_jumps(chains, 0.1).answers[:, 0] > 0
    place = np.arange(len(chains.items)) - np.repeat(chains.offsets[:-1], lengths)
    assert kept[place == 0].all()
    assert kept[place < 4].mean() > 0.9
    assert not kept[place == 4].any()
    plain, _ = ask(tmp_path / "plain", target=Breaking(SmoothTarget()))
    heard = up_to_jumps(plain.transcript().chains(), 0.1)
    asked = heard.answers[:, 0].reshape(-1, 12) > 0
    assert (np.diff(asked.astype(int), axis=1) <= 0).all(), "nothing is learned after a jump"


def test_where_nothing_jumps_a_wary_thief_is_a_plain_one(tmp_path):
    wary, _ = ask(tmp_path / "wary", adaptive=["wary=0.1"])
    plain, _ = ask(tmp_path / "plain")
    np.testing.assert_array_equal(wary.transcript().calls.items, plain.transcript().calls.items)


def test_a_human_like_thief_takes_ranks_by_the_law_and_leaves_the_list_as_often():
    law = ClickLaw(acceptance=0.6, bias=1.0)
    thief = HumanLike(AutoregressivePolicy(AutoregressiveConfig(), items=60), law)
    histories, lists = np.full((20000, 1), 9), np.tile([1, 2, 3, 4], (20000, 1))
    chosen = thief.next(histories, lists, np.random.default_rng(0))
    share = np.bincount(chosen, minlength=61) / 20000
    law_share = 0.6 * np.array([12, 6, 4, 3]) / 25
    popular = (1 - share[1:5].sum()) / (60 - 5)  # off-list items never served are alike
    np.testing.assert_allclose(share[5:9], popular, atol=0.002)
    assert share[1] - share[4] == pytest.approx(law_share[0] - law_share[3], abs=0.02)
    assert share[9] == 0


def test_popular_starts_follow_what_was_served():
    thief = HumanLike(AutoregressivePolicy(AutoregressiveConfig(), items=60), ClickLaw())
    rng = np.random.default_rng(0)
    thief.next(np.full((500, 1), 9), np.tile([1, 2], (500, 1)), rng)
    assert np.isin(thief.first(200, rng), [1, 2]).mean() > 0.85


def test_order_is_told_apart_without_a_call(tmp_path):
    straight, _ = ask(tmp_path / "straight", calls=400)
    upside, _ = ask(tmp_path / "upside", calls=400, target=Reversed(SmoothTarget()))
    found = order_test(straight.transcript().chains())
    assert found.first > found.second
    assert not found.reversed
    assert order_test(upside.transcript().chains()).reversed
    chains = upside.transcript().chains(1)
    assert order_test(chains).z == 0


def test_survival_in_fractions():
    """Lists [1 2 3 4] -> [1 2 5 6]: the first half survives whole, the second not at all."""
    from recsec.targets import Chains

    answers = np.array([[1, 2, 3, 4], [1, 2, 5, 6], [1, 2, 7, 8]], dtype=np.int32)
    found = order_test(Chains(np.array([9, 10, 11]), np.array([0, 3]), answers))
    assert (found.first, found.second, found.pairs) == (1.0, 0.0, 2)


def test_turning_keeps_zeros_behind():
    lists = np.array([[1, 2, 3], [4, 5, 0], [0, 0, 0]], dtype=np.int32)
    assert turned(lists).tolist() == [[3, 2, 1], [5, 4, 0], [0, 0, 0]]


def test_turning_undoes_a_reversed_target(tmp_path):
    planted = SmoothTarget(items=20, decay=0.6)
    metered, config = ask(tmp_path, calls=480, k=4, target=Reversed(planted))
    rng = np.random.default_rng(9)
    histories = np.stack([rng.permutation(20)[:8] + 1 for _ in range(300)])
    found = {}
    for words in ([], ["list-flip"]):
        chosen = config.model_copy(update={"adaptive": Adaptive.parse(words)})
        copy = fit_surrogate(
            metered.transcript(), planted.catalog, chosen, calls=480, streams=Streams(0)
        )
        same = copy.top_k(histories, 1) == planted.top_k(histories, 1)
        found[len(words)] = same.mean()
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("loss", ["cross-entropy", "hinge"])
def test_a_set_only_loss_does_not_see_the_order(loss):
    rng = torch.Generator().manual_seed(0)
    hidden, table = torch.randn(6, 8, generator=rng), torch.randn(41, 8, generator=rng)
    lists = torch.stack([torch.randperm(40, generator=rng)[:5] + 1 for _ in range(6)])
    weights = torch.full((6, 5), 0.2)
    kernel = set_kernel(loss)
    one = catalog_loss(hidden, table, lists, weights, kernel=kernel)
    if loss == "cross-entropy":
        other = catalog_loss(hidden, table, lists.flip(1), weights, kernel=kernel)
        torch.testing.assert_close(one, other)
        return
    scores = hidden @ table.T  # of the hinge the second sum is left, in the order of the list
    scores[:, 0] = -torch.inf
    inside = scores.gather(1, lists)
    best = scores.scatter(1, lists, -torch.inf).topk(5, dim=1).values
    torch.testing.assert_close(one, (best - inside + NEGATIVE_MARGIN).clamp(min=0).sum() / 5)


def test_a_loss_on_the_order_cannot_leave_the_order_out():
    with pytest.raises(ConfigError, match="listmle"):
        set_kernel("listmle")


@pytest.mark.parametrize("name", ["random", "autoregressive", "coverage"])
def test_switches_go_with_every_policy(tmp_path, name):
    metered, _ = ask(
        tmp_path, calls=80, policy=name, adaptive=["human-like", "accounts=2", "repeat=2"]
    )
    assert metered.calls == 80
    assert registry("policies").get(name).name == name
