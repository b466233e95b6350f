"""Killed at any point, the same command ends the same and asks only what was under way again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from recsec.targets import SPOTS

if TYPE_CHECKING:
    from conftest import Place


CHUNK = 8
"""Sessions that grow side by side: what is asked together and recorded together."""


@pytest.mark.parametrize(
    ("part", "count", "lost"),
    [
        ("transcript/mixed-k10-s0/journal", 11, CHUNK),  # asked, answered, not yet recorded
        ("transcript/mixed-k10-s0/journal", 12, 0),  # recorded, the next not yet asked
        ("transcript/mixed-k10-s0/calls-", 1, 0),
        ("surrogate/mixed-k10-c150-s0/resume/epoch-", 2, 0),
        ("cells/mixed-k10-c60-s0.json", 1, 0),
        ("run/report.json", 1, 0),
    ],
    ids=[
        "answering",
        "recording",
        "collected",
        "training the surrogate",
        "between two cells",
        "writing the report",
    ],
)
def test_kill_and_run_again(
    place: Place, undisturbed: Place, part: str, count: int, lost: int
) -> None:
    place.killed(part, count)
    assert not (place.folder / "run" / "report.json").exists()
    before = place.asked
    assert 0 < len(before) <= len(undisturbed.asked) + lost
    place.run()
    assert place.report == undisturbed.report
    collecting = "/journal" in part
    assert len(place.asked) == len(undisturbed.asked) + lost + (SPOTS if collecting else 0)
    assert place.asked[: len(before)] == before
    timings = json.loads((place.folder / "run" / "timings.json").read_text())
    known = timings["requests"]
    assert known["sent"] + known["spot_checks"] == len(place.asked), "the function's own count"
    assert known["calls"] == len(undisturbed.asked)


def test_a_finished_run_asks_nothing_and_writes_the_same(place: Place, undisturbed: Place) -> None:
    place.run()
    asked, report = place.asked, place.report
    place.run()
    assert (place.asked, place.report) == (asked, report)
    assert report == undisturbed.report


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("answers/defense-jury", 1),  # the owner's questions are recorded, his numbers are not
        ("surrogate/jury.mixed-k10-c150-s0/resume/epoch-", 2),
    ],
    ids=["measuring a defense", "training a surrogate of it"],
)
def test_a_guard_is_asked_nothing_twice(
    place: Place, guarded: dict[str, Any], part: str, count: int
) -> None:
    place.killed(part, count, guarded)
    before = place.asked
    users, calls = 40, 150
    assert len(before) == (users if count == 1 else users + calls)
    place.run(guarded)
    assert place.asked[: len(before)] == before
    assert len(place.asked) == users + calls
    report = place.report
    place.run(guarded)
    assert (len(place.asked), place.report) == (users + calls, report)
