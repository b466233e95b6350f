"""A log in parts is the log read whole."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsec.data.catalog import Catalog
from recsec.traffic import (
    ParquetLog,
    Prefix,
    Queries,
    QueryLog,
    Shard,
    WholeLog,
    open_log,
    read_log,
)
from recsec.traffic.parts import parquet, part

CATALOG = Catalog.from_ids(range(101, 141))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH", 7)
    monkeypatch.setattr(part, "BLOCK", 5)


def rows(*, extends: bool, count: int = 60) -> pl.DataFrame:
    """Four accounts, one of which takes over the histories of others; faults of each kind."""
    rng = np.random.default_rng(0)
    found: list[dict[str, object]] = []
    for call in range(0, 3 * count, 3):
        above = [row for row in found[-20:] if row["account"] is not None]
        parent = above[int(rng.integers(len(above)))]["call"] if extends and above else None
        found.append(
            {
                "call": call,
                "account": None if call == 30 else f"a{rng.integers(4)}",
                "parent": 1 if extends and call == 60 else parent,
                "items": rng.integers(101, 143, int(rng.integers(0, 4))).tolist(),
                "answer": rng.integers(101, 141, int(rng.integers(0, 6))).tolist(),
                "time": call // 9,
            }
        )
    schema = {"items": pl.List(pl.Int64), "answer": pl.List(pl.Int64), "parent": pl.Int64}
    return pl.DataFrame(found, schema_overrides=schema)


def write(folder: Path, frame: pl.DataFrame, *, files: int) -> Path:
    folder.mkdir()
    for number in range(files):
        size = -(-frame.height // files)
        frame.slice(number * size, size).write_parquet(folder / f"part-{number}.parquet")
    return folder


def told(log: Queries, shard: Shard | None = None) -> list[tuple[object, ...]]:
    """Account, history, list and parent of each query."""
    out: list[tuple[object, ...]] = []
    for one in log.parts(shard):
        items, offsets = one.log.histories(one.rows)
        for at, row in enumerate(one.rows.tolist()):
            history = items[offsets[at] : offsets[at + 1]].tolist()
            answer = one.log.calls.answers[row]
            added = one.log.calls.items[slice(*one.log.calls.offsets[row : row + 2])]
            out.append(
                (
                    one.log.calls.account[row],
                    tuple(history),
                    tuple(answer[answer > 0].tolist()),
                    tuple(added.tolist()),
                    int(one.parents[at]),
                )
            )
    return out


def prefix_of(log: Queries) -> str:
    prefix = Prefix()
    for one in log.parts():
        prefix.add(one)
    return prefix.digest


@pytest.mark.parametrize("extends", [False, True])
@pytest.mark.parametrize("files", [1, 3])
def test_parts_are_the_whole(tmp_path: Path, extends: bool, files: int) -> None:
    path = write(tmp_path / "log", rows(extends=extends), files=files)
    parts, whole = open_log(path, CATALOG), WholeLog(read_log(path, CATALOG))
    assert isinstance(parts, ParquetLog)
    assert parts.faults == whole.faults
    assert len(parts.faults) == (3 if extends else 2)
    assert len(parts) == len(whole) == 59
    assert told(parts) == told(whole)
    assert prefix_of(parts) == prefix_of(whole)


@pytest.mark.parametrize("extends", [False, True])
def test_shards_are_all_queries_once(tmp_path: Path, extends: bool) -> None:
    path = write(tmp_path / "log", rows(extends=extends), files=1)
    for log in (open_log(path, CATALOG), WholeLog(read_log(path, CATALOG))):
        shards = [told(log, Shard(at, 3)) for at in range(3)]
        assert sorted(chain(*shards)) == sorted(told(log))
        names = [{row[0] for row in shard} for shard in shards]
        assert sum(map(len, names)) == len(set.union(*names))


def by_account(log: QueryLog, names: set[str]) -> list[tuple[object, ...]]:
    """What a linker reads of them."""
    mine = np.flatnonzero([name in names for name in log.calls.account])
    items, offsets = log.histories(mine)
    sizes = np.diff(log.calls.offsets)[mine].tolist()
    return [
        (log.calls.account[row], items[offsets[at] : offsets[at + 1]].tolist(), sizes[at])
        for at, row in enumerate(mine.tolist())
    ]


@pytest.mark.parametrize("extends", [False, True])
def test_some_accounts_are_read_again(tmp_path: Path, extends: bool) -> None:
    path = write(tmp_path / "log", rows(extends=extends), files=2)
    names = {"a1", "a2"}
    some = open_log(path, CATALOG).of(names)
    assert by_account(some, names) == by_account(read_log(path, CATALOG), names)
    assert set(some.calls.account) <= names | {parquet.EARLIER}


def test_what_batches_cannot_do_is_read_whole(tmp_path: Path) -> None:
    """Rows out of order, text, other types: the reader of whole logs says what is wrong."""
    frame = rows(extends=False)
    turned = {
        "calls": frame.reverse(),
        "times": frame.with_columns(time=pl.lit(9) - pl.col("time")),
        "no-time": frame.with_columns(time=pl.when(pl.col("call") > 9).then(pl.col("time"))),
        "text": frame.with_columns(pl.col("call").cast(pl.Float64)),
    }
    for name, one in turned.items():
        path = write(tmp_path / name, one, files=1)
        assert isinstance(open_log(path, CATALOG), WholeLog)
    frame.write_ndjson(tmp_path / "log.jsonl")
    assert isinstance(open_log(tmp_path / "log.jsonl", CATALOG), WholeLog)
