"""Bound histories in a real Redis: as one process keeps them, whoever of several is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from backends import Server
from redis import Redis, RedisError
from service_world import Serve
from waiting import until

from recsec.serving.engine import open_state
from recsec.serving.histories import Histories
from recsec.serving.live.client import connect
from recsec.serving.live.histories import LASTS, SharedHistories
from recsec.serving.state import Kept, StateLost, Store
from recsec.targets.bounded import HOTELS, Pace

PACES = {"paced": HOTELS, "at once": Pace(()), "slow": Pace(((10.0, 2), (60.0, 3)))}


@pytest.fixture
def client(redis: Server) -> Iterator[Redis]:
    if redis.running is None:
        redis.start()
    opened = connect(f"redis://127.0.0.1:{redis.port}")
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    _, opened = open_state(tmp_path / "state")
    yield opened
    opened.close()


def come_back(redis: Server, client: Redis) -> None:
    """Start it, and wait until it has read what it kept."""
    redis.start()

    def answers() -> bool:
        with suppress(RedisError):
            return bool(client.ping())
        return False

    until(answers)


@pytest.mark.parametrize("name", PACES)
def test_two_processes_keep_what_one_keeps_event_by_event(
    client: Redis, store: Store, name: str
) -> None:
    now, prefix, rng = [1_795_795_849.25], uuid4().hex, np.random.default_rng(3)
    alone = Histories(store, PACES[name], longest=12, clock=lambda: now[0])
    both = [
        SharedHistories(client, prefix, store, PACES[name], longest=12, clock=lambda: now[0])
        for _ in range(2)
    ]
    for step in range(400):
        now[0] += float(rng.choice([0.0, 0.1, 1 / 3, 40.0, -0.2]))
        account, item = f"a{rng.integers(3)}", int(rng.integers(1, 131))
        if rng.random() < 0.7:
            assert both[step % 2].act(account, item) == alone.act(account, item), step
        seen = both[(step + 1) % 2].history(account)
        assert seen.tolist() == alone.history(account).tolist(), step
    (key, *_) = client.keys(f"*{prefix}*")
    assert 0 < client.ttl(key) <= LASTS
    assert client.llen(key) <= max(12, PACES[name].memory) + PACES[name].memory


def test_no_event_is_lost_where_two_act_at_once(client: Redis, store: Store) -> None:
    prefix = uuid4().hex
    both = [
        SharedHistories(client, prefix, store, longest=200, clock=lambda: 5.0) for _ in range(2)
    ]

    def act(number: int) -> None:
        for item in range(60):
            both[number].act("ann", 100 * number + item)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = both[0].history("ann").tolist()
    assert sorted(kept) == [*range(60), *range(100, 160)]
    assert [one for one in kept if one < 100] == list(range(60))


def test_what_one_process_kept_is_taken_over(client: Redis, store: Store) -> None:
    store.keep({"ann": Kept([5, 6], [1.0, 2.5], first=1.0)})
    shared = SharedHistories(client, uuid4().hex, store, clock=lambda: 9.0)
    assert shared.history("ann").tolist() == [5, 6]
    assert shared.act("ann", 7) == 0.0
    assert shared.history("ann").tolist() == [5, 6, 7]
    assert shared.history("bob").tolist() == []


def test_while_redis_is_lost_events_are_refused_and_lists_are_of_what_was_seen(
    client: Redis, store: Store, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedHistories(client, uuid4().hex, store, clock=lambda: 9.0)
    shared.act("ann", 7)
    redis.kill()
    assert shared.history("ann").tolist() == [7]
    with pytest.raises(StateLost):
        shared.act("ann", 8)
    with pytest.raises(StateLost):
        shared.history("bob")
    asked: list[str] = []
    monkeypatch.setattr(shared, "_step", lambda keys, args: asked.append(keys[0]))
    with pytest.raises(StateLost, match="a moment ago"):
        shared.act("ann", 8)
    assert asked == []
    monkeypatch.undo()
    come_back(redis, client)
    shared._again = 0.0
    assert shared.act("bob", 8) == 0.0


def test_two_services_give_the_lists_that_one_gives(
    serve: Serve, client: Redis, redis: Server
) -> None:
    now = [1_795_795_849.25]
    told = {"bound": True, "pace": HOTELS, "clock": lambda: now[0]}
    address = f"redis://127.0.0.1:{redis.port}"
    alone = serve(state="alone", **told)
    both = [serve(state="shared", live=address, **told) for _ in range(2)]
    rng = np.random.default_rng(1)
    for step in range(60):
        now[0] += float(rng.choice([1.0, 5.0, 90.0]))
        act = {"account": f"a{rng.integers(3)}", "item": int(rng.integers(1, 131))}
        look = f"/v1/recommend/{act['account']}?k=7"
        one, other = alone.client, both[step % 2].client
        assert (
            one.post("/v1/events", json=act).content == other.post("/v1/events", json=act).content
        )
        for service in both:
            assert service.client.get(look).content == one.get(look).content, step
    redis.kill()
    refused = both[0].client.post("/v1/events", json=act)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert both[0].client.get(look).content == alone.client.get(look).content
    come_back(redis, client)
    both[0].engine.histories._again = 0.0  # type: ignore[union-attr]
    assert both[0].client.post("/v1/events", json=act).status_code == 200
