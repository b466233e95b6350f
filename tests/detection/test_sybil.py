"""Accounts that form one cluster are linked; people are not."""

from __future__ import annotations

import numpy as np
from detection_world import World, joined

from recsec.targets.meter.segments import Calls
from recsec.traffic import ClickLaw, QueryLog


def largest(cluster: np.ndarray) -> int:
    return int(np.bincount(cluster[cluster >= 0], minlength=1).max())


def test_a_session_passed_from_account_to_account(world: World) -> None:
    """One thief, sessions of 50 items, every query from the next of five accounts."""
    log = world.thieves("autoregressive", 4)
    split = log.select(
        np.arange(len(log)), accounts=[f"s{row // 4 % 5}" for row in range(len(log))]
    )
    people = world.honest(world.groups.test[:20], ClickLaw())
    both = joined(people, split)
    names = [f"s{one}" for one in range(5)] + list(dict.fromkeys(people.calls.account))
    assert world.fitted.linker is not None
    cluster = world.fitted.linker.link(both, names)
    assert len(set(cluster[:5].tolist())) == 1
    assert cluster[0] >= 0
    assert (cluster[5:] == cluster[0]).sum() <= 3  # of 20 people, by taste


def test_random_thieves_ask_more_alike_than_people_do(world: World) -> None:
    thieves = world.thieves("random", 20, queries=150)
    people = world.honest(world.groups.test, ClickLaw())
    assert world.fitted.linker is not None
    shares = []
    for log in (thieves, people):
        names = list(dict.fromkeys(log.calls.account))
        shares.append(largest(world.fitted.linker.link(log, names)) / len(names))
    assert shares[0] > 0.7
    assert shares[1] < 0.4


def test_one_account_and_none(world: World) -> None:
    linker = world.fitted.linker
    assert linker is not None
    log = world.thieves("random", 1)
    assert linker.link(log, ["thief-0"]).tolist() == [-1]
    assert linker.link(log, []).tolist() == []


def test_short_equal_histories_mean_nothing(world: World) -> None:
    """Everybody starts with the bestseller."""
    n = 30
    calls = Calls(
        call=np.arange(2 * n),
        account=[f"u{row % n}" for row in range(2 * n)],
        parent=np.arange(2 * n) - n,
        items=np.concatenate([np.ones(n), np.arange(2, n + 2)]).astype(np.int32),
        offsets=np.arange(2 * n + 1),
        k=np.full(2 * n, 10),
        answers=np.zeros((2 * n, 0), np.int32),
    )
    assert world.fitted.linker is not None
    shared = world.fitted.linker._continued(
        QueryLog(world.fitted.catalog, calls), [f"u{i}" for i in range(n)]
    )
    assert not shared.any()
