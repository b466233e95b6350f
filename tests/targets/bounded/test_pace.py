"""How fast people act."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.targets.bounded import DAY, HOTELS, Pace, most_within


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_the_most_within_a_window_is_what_counting_finds(
    events: list[tuple[int, int]], window: int
) -> None:
    accounts = np.array([who for who, _ in events])
    times = np.array([float(when) for _, when in events])
    most = most_within(accounts, times, window)
    for account in range(len(most)):
        own = times[accounts == account]
        plain = max((int(((own > t - window) & (own <= t)).sum()) for t in own), default=0)
        assert most[account] == plain


def test_a_pace_is_what_a_share_of_the_accounts_keeps() -> None:
    accounts = np.repeat(np.arange(100), np.arange(1, 101))  # account a has a + 1 events
    times = np.concatenate([np.arange(a + 1) * 3600.0 / (a + 1) for a in range(100)])
    pace = Pace.measured(accounts, times, share=0.9, windows=(DAY,))
    assert pace.windows == ((DAY, 91),)
    assert pace.kept(accounts, times).tolist() == [True] * 91 + [False] * 9


def test_events_are_due_when_every_window_has_room() -> None:
    pace = Pace(((60.0, 2), (DAY, 3)))
    due: list[float] = []
    for _ in range(5):
        due.append(pace.due(np.array(due), 0.0))
    assert due == [0.0, 0.0, 60.0, DAY, DAY]
    assert pace.daily == 3


@pytest.mark.parametrize("events", [1, 20, 21, 60])
def test_nobody_who_waits_is_ever_faster(events: int) -> None:
    due: list[float] = []
    for _ in range(events):
        due.append(HOTELS.due(np.array(due), due[-1] if due else 0.0))
    assert HOTELS.kept(np.zeros(events, dtype=np.int64), np.array(due)).all()
