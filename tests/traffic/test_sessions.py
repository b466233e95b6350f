"""Honest sessions: real histories under the assumed law."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recsec.data import load
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.models import Training, train
from recsec.targets import LocalTarget
from recsec.traffic import STARTS, ClickLaw, Follower, QueryLog, honest_log

if TYPE_CHECKING:
    from conftest import Next


@pytest.fixture
def people(catalog: Catalog) -> Sequences:
    rng = np.random.default_rng(3)
    return Sequences.from_lists(
        catalog, [(rng.permutation(50)[:length] + 1).tolist() for length in (30, 12, 25, 8)]
    )


def replay(target: Next, people: Sequences, law: ClickLaw, **options: object) -> QueryLog:
    settings = {"queries": 20, "k": 5, "rng": np.random.default_rng(1), **options}
    return honest_log(target, people, np.arange(len(people)), law, **settings)  # type: ignore[arg-type]


def test_raw_replay_sends_every_prefix(target: Next, people: Sequences) -> None:
    log = replay(target, people, ClickLaw(acceptance=0, restart=0))
    assert len(log) == 20 + 12 + 20 + 8 == target.asked
    items, offsets = log.histories(np.arange(len(log)))
    made = dict.fromkeys(range(4), 0)
    for row, name in enumerate(log.calls.account):
        user = int(name.removeprefix("user-"))
        made[user] += 1
        own = people[user][: made[user]]
        assert items[offsets[row] : offsets[row + 1]].tolist() == own.tolist()
        np.testing.assert_array_equal(log.calls.answers[row], target.query("", own[None], 5)[0])


def test_accounts_take_turns(target: Next, people: Sequences) -> None:
    log = replay(target, people, ClickLaw(acceptance=0.5))
    assert log.times is None
    assert [name[-1] for name in log.calls.account[:8]] == list("01230123")


def test_who_always_follows_takes_listed_items_only(target: Next, people: Sequences) -> None:
    log = replay(target, people, ClickLaw(acceptance=1, bias=1, restart=0))
    steps = Follower().follow_rows(log, np.arange(len(log)))
    assert (steps.rank[steps.kind != STARTS] >= 1).all()
    assert len(log) == 4 * 20  # clicks use up no item of one's own


def test_shares_of_clicks_and_restarts(catalog: Catalog, target: Next) -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.permutation(50) + 1).tolist() for _ in range(120)]
    people = Sequences.from_lists(catalog, rows)
    log = replay(target, people, ClickLaw(acceptance=0.5, bias=0, restart=0.1))
    steps = Follower().follow_rows(log, np.arange(len(log)))
    starts = (steps.added == 1) & (np.diff(steps.offsets) == 1)
    assert 0.12 < starts.mean() < 0.17  # 1 / 20 for the first, 0.1 of the others
    followed = steps.rank[steps.rank >= 0]
    by_chance = 5 / 45
    assert abs((followed > 0).mean() - (0.5 + 0.5 * by_chance)) < 0.06


def test_clock_times_order_the_log(target: Next, people: Sequences) -> None:
    times = np.concatenate(
        [np.sort(np.random.default_rng(9).integers(0, 900, n)) for n in people.lengths]
    )
    log = replay(target, people, ClickLaw(acceptance=0.5, restart=0.1), times=times)
    assert log.times is not None
    assert (np.diff(log.times) >= 0).all()
    assert (log.calls.parent < log.calls.call).all()
    assert not any("extend" in fault for fault in log.faults)


def test_the_same_seed_gives_the_same_log(target: Next, people: Sequences) -> None:
    one, two = (replay(target, people, ClickLaw(acceptance=0.5)) for _ in range(2))
    np.testing.assert_array_equal(one.calls.items, two.calls.items)
    np.testing.assert_array_equal(one.calls.parent, two.calls.parent)


@pytest.mark.data("ml-latest-small")
def test_real_users_at_their_own_times(mirror: Path) -> None:
    """A set with clock times: each query stands at the time of the user's own rating."""
    data = load("ml-latest-small", source=mirror / "ml-latest-small.zip")
    assert data.times_are_real
    times = data.interactions.table["time"].to_numpy()
    model = train("popularity", data.split(), seed=0, training=Training(device="cpu"))
    people, users = data.sequences(), np.arange(5)
    log = honest_log(
        LocalTarget(model), people, users, ClickLaw(acceptance=0, restart=0),
        queries=30, k=10, rng=np.random.default_rng(0), times=times,
    )  # fmt: skip
    assert log.times is not None
    for user in users:
        own = np.array([name == f"user-{people.users[user]}" for name in log.calls.account])
        expected = times[people.offsets[user] :][: own.sum()]
        np.testing.assert_array_equal(log.times[own], expected)
