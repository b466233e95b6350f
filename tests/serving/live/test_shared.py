"""Counting in a real Redis: as in memory, whoever counts, and nothing is lost with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from backends import Server
from service_world import World, thief_log

from recsec.errors import ConfigError
from recsec.serving.engine import open_state
from recsec.serving.evidence import Event, Evidence
from recsec.serving.ledger import Ledger
from recsec.serving.live import Live, LocalLive
from recsec.serving.live.client import connect
from recsec.serving.live.shared import RedisLive
from recsec.serving.policy import Policy
from recsec.serving.state import Decision
from recsec.traffic import QueryLog

RULES: list[dict[str, Any]] = [
    {"name": "thief", "p_value": 0.2, "action": "block", "duration": "20s", "clear_above": 0.5},
    {"name": "odd", "p_value": 0.9, "detector": "transition", "scope": "young"},
    {"name": "haste", "more_than": 6, "within": "30s", "duration": "5s"},
    {"name": "crowd", "scope": "all", "more_than": 70, "within": "60s", "duration": "5s"},
    {"name": "key", "scope": "key", "more_than": 40, "within": "45s", "duration": "5s"},
    {"name": "fresh", "scope": "young", "more_than": 3, "within": "20s", "duration": "5s"},
]
POLICY = {"detectors": "x", "period": "45s", "accounts": 40, "young": "60s", "rules": RULES}


@dataclass
class Worker:
    """One process of a service, as far as it counts and decides."""

    evidence: Evidence
    ledger: Ledger
    now: list[float] = field(default_factory=lambda: [0.0])

    def see(self, *events: Event) -> list[Decision]:
        self.now[0] = events[-1].at
        self.ledger.reload()
        return self.evidence.observe(events)


@pytest.fixture
def clients() -> Iterator[list[Any]]:
    made: list[Any] = []
    yield made
    for one in made:
        one.close()


class Workers:
    """Makes workers over one store and one Redis."""

    def __init__(self, world: World, folder: Path, redis: Server, clients: list[Any]) -> None:
        self.world, self.folder, self.redis, self.clients = world, folder, redis, clients
        self.prefix = uuid4().hex

    def one(self, state: str, *, shared: bool, **changes: Any) -> Worker:
        _, store = open_state(self.folder / state)
        self.clients.append(store)
        policy = Policy.model_validate(POLICY | changes)
        now = [0.0]
        ledger = Ledger(store, policy, clock=lambda: now[0])
        live: Live = LocalLive(policy, self.world.fitted, clock=lambda: now[0])
        if shared:
            client = connect(f"redis://127.0.0.1:{self.redis.port}")
            self.clients.append(client)
            live = RedisLive(client, self.prefix, policy, self.world.fitted, clock=lambda: now[0])
        evidence = Evidence(
            policy,
            ledger,
            self.world.fitted,
            names=np.ndarray.tolist,
            clock=lambda: now[0],
            live=live,
        )
        return Worker(evidence, ledger, now)


@pytest.fixture
def workers(world: World, tmp_path: Path, redis: Server, clients: list[Any]) -> Workers:
    if redis.running is None:
        redis.start()
    return Workers(world, tmp_path, redis, clients)


def events_of(log: QueryLog, *, apart: float = 1.0) -> list[Event]:
    items, offsets = log.histories(np.arange(len(log)))
    return [
        Event(
            log.calls.account[row],
            f"key-{row % 3}",
            row * apart,
            items[offsets[row] : offsets[row + 1]] if row % 11 else None,
            log.calls.answers[row].astype(np.int64),
        )
        for row in range(len(log))
    ]


def told(made: list[Decision]) -> list[Any]:
    return [
        (one.rule, one.scope, one.subject, one.at, one.until, one.number, one.evidence)
        for one in made
    ]


def test_two_workers_on_redis_decide_as_one_in_memory_event_by_event(
    world: World, workers: Workers
) -> None:
    alone = workers.one("alone", shared=False)
    both = [workers.one("both", shared=True) for _ in range(2)]
    events = events_of(thief_log(world, 5, 32), apart=0.3)
    rng = np.random.default_rng(0)
    kinds = set()
    for event in events:
        right = told(alone.see(event))
        found = told(both[int(rng.integers(2))].see(event))
        assert found == right, event
        kinds |= {one[0] for one in right}
    assert kinds == {rule["name"] for rule in RULES}, "each kind of evidence was tried"


def test_batches_and_more_accounts_than_the_policy_allows_change_nothing(
    world: World, workers: Workers
) -> None:
    events = events_of(thief_log(world, 5, 25), apart=0.1)
    one = workers.one("one", shared=False, rules=RULES[:1])
    right = [each.subject for event in events for each in one.see(event)]
    other = workers.one("other", shared=True, rules=RULES[:1])
    cuts = range(0, len(events), 13)
    found = [each.subject for at in cuts for each in other.see(*events[at : at + 13])]
    assert found == right
    workers.prefix = uuid4().hex
    few = {"accounts": 3, "period": "1h", "rules": RULES[:1]}
    small = [workers.one(f"small-{at}", shared=bool(at), **few) for at in range(2)]
    for event in events:
        assert told(small[0].see(event)) == told(small[1].see(event))


def counted(worker: Worker) -> dict[str, int]:
    live = worker.evidence.live
    assert isinstance(live, RedisLive)
    return {name: own.watch.judged(name) for name, own in live._owns.items()}


def test_workers_that_race_lose_no_count(world: World, workers: Workers) -> None:
    racing = [workers.one("race", shared=True, rules=RULES[2:4], period="1h") for _ in range(3)]
    events = events_of(thief_log(world, 3, 30), apart=0.0)

    def run(at: int) -> None:
        mine = events[at::3]
        for start in range(0, len(mine), 4):
            racing[at].evidence.live.look(mine[start : start + 4])

    threads = [threading.Thread(target=run, args=(at,)) for at in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    fresh = workers.one("race", shared=True, rules=RULES[2:4], period="1h")
    seen = fresh.evidence.live.look([Event(f"thief-{at}", "", 0.0) for at in range(3)])
    with_history = [event for event in events if event.history is not None]
    assert sum(counted(fresh).values()) == len(with_history)
    assert seen[-1].counts["crowd"] == len(events) + 3


def test_when_redis_is_killed_this_process_counts_on_and_merges_everything(
    world: World, workers: Workers, redis: Server
) -> None:
    rules = [*RULES[:1], {**RULES[3], "more_than": 10_000, "within": "1h"}]
    one, other = (workers.one("k", shared=True, rules=rules, period="1h") for _ in range(2))
    events = events_of(thief_log(world, 4, 30), apart=0.01)
    made = []
    for number, event in enumerate(events):
        if number == 40:
            redis.kill()
        worker = (one, other)[number % 2]
        made += told(worker.see(event))
        assert worker.evidence.live.lost is (number >= 40)
    redis.start()
    for worker in (one, other):
        live = worker.evidence.live
        assert isinstance(live, RedisLive)
        for _ in range(500):
            live._tried = 0.0
            made += told(worker.evidence.check())
            if not live.lost:
                break
        assert not live.lost
        assert not live._apart
    last = one.see(*[Event(f"thief-{at}", "", events[-1].at) for at in range(4)])
    assert last == []
    fresh = workers.one("k", shared=True, rules=rules, period="1h")
    (seen,) = fresh.evidence.live.look([Event("thief-0", "", events[-1].at)])
    assert seen.counts["crowd"] == len(events) + 5
    fresh.evidence.live.look([Event(f"thief-{at}", "", events[-1].at) for at in range(4)])
    assert sum(counted(fresh).values()) == sum(event.history is not None for event in events)
    assert {each[2] for each in made} == {f"thief-{at}" for at in range(4)}


def test_what_redis_forgets_is_brought_back_by_who_knows_it(world: World, workers: Workers) -> None:
    one = workers.one("f", shared=True, period="1h")
    events = events_of(thief_log(world, 2, 20), apart=0.01)
    for event in events[:20]:
        one.see(event)
    client = connect(f"redis://127.0.0.1:{workers.redis.port}")
    client.flushall()
    client.script_flush()
    for event in events[20:]:
        one.see(event)
    fresh = workers.one("f", shared=True, period="1h")
    fresh.evidence.live.look([Event(f"thief-{at}", "", 1.0) for at in range(2)])
    assert sum(counted(fresh).values()) == sum(event.history is not None for event in events)
    client.close()


def test_each_key_of_redis_ends_by_itself_and_is_bounded(world: World, workers: Workers) -> None:
    one = workers.one("t", shared=True, period="1h")
    for event in events_of(thief_log(world, 3, 60), apart=0.01):
        one.see(event)
    client = connect(f"redis://127.0.0.1:{workers.redis.port}")
    keys = list(client.scan_iter(f"recsec:{{{workers.prefix}}}:*"))
    assert len(keys) > 9
    assert all(client.ttl(key) > 0 for key in keys)
    sizes = [client.memory_usage(key) for key in keys if b":of:" in key]
    assert max(sizes) < 16_384, sizes
    client.close()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="no address of Redis"):
        connect("postgresql://a/b")
