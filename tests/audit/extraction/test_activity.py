"""Copies that serve quiet users better than their target: planted, and found in their tenth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from recsec.audit.extraction.evidence.activity import activity_rows
from recsec.audit.extraction.evidence.desk import Desk
from recsec.audit.extraction.evidence.pooling import pooled
from recsec.reports import Metric
from recsec.rng import Streams

USERS = 200
LENGTHS = np.arange(1, USERS + 1)
"""Items of the histories."""
QUIET = LENGTHS <= 21


def _desk() -> Desk:
    hits = np.tile([1.0, 0.0, 0.0, 0.0], USERS // 4)
    better = np.where(QUIET, np.tile([1.0, 1.0, 0.0, 0.0], USERS // 4), hits)
    copy = {
        "agr@1": np.zeros(USERS),
        "agr@10": np.where(QUIET, 0.9, 0.3),
        "hr@10": better,
    }

    def estimate(tables: Any, **more: Any) -> dict[str, Metric]:
        found = pooled(tables, streams=Streams(0), resamples=200, **more)
        return {name: Metric.of(one) for name, one in found.items()}

    full = SimpleNamespace(lengths=LENGTHS + 1)
    desk = SimpleNamespace(
        dataset=SimpleNamespace(split=lambda: SimpleNamespace(full=full)),
        found=SimpleNamespace(users=np.arange(USERS)),
        target=SimpleNamespace(quality={"hr@10": hits}),
        floor=lambda name: np.full(USERS, 0.1),
        compared=lambda name: copy,
        pooled=estimate,
    )
    return cast("Desk", desk)


def test_quiet_users_whom_the_copy_serves_better_stand_first() -> None:
    specs = cast("Any", [SimpleNamespace(id="copy", floor="floor")])
    rows = activity_rows(_desk(), specs)
    assert [row.group for row in rows][:2] == ["D1 (1-21)", "D2 (22-41)"]
    assert sum(row.users for row in rows) == USERS
    quiet, rest = rows[0].metrics, rows[1].metrics
    assert quiet["hr_ratio"].value == pytest.approx(11 / 6)
    assert quiet["target_hr@10"].value == pytest.approx(6 / 21)
    assert quiet["lift"].value == pytest.approx(0.8 / 0.9)
    assert rest["hr_ratio"].value == pytest.approx(1)
    assert rest["agr@10"].value == pytest.approx(0.3)


def test_without_a_deciding_row_nothing_is_told() -> None:
    assert activity_rows(_desk(), ()) == ()
