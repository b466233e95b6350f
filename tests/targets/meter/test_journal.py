from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsec.errors import RunError, TargetError
from recsec.targets import Budget, LocalTarget, MeteredTarget

BUDGET = Budget(calls=60, k=5)
FIRST = np.arange(1, 9)[:, None]


class Dies(BaseException):
    """A process that ends in the middle of a query."""


def cut_short(oracle, folder: Path, *, chunks: int = 1):
    """Ask 8 calls, and die while the chunk after ``chunks`` is being answered."""
    meter = MeteredTarget(oracle, budget=BUDGET, folder=folder)
    query, left = oracle.query, chunks

    def dying(account, histories, k):
        nonlocal left
        left -= 1
        if left < 0:
            query(account, histories, k)  # the target answers nobody
            raise Dies
        return query(account, histories, k)

    oracle.query = dying
    with pytest.raises(Dies):
        meter.query("a", FIRST, 5)
    oracle.query = query


def test_answers_survive_a_kill_before_the_first_segment(oracle, tmp_path: Path):
    cut_short(oracle, tmp_path)
    assert not list(tmp_path.glob("*.parquet"))
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        meter.query("a", FIRST, 5)
        assert (meter.asked, meter.sent) == (4, 12), "four of eight were answered to nobody"
    assert len(oracle.asked) == 12
    assert meter.transcript().complete == 8


def test_what_is_sent_is_known_over_many_processes(oracle, tmp_path: Path):
    for _ in range(3):
        cut_short(oracle, tmp_path, chunks=0)
    meter = MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    meter.query("a", FIRST, 5)
    assert meter.sent == len(oracle.asked) == 3 * 4 + 8


def test_retries_of_a_target_that_counts_them_are_counted(oracle, tmp_path: Path):
    oracle.requests = 0
    query = oracle.query

    def counted(account, histories, k):
        oracle.requests += len(histories) + 3
        if oracle.requests > 10:
            raise TargetError("gone")
        return query(account, histories, k)

    oracle.query = counted
    meter = MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    with pytest.raises(TargetError):
        meter.query("a", FIRST, 5)
    assert meter.sent == oracle.requests == 14
    assert MeteredTarget(oracle, budget=BUDGET, folder=tmp_path).sent == 14


def test_a_line_that_a_kill_cut_is_left_out(oracle, tmp_path: Path):
    cut_short(oracle, tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    meter = MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    meter.query("a", FIRST, 5)
    assert (meter.asked, meter.sent) == (4, 8), "the announcement of the second chunk was cut"


def test_a_damaged_line_is_named_and_the_hint_helps(oracle, tmp_path: Path):
    cut_short(oracle, tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"k":[5', b'"k":[6'))
    with pytest.raises(RunError, match=r"line 3 of .*journal.jsonl is damaged") as caught:
        MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("delete that file")
    path.unlink()
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        meter.query("a", FIRST, 5)
    assert meter.transcript().complete == 8


def test_a_recommender_of_this_process_keeps_no_journal(decay, tmp_path: Path):
    with MeteredTarget(LocalTarget(decay), budget=BUDGET, folder=tmp_path) as meter:
        meter.query("a", FIRST, 5)
    assert meter.sent is None
    assert not (tmp_path / "journal.jsonl").exists()
