from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.errors import RunError
from recsec.runs import discard_unfinished
from recsec.targets import Budget, MeteredTarget, Transcript
from recsec.targets.meter import segments
from recsec.targets.meter.segments import Calls, compact, write_segment


def calls(rows, *, first=0, k=3):
    """Calls from ``(parent, items, answer)`` triples, numbered from ``first``."""
    answers = np.zeros((len(rows), k), dtype=np.int32)
    for row, (_, _, answer) in enumerate(rows):
        answers[row, : len(answer)] = answer
    return Calls(
        call=np.arange(first, first + len(rows)),
        account=["a" if row % 2 else "b" for row in range(len(rows))],
        parent=np.array([parent for parent, _, _ in rows], dtype=np.int64),
        items=np.array([item for _, items, _ in rows for item in items], dtype=np.int32),
        offsets=np.cumsum([0, *(len(items) for _, items, _ in rows)], dtype=np.int64),
        k=np.full(len(rows), k, dtype=np.int64),
        answers=answers,
    )


ROWS = [
    (-1, [1], [4, 5, 6]),
    (-1, [2, 3], [7]),
    (0, [4], [8, 9, 10]),
    (1, [7], []),
    (2, [8], [1, 2, 3]),
]


def sessions(transcript, count=None):
    chains = transcript.chains(count)
    cut = chains.offsets[1:-1]
    return [
        (items.tolist(), [row[row > 0].tolist() for row in answers])
        for items, answers in zip(
            np.split(chains.items, cut), np.split(chains.answers, cut), strict=True
        )
    ][: len(chains)]


def test_the_file_holds_external_ids_and_the_documented_columns(catalog, tmp_path: Path):
    path = write_segment(tmp_path, calls(ROWS), catalog)
    table = pl.read_parquet(path)
    assert dict(table.schema) == {
        "call": pl.Int64,
        "account": pl.String,
        "parent": pl.Int64,
        "items": pl.List(pl.Int64),
        "k": pl.Int64,
        "answer": pl.List(pl.Int64),
    }
    assert table["parent"].to_list() == [None, None, 0, 1, 2]
    assert table["items"].to_list() == [[7], [14, 21], [28], [8], [15]]
    assert table["answer"].to_list() == [[28, 35, 1], [8], [15, 22, 29], [], [7, 14, 21]]


@pytest.mark.parametrize("ids", ["numbers", "strings"])
def test_round_trip(catalog, tmp_path: Path, ids):
    if ids == "strings":
        catalog = Catalog.from_ids([f"b{item}" for item in catalog.ids])
    before = calls(ROWS)
    write_segment(tmp_path, before, catalog)
    transcript = Transcript.open(tmp_path, catalog)
    for name in ("call", "parent", "items", "offsets", "k", "answers"):
        np.testing.assert_array_equal(getattr(transcript.calls, name), getattr(before, name), name)
    assert transcript.calls.account == before.account
    assert transcript.calls_by_account() == {"b": 3, "a": 2}
    assert transcript.calls_by_account(2) == {"b": 1, "a": 1}


def test_history_follows_the_parents(catalog):
    transcript = Transcript.from_parts(catalog, [calls(ROWS)])
    assert [transcript.history(call).tolist() for call in range(5)] == [
        [1], [2, 3], [1, 4], [2, 3, 7], [1, 4, 8],
    ]  # fmt: skip
    with pytest.raises(RunError, match="call 5 is not in the transcript of 5 calls"):
        transcript.history(5)


def test_chains_are_sessions_with_the_answer_at_each_asked_position(catalog):
    transcript = Transcript.from_parts(catalog, [calls(ROWS)])
    first = ([1, 4, 8], [[4, 5, 6], [8, 9, 10], [1, 2, 3]])
    assert sessions(transcript) == [first, ([2, 3, 7], [[], [7], []])]
    assert sessions(transcript, 3) == [([1, 4], first[1][:2]), ([2, 3], [[], [7]])]
    assert sessions(transcript, 0) == []
    with pytest.raises(RunError, match="holds the first 5 calls, 6 are needed"):
        transcript.chains(6)


def test_a_branch_starts_a_session_with_the_shared_items(catalog):
    rows = [(-1, [1], [2]), (0, [3], [4]), (0, [5], [6]), (2, [7], [8]), (2, [9], [10])]
    assert sessions(Transcript.from_parts(catalog, [calls(rows)])) == [
        ([1, 3], [[2], [4]]),
        ([1, 5, 7], [[], [6], [8]]),
        ([1, 5, 9], [[], [], [10]]),
    ]


def test_an_empty_history_has_no_position(catalog):
    rows = [(-1, [], [1]), (0, [3], [4]), (-1, [], [2]), (-1, [5], [6])]
    transcript = Transcript.from_parts(catalog, [calls(rows)])
    assert sessions(transcript) == [([3], [[4]]), ([5], [[6]])]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_call_appears_once_in_the_chains(catalog, data):
    """Any forest of calls: each history and its answer are found in exactly one session."""
    rows = []
    for call in range(data.draw(st.integers(0, 25))):
        parent = data.draw(st.integers(-1, call - 1))
        size = data.draw(st.integers(1, 3))
        rows.append((parent, [call % 40 + 1] * size, [call + 1]))
    transcript = Transcript.from_parts(catalog, [calls(rows)])
    found = [
        (tuple(items[: place + 1]), answer)
        for items, answers in sessions(transcript)
        for place, answer in enumerate(answers)
        if answer
    ]
    expected = [(tuple(transcript.history(c).tolist()), [c + 1]) for c in range(len(rows))]
    assert sorted(found) == sorted(expected)


def test_a_gap_is_named_and_filled_by_asking_only_what_is_missing(oracle, tmp_path: Path):
    histories = np.arange(1, 9)[:, None]
    with MeteredTarget(oracle, budget=Budget(calls=8), folder=tmp_path) as meter:
        for part in (histories[:4], histories[4:]):
            meter.query("a", part, 3)
            meter.flush()
    next(iter(sorted(tmp_path.glob("*.parquet")))).unlink()
    transcript = Transcript.open(tmp_path, oracle.catalog)
    assert (len(transcript), transcript.complete) == (4, 0)
    oracle.asked.clear()
    with MeteredTarget(oracle, budget=Budget(calls=8), folder=tmp_path) as meter:
        meter.query("a", histories, 3)
    assert [history for _, history in oracle.asked] == [(1,), (2,), (3,), (4,)]
    assert meter.transcript().complete == 8


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_of_a_segment_is_named(catalog, tmp_path: Path, data):
    path = write_segment(tmp_path, calls(ROWS), catalog)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    told = ""
    try:
        found = Transcript.open(tmp_path, catalog)
    except RunError as error:
        told = error.message
    else:  # the flip hit the words before the check sum
        assert found.calls.answers.tolist() == calls(ROWS).answers.tolist()
    assert not told or path.name in told


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "columns"])
def test_a_broken_segment_is_named(catalog, tmp_path: Path, damage):
    path = write_segment(tmp_path, calls(ROWS), catalog)
    whole = path.read_bytes()
    if damage == "columns":
        pl.DataFrame({"call": [1]}).write_parquet(path)
    else:
        path.write_bytes(
            {"truncated": whole[: len(whole) // 2], "empty": b""}.get(damage, b"x" * 99)
        )
    with pytest.raises(RunError, match=path.name):
        Transcript.open(tmp_path, catalog)


def test_the_transcript_of_another_catalog_is_refused(catalog, tmp_path: Path):
    write_segment(tmp_path, calls(ROWS), catalog)
    for other in (Catalog.from_ids([1, 2, 3]), Catalog.from_ids(["x", "y"])):
        with pytest.raises(RunError, match="does not fit this catalog"):
            Transcript.open(tmp_path, other)


def test_compaction_keeps_every_call(catalog, tmp_path: Path):
    for first in range(20):
        write_segment(tmp_path, calls([(-1, [1], [2])], first=first), catalog)
    before = Transcript.open(tmp_path, catalog)
    compact(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    after = Transcript.open(tmp_path, catalog)
    np.testing.assert_array_equal(after.calls.call, before.calls.call)
    np.testing.assert_array_equal(after.calls.answers, before.calls.answers)


@pytest.mark.parametrize("after", range(7))
def test_a_compaction_killed_at_any_point_loses_nothing(
    catalog, tmp_path: Path, monkeypatch, after
):
    """Killed before the write, before the rename, or after some sources were removed."""
    for first in range(4):
        write_segment(tmp_path, calls([(-1, [1], [first + 2])], first=first), catalog)
    steps = 0

    def step(real):
        def wrapped(*args, **options):
            nonlocal steps
            if steps == after:
                raise KeyboardInterrupt
            steps += 1
            return real(*args, **options)

        return wrapped

    monkeypatch.setattr(os, "fsync", step(os.fsync))
    monkeypatch.setattr(os, "replace", step(os.replace))
    monkeypatch.setattr(Path, "unlink", step(Path.unlink))
    with pytest.raises(KeyboardInterrupt):
        compact(tmp_path)
    monkeypatch.undo()
    for _ in range(2):
        transcript = Transcript.open(tmp_path, catalog)
        assert transcript.calls.call.tolist() == [0, 1, 2, 3]
        assert transcript.calls.answers[:, 0].tolist() == [2, 3, 4, 5]
        discard_unfinished(tmp_path)
        compact(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_sealed_segments_stay_as_they_are(catalog, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(segments, "SEALED", 3)
    sealed = write_segment(tmp_path, calls(ROWS), catalog)
    for first in (5, 6):
        write_segment(tmp_path, calls([(-1, [1], [2])], first=first), catalog)
    written = sealed.stat().st_mtime_ns
    compact(tmp_path)
    assert sealed.stat().st_mtime_ns == written
    assert len(list(tmp_path.iterdir())) == 2


def test_many_small_queries_leave_few_files(oracle, tmp_path: Path):
    with MeteredTarget(oracle, budget=Budget(calls=200), folder=tmp_path) as meter:
        for item in range(200):
            meter.query("a", np.array([[item % 40 + 1, item % 7 + 1]]), 2)
    assert len(list(tmp_path.iterdir())) < 70
    assert meter.transcript().complete == 200


def test_a_folder_that_cannot_be_written_is_named(oracle, tmp_path: Path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot record calls in .*No space left"):
        MeteredTarget(oracle, budget=Budget(calls=1), folder=tmp_path).query(
            "a", np.array([[1]]), 1
        )
    assert list(tmp_path.iterdir()) == []


def test_an_absent_folder_is_an_empty_transcript(catalog, tmp_path: Path):
    transcript = Transcript.open(tmp_path / "absent", catalog)
    assert (len(transcript), transcript.complete) == (0, 0)
    assert transcript.rows(np.array([0, 3])).tolist() == [-1, -1]
    assert len(transcript.chains()) == 0


def test_a_copied_segment_changes_nothing(catalog, tmp_path: Path):
    path = write_segment(tmp_path, calls(ROWS), catalog)
    shutil.copy(path, tmp_path / "calls-0000000000-0000000009.parquet")
    assert Transcript.open(tmp_path, catalog).calls.call.tolist() == [0, 1, 2, 3, 4]
