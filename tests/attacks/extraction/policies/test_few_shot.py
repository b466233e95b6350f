"""Thieves with leaked histories: what they ask, and what they know without asking."""

import numpy as np
import pytest
from smooth_target import SmoothTarget, small_catalog

from recsec.attacks.extraction import (
    ExtractionConfig,
    Knowledge,
    collect,
    fit_guide,
    leaked_histories,
    leaked_users,
)
from recsec.attacks.extraction.copying.leak import Replay
from recsec.attacks.extraction.policies.few_shot import FewShotConfig, FewShotPolicy
from recsec.attacks.extraction.policies.pool import KnockoffPoolPolicy, LeakedWalk
from recsec.attacks.extraction.policies.rounds import RoundConfig, Seen
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import ConfigError
from recsec.models import Popularity
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget

TINY = {"embedding_dim": 16, "max_length": 8, "blocks": 1, "heads": 1}
ITEMS = 20


@pytest.fixture(scope="module")
def split():
    """Users who walk a cycle of items: after i comes i + 1."""
    rng = np.random.default_rng(0)
    rows = [((rng.integers(ITEMS) + np.arange(8)) % ITEMS + 1).tolist() for _ in range(60)]
    return leave_one_out(Sequences.from_lists(small_catalog(ITEMS), rows))


def test_a_leak_is_a_share_of_the_users_without_their_test_items(split):
    users = leaked_users(split, 0.25, Streams(0))
    assert len(set(users.tolist())) == 15
    np.testing.assert_array_equal(users, leaked_users(split, 0.25, Streams(0)))
    leak = leaked_histories(split, users)
    for row, user in enumerate(users):
        assert leak[row].tolist() == split.full[int(user)][:-1].tolist()
    assert leak.users.tolist() == split.full.users[users].tolist()
    with pytest.raises(ConfigError, match="nobody"):
        leaked_users(split, 0.001, Streams(0))


def test_the_guide_learns_from_the_leak_alone(split, tmp_path):
    leak = leaked_histories(split, leaked_users(split, 0.9, Streams(0)))
    config = ExtractionConfig(leak=0.9, surrogate_settings={**TINY, "lr": 1e-2})
    guide = fit_guide(leak, config, seed=0, out=tmp_path, device="cpu")
    batch = next(split.batches("test"))
    found = (guide.top_k(batch.histories, 1)[:, 0] == batch.targets).mean()
    popular = Popularity.of(leak).top_k(batch.histories, 1)[:, 0] == batch.targets
    assert found > popular.mean() + 0.3
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    fit_guide(leak, config, seed=0, out=tmp_path, device="cpu")
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before


def test_a_leak_too_short_to_learn_from_is_named(split):
    leak = Sequences.from_lists(split.catalog, [[1, 2], [3]])
    with pytest.raises(ConfigError, match="3 items"):
        fit_guide(leak, ExtractionConfig(leak=0.1), seed=0)


def test_leaked_histories_are_replayed_once_each(split):
    replay, rng = Replay(split.full), np.random.default_rng(0)
    rows = []
    while (script := replay.once(7, rng)) is not None:
        rows += [row[row > 0].tolist() for row in script]
    assert sorted(rows) == sorted(row.tolist() for row in split.full)
    assert len(replay.again(5, rng)) == 5


def test_the_signal_is_how_often_users_take_what_they_were_served(split):
    policy = FewShotPolicy(FewShotConfig(), items=ITEMS, knowledge=Knowledge(split.full))
    lists = np.tile([1, 2, 3], (98, 1))
    policy.heard(lists, np.repeat([2, 9], [24, 74]))
    assert policy.signal == pytest.approx(0.25)
    histories = np.full((8000, 1), 12)
    served = np.tile([1, 2, 3], (8000, 1))
    chosen = policy.next(histories, served, np.random.default_rng(0))
    from_list = np.isin(chosen, [1, 2, 3]).mean()
    assert from_list == pytest.approx(0.25 + 0.75 * 3 / 19, abs=0.02)


def test_the_guide_decides_within_the_list():
    guide = SmoothTarget(items=ITEMS)
    policy = FewShotPolicy(FewShotConfig(), items=ITEMS, knowledge=Knowledge(guide=guide))
    histories, lists = np.array([[4]]), np.array([[1, 7, 0]])
    weights = policy.preference(histories, lists)[0]
    gap = guide.table[4, 1] - guide.table[4, 7]
    assert weights[0] / weights[1] == pytest.approx(float(gap.exp()), rel=1e-4)
    assert weights[2] == 0


def test_few_shot_asks_leaked_histories_and_sessions_of_its_own(split, tmp_path):
    leak = leaked_histories(split, leaked_users(split, 0.2, Streams(0)))
    config = ExtractionConfig(
        policy="few-shot",
        policy_settings={"replay": 0.5},
        leak=0.2,
        length=6,
        sessions=6,
        surrogate_settings={**TINY, "lr": 1e-2},
    )
    asked = []
    for again in range(2):
        target = MeteredTarget(
            LocalTarget(SmoothTarget(items=ITEMS)), budget=Budget(calls=200, k=5), folder=tmp_path
        )
        collect(target, config, calls=200, k=5, streams=Streams(0), leak=leak, device="cpu")
        assert (target.calls, target.asked) == (200, 0 if again else 200)
        transcript = target.transcript()
        asked.append([tuple(transcript.history(call).tolist()) for call in range(200)])
    assert asked[0] == asked[1]
    known = {tuple(row[:at].tolist()) for row in leak for at in range(1, 7)}
    share = np.mean([history in known for history in asked[0]])
    assert 0.2 < share < 0.8


def test_a_thief_who_needs_a_leak_says_so(tmp_path):
    target = MeteredTarget(LocalTarget(SmoothTarget()), budget=Budget(calls=9), folder=tmp_path)
    for config in (
        ExtractionConfig(policy="few-shot"),
        ExtractionConfig(policy="knockoff-pool"),
        ExtractionConfig(policy="few-shot", leak=0.1),
    ):
        with pytest.raises(ConfigError, match="leak"):
            collect(target, config, calls=9, k=5, streams=Streams(0))


def test_a_pool_holds_each_leaked_prefix_once_and_then_walks(split):
    rows = [[1, 2, 3, 4, 5, 6], [7, 8, 9]]
    leak = Sequences.from_lists(split.catalog, rows)
    config = RoundConfig(first=9, longest=4)
    policy = KnockoffPoolPolicy(config, items=ITEMS, knowledge=Knowledge(leak))
    rng, nothing = np.random.default_rng(0), Seen(None, None, 5)
    pool = policy.choose(9, nothing, rng)
    expected = [row[max(0, end - 4) : end] for row in rows for end in range(1, len(row) + 1)]
    assert sorted(row[row > 0].tolist() for row in pool) == sorted(expected)
    walks = policy.choose(50, nothing, rng)
    assert (walks[:, 0] > 0).all()
    assert set(walks[:, 0].tolist()) == {1, 7}


def test_a_walk_follows_the_leaked_transitions():
    leak = Sequences.from_lists(small_catalog(ITEMS), [[1, 2], [1, 3], [1, 3], [1, 3]])
    walk, rng = LeakedWalk(leak), np.random.default_rng(0)
    histories = np.full((4000, 1), 1)
    chosen = walk.next(histories, histories, rng)
    assert np.bincount(chosen, minlength=4)[2] / 4000 == pytest.approx(0.25, abs=0.03)
    assert set(chosen.tolist()) == {2, 3}
    stuck = walk.next(np.array([[1, 2, 3]] * 50), histories[:50], rng)
    assert stuck.min() > 3
