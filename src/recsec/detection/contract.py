"""The contract of a detector as functions, for the tests of ours and of plugins.

In the tests of a plugin:

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        check(my_detector, steps)

Each check raises ``RecsecError`` that says what is wrong. ``steps`` are some followed queries of at
least two accounts; the detector that is given is fitted and not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from recsec.detection.base import Detector
from recsec.errors import RecsecError
from recsec.traffic import Steps

__all__ = ["CONTRACT", "Check"]

Check: TypeAlias = Callable[[Detector, Steps], None]

CLOSE = 1e-9


def _scores(detector: Detector) -> dict[str, float]:
    names, values = detector.scores()
    return dict(zip(names, values.tolist(), strict=True))


def starts_empty(detector: Detector, steps: Steps) -> None:
    """A fresh detector has seen nobody."""
    if _scores(detector.fresh()):
        raise RecsecError("fresh() knows accounts already")


def scores_are_finite(detector: Detector, steps: Steps) -> None:
    """One finite score per query, and the last one of an account is its score now."""
    one = detector.fresh()
    found = one.observe(steps)
    if found.shape != (len(steps),) or not np.isfinite(found).all():
        raise RecsecError(f"observe gave {found.shape}, expected ({len(steps)},) finite scores")
    now = _scores(one)
    for code, name in enumerate(steps.accounts):
        last = found[np.flatnonzero(steps.account == code)[-1]]
        if abs(now[name] - last) > CLOSE:
            raise RecsecError(f"the score of {name} is {now[name]}, its last query gave {last}")


def one_at_a_time_is_the_same(detector: Detector, steps: Steps) -> None:
    """How queries are batched changes nothing."""
    batch, single = detector.fresh(), detector.fresh()
    expected = batch.observe(steps)
    found = [float(single.observe(steps.row(at))[0]) for at in range(len(steps))]
    if not np.allclose(found, expected, rtol=0, atol=CLOSE):
        raise RecsecError("queries one at a time give other scores than together")


def restores_exactly(detector: Detector, steps: Steps) -> None:
    """What was saved and restored goes on as if nothing had happened."""
    half = len(steps) // 2
    one, again = detector.fresh(), detector.fresh()
    for at in range(half):
        one.observe(steps.row(at))
    again.restore(*one.state())
    for at in range(half, len(steps)):
        if not np.array_equal(one.observe(steps.row(at)), again.observe(steps.row(at))):
            raise RecsecError(f"after restoring, query {at} gives another score")
    if _scores(one) != _scores(again):
        raise RecsecError("a restored detector ends with other scores")


def merges_disjoint_accounts(detector: Detector, steps: Steps) -> None:
    """Workers with an account each add up to one that saw all of them."""
    whole, merged = detector.fresh(), detector.fresh()
    whole.observe(steps)
    for code in range(len(steps.accounts)):
        worker = detector.fresh()
        for at in np.flatnonzero(steps.account == code):
            worker.observe(steps.row(int(at)))
        merged.merge(worker)
    expected, found = _scores(whole), _scores(merged)
    if found.keys() != expected.keys():
        raise RecsecError("merging lost or made up accounts")
    worst = max(abs(found[name] - expected[name]) for name in expected)
    if worst > CLOSE:
        raise RecsecError(f"merged scores differ by up to {worst}")


CONTRACT: tuple[Check, ...] = (
    starts_empty,
    scores_are_finite,
    one_at_a_time_is_the_same,
    restores_exactly,
    merges_disjoint_accounts,
)
