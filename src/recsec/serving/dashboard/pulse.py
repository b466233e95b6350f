"""The pulse of a service: requests a second, and how long they take, over the last minutes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsec.serving.engine import Engine
from recsec.serving.metrics import TIMES

__all__ = ["Beat", "Pulse"]

EVERY = 2.0
"""Seconds between two beats."""

KEPT = 300
"""Beats."""

OWN = "/dashboard"


@dataclass(frozen=True)
class Beat:
    """What happened since the beat before.

    Attributes:
        at: seconds since 1970.
        rate: requests a second, without those of the dashboard.
        median: milliseconds; None without requests.
        slow: the 95th percentile.
    """

    at: float
    rate: float
    median: float | None
    slow: float | None


class Pulse:
    """Reads the service's own metrics now and then, in a thread of its own.

    Args:
        engine: whose; the thread ends when it drains.
        clock: seconds since 1970.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._last = self._counts()
        self._at = clock()
        self._beats: deque[Beat] = deque(maxlen=KEPT)

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._run, name="recsec-pulse", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not self._engine.draining:
            pause.wait(EVERY)
            self.beat()

    def beats(self, after: float = 0.0) -> list[Beat]:
        """Those after a time, oldest first."""
        return [one for one in list(self._beats) if one.at > after]

    def beat(self) -> Beat:
        """Read the metrics once."""
        counts, now = self._counts(), self._clock()
        new, lasted = counts - self._last, max(now - self._at, 1e-3)
        self._last, self._at = counts, now
        total = float(new.sum())
        times = [None if total == 0 else 1000 * _quantile(new, q) for q in (0.5, 0.95)]
        made = Beat(round(now, 1), round(total / lasted, 2), *times)
        self._beats.append(made)
        return made

    def _counts(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """``(len(TIMES) + 1,)`` requests by how long they took."""
        upto = dict.fromkeys([*map(float, TIMES), float("inf")], 0.0)
        for metric in self._engine.metrics.duration.collect():
            for sample in metric.samples:
                if sample.name.endswith("_bucket") and not sample.labels["route"].startswith(OWN):
                    upto[float(sample.labels["le"])] += sample.value
        return np.diff(np.array(list(upto.values())), prepend=0.0)


def _quantile(counts: np.ndarray[tuple[int], np.dtype[np.float64]], q: float) -> float:
    """Seconds, linear within a bucket, as Prometheus has it; the last bound for what is longer."""
    bounds = np.array([0.0, *TIMES])
    upto = np.cumsum(counts)
    place = int(np.searchsorted(upto, q * upto[-1]))
    if place >= len(TIMES):
        return float(bounds[-1])
    before = upto[place - 1] if place else 0.0
    part = (q * upto[-1] - before) / counts[place]
    return float(bounds[place] + part * (bounds[place + 1] - bounds[place]))
