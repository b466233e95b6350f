"""Live logs in Kafka: the mock cluster of librdkafka, which speaks the protocol over loopback."""

from __future__ import annotations

import gc
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detection_world import World, joined

import recsec
from recsec.detection import Watch, follow_stream, following, judge
from recsec.errors import ConfigError, DataError, RunError
from recsec.traffic import ClickLaw, QueryLog, open_stream
from recsec.traffic.parts import kafka as reader

kafka = pytest.importorskip("confluent_kafka")


class Broker:
    """A cluster that lives as long as its producer; topics have four partitions."""

    def __init__(self) -> None:
        self.producer: Any = kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self.producer.list_topics(timeout=30).brokers.values()
        self.host = f"{broker.host}:{broker.port}"

    def send(self, topic: str, *values: Any, partition: int = 0) -> None:
        for value in values:
            text = value if value is None or isinstance(value, bytes) else json.dumps(value)
            self.producer.produce(topic, text, partition=partition)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def end(self) -> None:
        self.producer = None
        gc.collect()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    found = Broker()
    yield found
    found.end()


def serve(broker: Broker, topic: str, log: QueryLog, rows: range) -> None:
    """What a service sends for each query: an account's to one partition."""
    ids = log.catalog.external
    for row in rows:
        name = log.calls.account[row]
        items, _ = log.histories(np.array([row]))
        answer = log.calls.answers[row]
        entry = {"account": name, "items": ids(items), "answer": ids(answer[answer > 0])}
        broker.send(topic, entry, partition=zlib.crc32(name.encode()) % 4)


@pytest.mark.parametrize("lost", [0, 3])
def test_killed_and_continued(
    lost: int, world: World, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at several places: what the last save did not hold is read again, nothing twice."""
    monkeypatch.setattr(reader, "BATCH", 10)
    law = ClickLaw(acceptance=0.25, bias=1.0, restart=0.05)
    log = joined(world.honest(world.groups.test[:3], law), world.thieves("random", 1))
    topic = f"killed-{lost}"
    serve(broker, topic, log, range(150))
    url, state, observe = f"kafka://{broker.host}?topic={topic}", tmp_path / "state", []
    follow_stream(world.fitted, url, state=state)
    assert Watch.resume(world.fitted, state).seen == 150
    serve(broker, topic, log, range(150, len(log)))
    plainly = Watch.observe_log

    def killed(watch: Watch, *given: Any) -> Any:
        if len(observe) == lost:
            raise KeyboardInterrupt
        observe.append(0)
        return plainly(watch, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "observe_log", killed)
        patch.setattr(following, "SECONDS", 0)
        patch.setattr(following, "TIMES", 0)
        with pytest.raises(KeyboardInterrupt):
            follow_stream(world.fitted, url, state=state)
    before = Watch.resume(world.fitted, state).seen
    assert (before == 150) == (lost == 0)
    assert before < len(log)
    watch, stream = follow_stream(world.fitted, url, state=state)
    assert watch.seen == len(log) == len(stream)
    assert stream.faults == ()
    plain = world.fitted.watch()
    plain.observe_log(log, np.arange(len(log)))
    assert judge(watch, stream, level=0.05).equals(judge(plain, log, level=0.05))
    written = state.read_bytes()
    again, _ = follow_stream(world.fitted, url, state=state)
    assert again.seen == len(log)
    assert state.read_bytes() == written


def test_damaged_messages_are_left_out_and_counted(world: World, broker: Broker) -> None:
    broker.send("damaged", {"account": "a", "items": [1, 2]}, {"items": [1]}, {"account": "a"})
    broker.send("damaged", b"{", b"\xff\xfe", b"7", b"[" * 100_000, None)
    broker.send("damaged", {"account": 5, "items": "1 no-such-item"}, partition=1)
    log = open_stream(f"kafka://{broker.host}?topic=damaged", world.fitted.catalog)
    names = [name for part in log.parts() for name in part.log.calls.account]
    assert sorted(set(names)) == ["5", "a"]
    assert [text.rpartition(":")[2].strip() for text in log.faults[:2]] == ["5", "2"]
    assert log.read == 9


def test_what_was_removed_or_is_another_topic_is_said(world: World, broker: Broker) -> None:
    """The mock keeps 5 MB of a partition."""
    broker.send("long", *[b"0" * 900_000] * 8)
    url, catalog = f"kafka://{broker.host}?topic=long", world.fitted.catalog
    assert open_stream(url, catalog).faults == ()
    assert "removed before they were read" in open_stream(url, catalog, after='{"0": 1}').faults[0]
    with pytest.raises(RunError, match=r"read to 9 in partition 0; the topic ends at 8"):
        open_stream(url, catalog, after='{"0": 9}')
    with pytest.raises(RunError, match=r"read to 1 in partition 6"):
        open_stream(url, catalog, after='{"6": 1}')


@pytest.mark.hint("name it: kafka://HOST:9092?topic=NAME")
def test_what_is_wrong_is_said(world: World, broker: Broker, tmp_path: Path) -> None:
    catalog = world.fitted.catalog
    with pytest.raises(DataError, match="there is no such topic"):
        open_stream(f"kafka://{broker.host}?topic=nowhere", catalog)
    with pytest.raises(ConfigError, match=r"no setting plugin\.library\.paths; known are sasl"):
        open_stream(f"kafka://{broker.host}?topic=x&plugin.library.paths=/x.so", catalog)
    with pytest.raises(ConfigError, match=r"kafka://h:9\?topic=x: .*security\.protocol"):
        open_stream("kafka://me:secret@h:9?topic=x&security.protocol=none", catalog)
    broker.send("named", {"account": "a", "items": [1, 2]})
    world.fitted.save(tmp_path / "D")
    found = recsec.detect(f"kafka://{broker.host}?topic=named", tmp_path / "D")
    assert found.accounts["id"].to_list() == ["a"]


def test_a_broker_that_goes_away(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the topic was opened, and before: said, and what was saved stands."""
    monkeypatch.setattr(reader, "PATIENCE", 0.5)
    broker, state = Broker(), tmp_path / "state"
    broker.send("short", *[{"account": "a", "items": [1, 2]}] * 3)
    url = f"kafka://{broker.host}?topic=short"
    follow_stream(world.fitted, url, state=state)
    written = state.read_bytes()
    log = open_stream(url, world.fitted.catalog)
    broker.end()
    with pytest.raises(DataError, match=r"cannot read kafka://127\.0\.0\.1:\d+\?topic=short: \w"):
        list(log.entries())
    with pytest.raises(DataError, match=r"cannot read kafka://127\.0\.0\.1"):
        follow_stream(world.fitted, url, state=state)
    assert state.read_bytes() == written
