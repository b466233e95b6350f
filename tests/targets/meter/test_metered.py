from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsec.errors import BudgetExhausted, RunError, TargetError
from recsec.targets import Budget, LocalTarget, MeteredTarget, PartialAnswer, Transcript

BUDGET = Budget(calls=60, k=5, accounts=2)


def grow(meter, *, sessions=6, steps=10, k=5, account="thief"):
    """A policy: each history is extended by the first item of the list just served."""
    histories = np.arange(1, sessions + 1)[:, None]
    for step in range(steps):
        lists = meter.query(account, histories, k)
        if step < steps - 1:
            histories = np.column_stack([histories, lists[:, step % k]])
    return histories


def test_counts_calls_of_each_account(oracle):
    meter = MeteredTarget(oracle, budget=BUDGET)
    meter.query("a", np.array([[1], [2]]), 5)
    meter.query("b", np.array([[1, 2]]), 3)
    assert (meter.calls, meter.remaining, meter.asked) == (3, 57, 3)
    assert meter.calls_by_account == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("account", "rows", "k", "words"),
    [
        ("a", 61, 5, "60 calls has 60 left, the query needs 61"),
        ("a", 1, 6, "lists of 5 items, not of 6"),
        ("c", 1, 5, "2 accounts; 'c' would be one more"),
    ],
)
def test_what_exceeds_the_budget_is_refused_and_not_asked(oracle, account, rows, k, words):
    meter = MeteredTarget(oracle, budget=BUDGET)
    if account == "c":
        meter.query("a", np.array([[1]]), 5)
        meter.query("b", np.array([[1]]), 5)
    before = len(oracle.asked)
    with pytest.raises(BudgetExhausted, match=words):
        meter.query(account, np.ones((rows, 1), dtype=np.int64), k)
    assert len(oracle.asked) == before


def test_the_transcript_holds_every_call_once(oracle, tmp_path: Path):
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        grow(meter)
    transcript = meter.transcript()
    asked = [history for _, history in oracle.asked]
    assert [tuple(transcript.history(call)) for call in range(60)] == asked
    assert len(transcript) == 60
    expected = np.concatenate([oracle.query("x", np.array([row]), 5) for row in asked])
    np.testing.assert_array_equal(transcript.calls.answers, expected)
    assert transcript.calls.parent.tolist() == [-1] * 6 + list(range(54))
    assert (np.diff(transcript.calls.offsets) == 1).all()


def test_a_policy_that_runs_again_asks_nothing_twice(oracle, tmp_path: Path):
    short = MeteredTarget(oracle, budget=Budget(calls=27, k=5), folder=tmp_path)
    with pytest.raises(BudgetExhausted), short:
        grow(short)
    assert len(oracle.asked) == 24
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        histories = grow(meter)
    assert (meter.calls, meter.asked) == (60, 36)
    assert len(set(oracle.asked)) == len(oracle.asked) == 60
    np.testing.assert_array_equal(histories, grow(MeteredTarget(oracle, budget=BUDGET)))


def test_a_smaller_budget_replays_a_prefix(oracle, tmp_path: Path):
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        grow(meter)
    with MeteredTarget(oracle, budget=Budget(calls=12, k=5), folder=tmp_path) as meter:
        grow(meter, steps=2)
    assert (meter.remaining, meter.asked, len(oracle.asked)) == (0, 0, 60)


@pytest.mark.hint("use another --out, or the plan of that run")
@pytest.mark.parametrize(
    "other",
    [
        lambda meter: grow(meter, k=4),
        lambda meter: grow(meter, account="other"),
        lambda meter: meter.query("thief", np.array([[3]]), 5),
        lambda meter: meter.query("thief", np.array([[1, 2]]), 5),
    ],
)
def test_another_plan_is_refused(oracle, tmp_path: Path, other):
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        grow(meter)
    asked = len(oracle.asked)
    meter = MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    with pytest.raises(RunError, match=r"call 0 of the transcript .* asked something else"):
        other(meter)
    assert len(oracle.asked) == asked
    grow(MeteredTarget(oracle, budget=BUDGET, folder=tmp_path))
    assert len(oracle.asked) == asked


class Fails:
    """Fails at the given call number, once; with ``partial`` it keeps the rest of the chunk."""

    def __init__(self, inner, at, *, partial):
        self.catalog, self.chunk, self.inner, self.at, self.partial = (
            inner.catalog, inner.chunk, inner, at, partial,
        )  # fmt: skip

    def query(self, account, histories, k):
        place = self.at - len(self.inner.asked)
        if not 0 <= place < len(histories):
            return self.inner.query(account, histories, k)
        self.at = -1
        if not self.partial:
            raise TargetError("gone")
        answered = np.arange(len(histories)) != place
        lists = np.zeros((len(histories), k), dtype=np.int64)
        lists[answered] = self.inner.query(account, histories[answered], k)
        raise PartialAnswer("gone", lists=lists, answered=answered)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("at", [0, 1, 5, 26, 59])
def test_what_was_answered_before_a_failure_is_kept(oracle, tmp_path: Path, at, partial):
    target = Fails(oracle, at, partial=partial)
    with pytest.raises(TargetError, match="gone"):
        grow(MeteredTarget(target, budget=BUDGET, folder=tmp_path))
    with MeteredTarget(target, budget=BUDGET, folder=tmp_path) as meter:
        grow(meter)
    assert sorted(oracle.asked) == sorted(set(oracle.asked))
    assert len(oracle.asked) == 60
    assert meter.transcript().complete == 60


def test_the_same_meter_can_try_again_after_a_failure(oracle, tmp_path: Path):
    meter = MeteredTarget(Fails(oracle, 2, partial=True), budget=BUDGET, folder=tmp_path)
    histories = np.arange(1, 7)[:, None]
    with pytest.raises(TargetError):
        meter.query("thief", histories, 5)
    assert meter.calls == 0
    meter.query("thief", histories, 5)
    assert (meter.calls, meter.asked, len(oracle.asked)) == (6, 6, 6)


def test_resuming_a_local_target_repeats_its_arithmetic(decay, tmp_path: Path):
    """The state is rebuilt by the same steps, not encoded anew in one go."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with MeteredTarget(LocalTarget(decay), budget=BUDGET, folder=whole) as meter:
        expected = grow(meter)
    short = MeteredTarget(LocalTarget(decay), budget=Budget(calls=31, k=5), folder=killed)
    with pytest.raises(BudgetExhausted), short:
        grow(short)
    decay.encoded = decay.extended = 0
    with MeteredTarget(LocalTarget(decay), budget=BUDGET, folder=killed) as meter:
        np.testing.assert_array_equal(grow(meter), expected)
    assert meter.asked == 30
    assert (decay.encoded, decay.extended) == (6, 6 * 9), "one item, then nine extensions"
    a, b = Transcript.open(whole, decay.catalog), Transcript.open(killed, decay.catalog)
    np.testing.assert_array_equal(a.calls.answers, b.calls.answers)
    np.testing.assert_array_equal(a.calls.parent, b.calls.parent)


def test_calls_to_a_local_target_are_recorded_in_pools(decay, tmp_path: Path):
    meter = MeteredTarget(LocalTarget(decay, pool=13), budget=BUDGET, folder=tmp_path)
    meter.query("a", np.arange(1, 13)[:, None], 5)
    assert not list(tmp_path.glob("*.parquet"))
    meter.query("a", np.array([[13]]), 5)
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    meter.query("a", np.array([[14]]), 5)
    meter.flush()
    assert len(meter.transcript()) == 14


def test_prefixes_in_one_query_are_linked(oracle, tmp_path: Path):
    """All prefixes of two sequences at once, in any order of rows."""
    histories = np.array([[1, 2, 0], [5, 0, 0], [1, 0, 0], [5, 6, 0], [1, 2, 3], [5, 6, 7]])
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        meter.query("a", histories, 5)
        meter.query("b", np.array([[1, 2, 3, 4]]), 5)
        meter.query("a", np.array([[1, 2, 3, 4]]), 5)
    assert meter.transcript().calls.parent.tolist() == [-1, -1, -1, 1, 0, 3, -1, 4]


def test_equal_histories_grow_side_by_side(oracle, tmp_path: Path):
    with MeteredTarget(oracle, budget=BUDGET, folder=tmp_path) as meter:
        meter.query("a", np.array([[1], [1], [1]]), 5)
        meter.query("a", np.array([[1, 2], [1, 3], [1, 3]]), 5)
        meter.query("a", np.array([[1, 3, 4], [1, 3, 4], [1, 3, 4]]), 5)
    assert meter.transcript().calls.parent.tolist() == [-1, -1, -1, 0, 1, 2, 4, 5, -1]
    assert len(meter.transcript().chains()) == 4


def test_a_broken_answer_is_refused_and_not_recorded(oracle, tmp_path: Path):
    oracle.query = lambda account, histories, k: np.ones((len(histories), k), dtype=np.int64)
    meter = MeteredTarget(oracle, budget=BUDGET, folder=tmp_path)
    with pytest.raises(TargetError, match="names item 1 twice"):
        meter.query("a", np.array([[1]]), 5)
    assert len(meter.transcript()) == 0


def test_without_folder_there_is_no_transcript(oracle):
    meter = MeteredTarget(oracle, budget=BUDGET)
    grow(meter)
    with pytest.raises(RunError, match="no folder"):
        meter.transcript()
