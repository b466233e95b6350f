"""Measure people on a log: the click law by maximum likelihood, and how they ask.

A choice is an event with the list from which its item was taken; its rank is where the item stood.
``P(1)`` is free, below it rank r has weight ``r ** -eta``. How often people follow a list is read
off *later* events: of the new items of a session acted on after a list was logged, the share that
stands in it. Intervals are percentiles of a bootstrap over users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy

from recsec.traffic.clicks import ClickLaw
from recsec.traffic.people import Measured, People
from recsec.types import FloatArray, IntArray, Progress

__all__ = ["fit_power", "measure_people"]

LENGTHS = (5, 10, 25)
"""List lengths k: choices within the first k ranks are those of a list of k."""

LEAST = 100
"""Choices below which no law is measured."""

PAUSE = 1800
"""Seconds; a longer pause inside a session is time away, not time between two pages."""


@dataclass(frozen=True, eq=False)
class _User:
    """Counts of one user: all that the numbers are made of, so that users can be drawn again."""

    ranks: IntArray
    offered: IntArray
    counts: IntArray


def fit_power(counts: FloatArray, *, free: bool = True) -> tuple[float | None, float, float]:
    """Maximum likelihood of ``P(1)`` and eta.

    Args:
        counts: ``(k,)`` choices at each rank.
        free: rank 1 has a share of its own; else the power law holds from rank 1 on.

    Returns:
        P(1) (None if not free), eta, and the total variation that is left.
    """
    total, k = float(counts.sum()), len(counts)
    first = float(counts[0] / total) if free else None
    rest = counts[1:] if free else counts
    logs = np.log(np.arange(k - len(rest) + 1, k + 1))
    mean = float((rest * logs).sum() / max(rest.sum(), 1))

    def loss(eta: float) -> float:
        return eta * mean + float(np.log(np.exp(-eta * logs).sum()))

    eta = float(scipy.optimize.minimize_scalar(loss, bounds=(0.0, 5.0), method="bounded").x)
    law = ClickLaw(acceptance=1.0, bias=eta, first=None if first in (0.0, 1.0) else first)
    away = 0.5 * float(np.abs(counts / total - law.probabilities(k)).sum())
    return first, eta, away


NAMES = ("events", "sessions", "new", "again", "returns", "steps")


def _user(events: pl.DataFrame, wide: int) -> _User:
    """Count one user's events, in order."""
    ranks = np.zeros(wide + 1, dtype=np.int64)
    offered = np.zeros(wide + 2, dtype=np.int64)
    counts = dict.fromkeys(NAMES, 0)
    session, last = None, None
    seen: set[str] = set()
    shown: list[str] | None = None
    for now, item, listed in zip(
        events["session"].to_list(),
        events["item"].to_list(),
        events["shown"].to_list(),
        strict=True,
    ):
        if now != session:
            session, last, seen, shown = now, None, set(), None
            counts["sessions"] += 1
        counts["events"] += 1
        counts["steps"] += last is not None
        if item == last:
            counts["again"] += 1
        elif item in seen:
            counts["returns"] += 1
        if item not in seen:
            counts["new"] += 1
            if shown is not None and len(shown) >= wide:
                offered[shown.index(item) if item in shown[:wide] else wide] += 1
                offered[wide + 1] += 1
        if listed:
            shown = listed
            if item in listed[:wide]:
                ranks[listed.index(item) + 1] += 1
        seen.add(item)
        last = item
    return _User(ranks, offered, np.array([counts[name] for name in NAMES], dtype=np.int64))


def _numbers(people: _User, wide: int) -> dict[str, float]:
    """Every number from summed counts."""
    ranks, offered, counts = people.ranks, people.offered, people.counts
    total = dict(zip(NAMES, counts.tolist(), strict=True))
    found = {
        "events per session": total["events"] / max(total["sessions"], 1),
        "new items per session": total["new"] / max(total["sessions"], 1),
        "restart": total["sessions"] / max(total["new"], 1),
        "reload": total["again"] / max(total["steps"], 1),
        "return": total["returns"] / max(total["steps"], 1),
    }
    for k in LENGTHS:
        own = ranks[1 : k + 1].astype(np.float64)
        if k > wide or own.sum() < LEAST:
            continue
        first, eta, away = fit_power(own)
        _, alone, left = fit_power(own, free=False)
        found |= {f"P(1) k={k}": first or 0.0, f"eta k={k}": eta, f"left k={k}": away}
        found |= {f"eta alone k={k}": alone, f"left alone k={k}": left}
        if offered[-1]:
            found[f"acceptance k={k}"] = float(offered[:k].sum() / offered[-1])
    return found


def measure_people(
    events: pl.DataFrame,
    *,
    name: str,
    terms: str | None = None,
    rng: np.random.Generator,
    resamples: int = 200,
    progress: Progress | None = None,
) -> People:
    """Measure a log.

    Args:
        events: see ``read_events``.
        name: what to call it.
        terms: of the log.
        rng: draws users again.
        resamples: how often.
        progress: is told how many users were counted.
    """
    lists = events["shown"].list.len().drop_nulls()
    wide = min(int(lists.mode().max() or 0), max(LENGTHS)) if len(lists) else 0  # type: ignore[arg-type]
    parts = events.partition_by("user", maintain_order=True)
    users = []
    for at, part in enumerate(parts, start=1):
        users.append(_user(part, wide))
        if progress is not None and at % 100 == 0:
            progress("counting users", at, len(parts))
    ranks, offered, counts = (
        np.stack([getattr(one, key) for one in users]) for key in ("ranks", "offered", "counts")
    )
    whole = _User(ranks.sum(axis=0), offered.sum(axis=0), counts.sum(axis=0))
    values = _numbers(whole, wide)
    draws = []
    for _ in range(resamples):
        often = np.bincount(rng.integers(len(users), size=len(users)), minlength=len(users))
        draws.append(_numbers(_User(often @ ranks, often @ offered, often @ counts), wide))
    ranks, offered, counts = whole.ranks, whole.offered, whole.counts
    estimates = {}
    for key, value in values.items():
        drawn = [one[key] for one in draws if key in one]
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist() if drawn else (None, None)
        k = int(key.rpartition("=")[2]) if "k=" in key else 0
        n = int(counts[0]) if not k else int(ranks[1 : k + 1].sum())
        n = int(offered[-1]) if key.startswith("acceptance") else n
        estimates[key] = Measured(value=value, low=low, high=high, n=n)
    estimates |= _pauses(events) | _devices(events)
    laws, shares = {}, {}
    for k in LENGTHS:
        if f"P(1) k={k}" in values and f"acceptance k={k}" in values:
            first = values[f"P(1) k={k}"]
            laws[k] = ClickLaw(
                acceptance=values[f"acceptance k={k}"],
                first=first if 0 < first < 1 else None,
                bias=values[f"eta k={k}"],
                restart=min(values["restart"], 0.99),
            )
            shares[k] = (ranks[1 : k + 1] / ranks[1 : k + 1].sum()).tolist()
    return People(
        name=name,
        terms=terms,
        users=len(users),
        events=events.height,
        laws=laws,
        estimates=estimates,
        shares=shares,
    )


def _quantiles(values: FloatArray, what: str, shares: Sequence[float]) -> dict[str, Measured]:
    return {
        f"{what}, {100 * share:g} %": Measured(
            value=float(np.quantile(values, share)), n=len(values)
        )
        for share in shares
    }


def _pauses(events: pl.DataFrame) -> dict[str, Measured]:
    """Seconds between two events of a session; longer ones than ``PAUSE`` are time away."""
    timed = events.drop_nulls("time")
    gaps = timed.with_columns(gap=pl.col("time").diff().over("user", "session"))["gap"].drop_nulls()
    values = gaps.to_numpy().astype(np.float64)
    values = values[(values >= 0) & (values <= PAUSE)]
    return _quantiles(values, "pause in s", (0.1, 0.5, 0.9)) if len(values) else {}


def _devices(events: pl.DataFrame) -> dict[str, Measured]:
    """Users with several devices, and users whose sessions overlap."""
    found = {}
    known = events.drop_nulls("device")
    if known.height:
        several = known.group_by("user").agg(pl.col("device").n_unique())["device"] > 1
        found["several devices"] = Measured(value=float(several.mean() or 0.0), n=len(several))  # type: ignore[arg-type]
    timed = events.drop_nulls("time")
    spans = timed.group_by("user", "session").agg(
        begin=pl.col("time").min(), end=pl.col("time").max()
    )
    spans = spans.sort("user", "begin").with_columns(
        late=pl.col("end").cum_max().shift(1).over("user")
    )
    if spans.height:
        side = spans.group_by("user").agg((pl.col("begin") < pl.col("late")).any())["begin"]
        found["sessions side by side"] = Measured(
            value=float(side.fill_null(False).mean() or 0.0),  # type: ignore[arg-type]
            n=len(side),
        )
    return found
