"""Query logs and transcripts with changed bytes, columns and types: read, or refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fuzzing import BOUNDED, corpus, ends_well, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.targets import Budget, CallableTarget, MeteredTarget, Transcript, recorded
from recsec.traffic import Follower, Prefix, WholeLog, read_log

CATALOG = Catalog.from_ids(range(1, 41))
WORDS = (
    b"null", b"[]", b"[[1]]", b'{"call":', b"-1", b"9" * 30, b"1e308", b"NaN", b"\n", b"\xff",
    b'"account":null', b'"items":[null,7,"x"]', b'"parent":0', b"call,account,items\n", b"\x00",
)  # fmt: skip
COLUMNS: dict[str, list[Any]] = {
    "call": [[0, 1, 2], [2, 2, 0], [-5, 2**62, 1], ["0", "x", None], [0.5, 1.5, 2.0], [None] * 3],
    "account": [
        ["a", "a", "b"], [None, "", "a"], [1, 2, 2], [["a"], [], None], [b"\xff", b"", b"a"],
    ],
    "parent": [[None, 0, 1], [0, 1, 2], [2, 1, 0], [-7, 2**62, 99], ["x", None, "1"], [1.5] * 3],
    "items": [
        [[1], [2, 3], []], [None, [99], [1]], ["1 2", "[3]", ""], [[None], [-1], [0]],
        [["1"], ["x"], [" 2"]], [1, 2, 3], [[[1]], [[2]], []], [[1.0], [2.5], []],
    ],
    "k": [[5, 5, 5], [0, -1, 2**40], ["5", "x", None], [None] * 3],
    "answer": [[[4, 5], [6], []], [[4, 4], [99], None], ["4", "5", "6"], [["a"], [], None]],
    "time": [[1, 2, 3], [3, 2, 1], ["2020-01-01", "x", None], [1.5, float("nan"), -1.0]],
}  # fmt: skip


def watched(path: Path) -> None:
    """A log as detectors take it in."""
    log = read_log(path, CATALOG)
    prefix = Prefix()
    for part in WholeLog(log).parts():
        prefix.add(part)
    assert prefix.digest
    steps = Follower().follow_rows(log, np.arange(len(log)))
    assert len(steps) == len(log)


@pytest.mark.hostile(kind="runs", what="mutated query logs (fuzzed)", cases=120)
@given(near("logs", words=WORDS))
@BOUNDED
def test_mutated_logs(tmp_path_factory: pytest.TempPathFactory, found: tuple[str, bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / f"log{found[0]}"
    path.write_bytes(found[1])
    ends_well(lambda: watched(path))


@pytest.mark.hostile(kind="runs", what="query logs with columns of other types (fuzzed)", cases=120)
@given(st.data())
@BOUNDED
def test_columns_of_any_type(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(COLUMNS)), min_size=1))
    chosen = {name: data.draw(st.sampled_from(COLUMNS[name])) for name in sorted(names)}
    path = tmp_path_factory.getbasetemp() / "columns.parquet"
    pl.DataFrame(chosen, strict=False).write_parquet(path)
    ends_well(lambda: watched(path))


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two segments and a journal of what came after them."""
    folder = tmp_path_factory.mktemp("transcript")

    def recommend(histories: list[list[int]], k: int) -> list[list[int]]:
        return [[i for i in range(1, 41) if i not in row][:k] for row in histories]

    target = CallableTarget(recommend, CATALOG)
    meter = MeteredTarget(target, budget=Budget(calls=30, k=3), folder=folder)
    for first in (1, 11, 21):
        meter.query("a", np.arange(first, first + 10)[:, None], 3)
        if first < 21:
            meter.flush()
    return folder


@pytest.mark.hostile(kind="runs", what="segments and journals, changed (fuzzed)", cases=120)
@given(st.data())
@BOUNDED
def test_changed_transcripts(
    transcript: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(transcript, folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content.replace(b"recsec-sha256:", b"nothing-sha25:")  # what is behind the sum
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([None, len(content) // 2, 0]))])
    whole = Transcript.open(transcript, CATALOG).calls
    if ends_well(lambda: (Transcript.open(folder, CATALOG), recorded(folder))) and (
        b"nothing-sha25:" not in content
    ):
        found = Transcript.open(folder, CATALOG).calls
        kept = np.isin(whole.call, found.call)
        np.testing.assert_array_equal(found.answers, whole.answers[kept], "other answers")


@pytest.mark.parametrize("path", corpus("logs"), ids=lambda path: path.name)
def test_the_corpus_is_read(path: Path) -> None:
    watched(path)
