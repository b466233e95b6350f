"""Live logs in a real Redis: read to the last entry, continued to the same result after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import Server, redis_server
from detection_world import World, joined

import recsec
from recsec.detection import Watch, follow_stream, following, judge
from recsec.errors import DataError, RunError, UsageError
from recsec.traffic import ClickLaw, QueryLog, open_stream
from recsec.traffic.parts import redis as reader


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = redis_server(tmp_path_factory.mktemp("redis"))
    yield found
    found.end()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    redis = pytest.importorskip("redis")
    with redis.Redis(port=server.port, decode_responses=True) as found:
        found.flushall()
        yield found


@pytest.fixture
def url(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0?stream=queries"


def serve(client: Any, log: QueryLog, rows: range) -> None:
    """What a service adds for each query."""
    ids = log.catalog.external
    for row in rows:
        items, _ = log.histories(np.array([row]))
        answer = log.calls.answers[row]
        client.xadd(
            "queries",
            {
                "account": log.calls.account[row],
                "items": json.dumps(ids(items)),
                "answer": json.dumps(ids(answer[answer > 0])),
            },
        )


def test_killed_trimmed_and_continued(
    world: World, client: Any, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saves are lost with the process: what they did not hold is read again, nothing twice."""
    monkeypatch.setattr(reader, "BATCH", 20)
    law = ClickLaw(acceptance=0.25, bias=1.0, restart=0.05)
    log = joined(world.honest(world.groups.test[:3], law), world.thieves("random", 1))
    serve(client, log, range(150))
    state, observe = tmp_path / "state", Watch.observe_log
    follow_stream(world.fitted, url, state=state)
    assert Watch.resume(world.fitted, state).seen == 150
    serve(client, log, range(150, len(log)))
    left = 2

    def killed(watch: Watch, *given: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return observe(watch, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "observe_log", killed)
        patch.setattr(following, "SECONDS", 0)
        patch.setattr(following, "TIMES", 0)
        with pytest.raises(KeyboardInterrupt):
            follow_stream(world.fitted, url, state=state)
    assert Watch.resume(world.fitted, state).seen == 190, "as saved after the second part"
    watch, stream = follow_stream(world.fitted, url, state=state)
    assert watch.seen == len(log)
    assert stream.faults == ()
    plain = world.fitted.watch()
    plain.observe_log(log, np.arange(len(log)))
    assert judge(watch, stream, level=0.05).equals(judge(plain, log, level=0.05))
    before = state.read_bytes()
    again, _ = follow_stream(world.fitted, url, state=state)
    assert again.seen == len(log)
    assert state.read_bytes() == before
    client.xadd("queries", {"items": "1 2"})
    client.xtrim("queries", maxlen=0, approximate=False)
    _, stream = follow_stream(world.fitted, url, state=state)
    assert "removed before they were read" in stream.faults[0]


def test_what_is_wrong_is_said(world: World, client: Any, url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such stream"):
        open_stream(url, world.fitted.catalog)
    client.xadd("queries", {"account": "a", "items": "[1, 2]", "other": "x"})
    client.xadd("queries", {"items": "1"})
    client.xadd("queries", {"account": "a", "items": "1 no-such-item"})
    log = open_stream(url, world.fitted.catalog)
    assert [len(part) for part in log.parts()] == [2]
    assert len(log.faults) == 2
    state = tmp_path / "state"
    watch = world.fitted.watch()
    watch.seen, watch.log = 3, {"name": "log.parquet", "sum": "0"}
    watch.save(state)
    with pytest.raises(RunError, match=r"has seen 3 queries of log.parquet, not of redis://127"):
        follow_stream(world.fitted, url, state=state)
    with pytest.raises(DataError, match=r"cannot read redis://127\.0\.0\.1:1/0"):
        open_stream("redis://me:secret@127.0.0.1:1/0", world.fitted.catalog)


@pytest.mark.hint("leave --processes out")
def test_a_stream_through_the_front_door(
    world: World, client: Any, url: str, tmp_path: Path
) -> None:
    client.xadd("queries", {"account": "a", "items": "1 2"})
    world.fitted.save(tmp_path / "D")
    found = recsec.detect(url, tmp_path / "D")
    assert found.accounts["id"].to_list() == ["a"]
    with pytest.raises(UsageError, match="one process"):
        recsec.detect(url, tmp_path / "D", processes=2)
