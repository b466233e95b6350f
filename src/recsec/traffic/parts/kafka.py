"""A log as a topic of Kafka.

No consumer group: where each partition was read to stands in our state, not with the broker, so
that state and place are written in one step. The order of asking is kept within a partition: a
service that sends an account's queries to one partition (the account as key) keeps its order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, DataError, RunError
from recsec.traffic.parts.part import Part
from recsec.traffic.parts.stream import DAMAGED, READ, StreamLog

__all__ = ["KafkaLog"]

BATCH = 10_000
"""Messages that are read together."""

PATIENCE = 30.0
"""Seconds without an answer after which a broker is thought gone."""

SETTINGS = ("sasl.mechanism", "security.protocol", "ssl.ca.location")
"""Settings of librdkafka that a URL may hold."""

NAME_IT = "name it: kafka://HOST:9092?topic=NAME"


class KafkaLog(StreamLog):
    """The messages that a topic holds when it is opened; see ``StreamLog``.

    A message is a JSON object with the fields of an entry.

    Args:
        url: ``kafka://HOST:9092,HOST:9092?topic=NAME``, ``recsec`` by default; with
            ``USER:PASSWORD@`` in front of the host by SASL over TLS.
        catalog: the items.
        after: as JSON, the next offset of each partition; everything if None.
        read: how many had been read up to there.

    Raises:
        ConfigError: the package is missing, or a setting is unknown.
        DataError: there is no Kafka, or no such topic.
        RunError: the topic holds less than ``after`` says.
    """

    def __init__(
        self, url: str, catalog: Catalog, *, after: str | None = None, read: int = 0
    ) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise ConfigError(
                "a log in Kafka needs the package confluent-kafka",
                hint="pip install 'recsec[kafka]'",
            ) from error
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        self.topic = given.pop("topic", "recsec")
        people, _, hosts = parts.netloc.rpartition("@")
        if others := set(given) - set(SETTINGS):
            raise ConfigError(
                f"a log in Kafka has no setting {min(others)}; known are {', '.join(SETTINGS)}",
                hint=NAME_IT,
            )
        if people:
            user, _, secret = people.partition(":")
            given = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"} | given
            given |= {"sasl.username": unquote(user), "sasl.password": unquote(secret)}
        super().__init__(f"kafka://{hosts}?topic={self.topic}", catalog, after=after, read=read)
        self._kafka, self._trouble = confluent_kafka, ""
        self._settings = {
            **given,
            "bootstrap.servers": hosts,
            "group.id": "recsec",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "log_level": 0,
            "error_cb": self._told,
        }
        with self._reader() as reader:
            topic = reader.list_topics(self.topic, timeout=PATIENCE).topics[self.topic]
            if topic.error is not None or not topic.partitions:
                raise DataError(f"{self.name}: there is no such topic", hint=NAME_IT)
            self._bounds = {
                number: reader.get_watermark_offsets(
                    confluent_kafka.TopicPartition(self.topic, number), timeout=PATIENCE
                )
                for number in sorted(topic.partitions)
            }
        self._length = sum(high - low for low, high in self._bounds.values())
        for number, offset in _offsets(after).items():
            low, high = self._bounds.get(number, (0, 0))
            self._lost |= offset < low
            if offset > high:
                raise RunError(
                    f"{self.name}: the state has read to {offset:,} in partition {number}; the "
                    f"topic ends at {high:,}: it is another one",
                    hint="use the log that it was written for, or another --state",
                )

    def _told(self, error: Any) -> None:
        """What librdkafka says by the way: it tries again by itself."""
        self._trouble = f": {error.str()}"

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """A client, closed at the end; its errors become ours."""
        try:
            reader = self._kafka.Consumer(self._settings)
        except self._kafka.KafkaException as error:
            raise ConfigError(f"{self.name}: {error.args[0].str()}", hint=NAME_IT) from error
        try:
            yield reader
        except self._kafka.KafkaException as error:
            raise self._gone(f": {error.args[0].str()}") from error
        finally:
            reader.close()

    def _gone(self, why: str) -> DataError:
        return DataError(
            f"cannot read {self.name}{why}",
            hint="the same command goes on where it stopped, if it has a --state",
        )

    def entries(self, after: str | None = None) -> Iterator[tuple[str, Part]]:
        """See ``StreamLog.entries``: the place is the next offset of each partition, as JSON."""
        known = _offsets(after)
        at = {number: max(known.get(number, 0), low) for number, (low, _) in self._bounds.items()}
        waiting = {number for number, (_, high) in self._bounds.items() if at[number] < high}
        if not waiting:
            return
        with self._reader() as reader:
            place = self._kafka.TopicPartition
            reader.assign([place(self.topic, number, at[number]) for number in waiting])
            heard = time.monotonic()
            while waiting:
                left = sum(self._bounds[number][1] - at[number] for number in waiting)
                found = reader.consume(min(BATCH, left), timeout=1.0)
                rows, ids = [], []
                for message in found:
                    number, error = message.partition(), message.error()
                    if error is None:
                        if message.offset() >= self._bounds[number][1]:
                            continue  # came later
                        at[number], self.read = message.offset() + 1, self.read + 1
                        if (fields := self._fields(message.value())) is not None:
                            rows.append(fields)
                            ids.append(f"{message.offset()} of partition {number}")
                    elif error.code() == self._kafka.KafkaError._PARTITION_EOF:
                        at[number] = self._bounds[number][1]  # nothing but marks of transactions
                    elif not error.retriable():
                        raise self._gone(f": {error.str()}")
                waiting = {one for one in waiting if at[one] < self._bounds[one][1]}
                if found:
                    heard = time.monotonic()
                    yield json.dumps(at), self._part(rows, ids)
                elif time.monotonic() - heard > PATIENCE:
                    raise self._gone(self._trouble or f": no answer in {PATIENCE:g} s")

    def _fields(self, value: bytes | None) -> list[str | None] | None:
        """Of a message; None of one that is damaged."""
        try:
            entry = json.loads(value or b"")
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            self._found[DAMAGED] += 1
            return None
        found = (entry.get(name) for name in READ)
        return [one if one is None or isinstance(one, str) else json.dumps(one) for one in found]


def _offsets(place: str | None) -> dict[int, int]:
    """Next offsets by partition.

    >>> _offsets('{"0": 7}')
    {0: 7}
    """
    return {int(number): int(offset) for number, offset in json.loads(place or "{}").items()}
