"""Accounts that ask alike: none of them would be decided about alone, all of them together are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from service_world import World

from recsec.detection import ClusterTest, Fitted, split_users
from recsec.errors import ConfigError
from recsec.rng import Streams
from recsec.serving.engine import open_state
from recsec.serving.evidence import Event, Evidence, check_rules
from recsec.serving.ledger import Ledger
from recsec.serving.policy import Policy
from recsec.targets import LocalTarget
from recsec.traffic import click_law, honest_log

RULE = {"name": "gang", "evidence": "cluster", "p_value": 0.01, "action": "tag"}
HOUR = 3600.0


@pytest.fixture
def fitted(world: World) -> Fitted:
    """The small world has too few honest clusters; these scatter as its own do."""
    kept = world.fitted.alike
    assert kept is not None
    assert not kept.enough
    null = np.random.default_rng(0).normal(size=200)
    return replace(world.fitted, alike=ClusterTest(kept.mean, kept.within, kept.between, null))


@pytest.fixture
def evidence(fitted: Fitted, tmp_path: Path) -> Iterator[Evidence]:
    _, store = open_state(tmp_path / "state")
    policy = Policy.model_validate({"detectors": "x", "rules": [RULE]})
    ledger = Ledger(store, policy, clock=lambda: 20 * HOUR)
    yield Evidence(policy, ledger, fitted, names=np.ndarray.tolist, clock=lambda: 0.0)
    store.close()


def people(world: World) -> list[Event]:
    """Sixty users whom the detectors never saw, within twenty hours."""
    unseen = split_users(world.people, Streams(0), least=20).test[:60]
    law, rng = click_law("trivago", 10), np.random.default_rng(0)
    log = honest_log(LocalTarget(world.model), world.people, unseen, law, queries=22, k=10, rng=rng)
    items, offsets = log.histories(np.arange(len(log)))
    answers, times = log.calls.answers.astype(np.int64), np.linspace(0, 20 * HOUR, len(log))
    return [
        Event(name, "", float(at), items[offsets[row] : offsets[row + 1]], answers[row])
        for row, (name, at) in enumerate(zip(log.calls.account, times, strict=True))
    ]


def gang(world: World) -> list[Event]:
    """Ten accounts ask sessions of eight random items in turns: each goes on for another."""
    rng, target, events = np.random.default_rng(1), LocalTarget(world.model), []
    for at in range(240):
        if at % 8 == 0:
            session = rng.integers(1, len(world.people.catalog) + 1, 8)
        history = session[: at % 8 + 1]
        answer = target.query("gang", history[None], 10)[0]
        events.append(Event(f"gang-{at % 10}", "", 20 * HOUR * at / 240, history, answer))
    return events


def test_a_gang_among_people_is_named_account_by_account(world: World, evidence: Evidence) -> None:
    assert evidence.linked.told() == "0 of 50 accounts with enough queries"
    made = evidence.observe(sorted(people(world) + gang(world), key=lambda one: one.at))
    decided = {one.subject for one in made}
    assert decided >= {f"gang-{at}" for at in range(10)}
    assert len(decided) <= 11, "who asks as they do goes with them"
    told = made[0].evidence["cluster"]
    assert told["p_value"] <= told["threshold"] == 0.01 / 24
    assert told["accounts"] == len(told["names"]) == len(decided)


def test_people_who_ask_alike_are_left_alone(world: World, evidence: Evidence) -> None:
    assert evidence.observe(people(world)) == []
    look = evidence.linked.looks[-1]
    assert look.clusters, "there are some"
    assert min(one.p_value for one in look.clusters) > 0.01 / 24


def test_what_cannot_be_computed_is_refused_at_the_start(world: World) -> None:
    policy = Policy.model_validate({"detectors": "x", "rules": [RULE]})
    with pytest.raises(ConfigError, match="too few ask alike"):
        check_rules(policy, world.fitted)
    with pytest.raises(ConfigError, match="older recsec"):
        check_rules(policy, replace(world.fitted, alike=None))
