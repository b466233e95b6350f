"""Young accounts pooled: thieves who leave each account before it is judged are seen together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from service_world import World, thief_log

from recsec.detection import Fitted, split_users
from recsec.errors import ConfigError
from recsec.rng import Streams
from recsec.serving.engine import open_state
from recsec.serving.evidence import Event, Evidence
from recsec.serving.ledger import Ledger
from recsec.serving.policy import Policy
from recsec.serving.replay import replay
from recsec.serving.state import Decision
from recsec.serving.together import Young
from recsec.targets import LocalTarget
from recsec.traffic import QueryLog, click_law, honest_log

RULE = {"name": "crowd", "scope": "young", "evidence": "pooled", "p_value": 0.01, "action": "block"}
HOUR = 3600.0


def people(world: World, seed: int) -> QueryLog:
    """Sixty users whom the detectors never saw, ten queries each."""
    unseen = split_users(world.people, Streams(0), least=20).test
    return honest_log(
        LocalTarget(world.model),
        world.people,
        np.random.default_rng(seed).permutation(unseen)[:60],
        click_law("trivago", 10),
        queries=10,
        k=10,
        rng=np.random.default_rng(seed),
    )


def play(evidence: Evidence, log: QueryLog, begin: float = 0.0) -> list[Decision]:
    """Within 20 hours."""
    items, offsets = log.histories(np.arange(len(log)))
    times = np.linspace(begin, begin + 20 * HOUR, len(log)).tolist()
    events = [
        Event(
            f"{account}@{begin:g}",
            "",
            times[row],
            items[offsets[row] : offsets[row + 1]],
            log.calls.answers[row].astype(np.int64),
        )
        for row, account in enumerate(log.calls.account)
    ]
    return evidence.observe(events)


@pytest.fixture
def evidence(world: World, tmp_path: Path) -> Iterator[Evidence]:
    _, store = open_state(tmp_path / "state")
    rules = [{**RULE, "enforce": True, "clear_above": 0.05}]
    told = {"detectors": "x", "enforce": True, "period": "7d", "young": "1d", "rules": rules}
    policy, clock = Policy.model_validate(told), partial(float, 20 * HOUR)
    ledger = Ledger(store, policy, clock=clock)
    yield Evidence(policy, ledger, world.fitted, names=np.ndarray.tolist, clock=clock)
    store.close()


def test_all_young_accounts_are_treated_and_no_others(
    world: World, evidence: Evidence, tmp_path: Path
) -> None:
    ledger = evidence._ledger
    assert evidence.young.told() == "0 of 50 young accounts with 10 queries"
    evidence.observe([Event("old", "", -30 * 24 * HOUR), Event("new", "", 0.0)])
    (decision,) = play(evidence, thief_log(world, 60, 10))
    assert [decision] == ledger.active()
    assert (decision.scope, decision.subject, decision.enforced) == ("young", "", True)
    pooled = decision.evidence["pooled"]
    assert (pooled["accounts"], len(pooled["furthest"])) == (50, 20)
    actions = [ledger.treatment(one).action for one in ("thief-1@0", "new", "old", "never seen")]
    assert actions == ["block", "block", "observe", "observe"]
    assert play(evidence, people(world, 0), 32 * HOUR) == []
    assert ledger.active() == [], "a later look says otherwise"
    evidence.save(tmp_path / "evidence.safetensors")
    again = Evidence(
        evidence.policy, ledger, world.fitted, names=np.ndarray.tolist, clock=lambda: 52 * HOUR
    )
    again.restore(tmp_path / "evidence.safetensors")
    assert again.first_seen("old") == -30 * 24 * HOUR, "age outlives a restart"


def test_pools_of_people_are_left_alone(world: World, evidence: Evidence) -> None:
    """Ten pools of 50 whom the detectors never saw."""
    for seed in range(10):
        evidence.young = Young(evidence.policy, world.fitted)  # nobody waits
        assert play(evidence, people(world, seed), 48 * HOUR * seed) == []
        assert len(evidence.young.looks) == 1


def test_what_cannot_be_computed_is_refused_at_the_start(world: World) -> None:
    old = Fitted(**{**vars(world.fitted), "population": None})
    policy = Policy.model_validate({"detectors": "x", "rules": [RULE]})
    with pytest.raises(ConfigError, match="older recsec"):
        replay(policy, people(world, 0), old)
