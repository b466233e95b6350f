"""What a data set looks like: the numbers and tables behind ``recsec data analyze``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.dataset import Dataset
from recsec.data.filters import REPEATS
from recsec.types import IntArray

__all__ = ["Analysis", "analyze", "gini"]

SAMPLE_USERS, SAMPLE_ITEMS = 160, 320


@dataclass(frozen=True, eq=False)
class Analysis:
    """Numbers and tables of one data set after its filters.

    Attributes:
        name: the data set.
        synthetic: whether it was made up.
        summary: flat names to numbers, texts or None; what ``--json`` prints.
        lengths: ``(U,)`` interactions per user.
        counts: ``(N,)`` interactions per item, most first.
        ratings: columns ``rating``, ``rows``; empty where there are no ratings.
        genres: columns ``genre``, ``items``, ``rows``, most rows first; an item of two genres
            counts in both.
        years: columns ``year``, ``items``, ``rows``, oldest first.
        top: the 20 items with most rows: ``id``, ``title``, ``genres``, ``year``, ``rows``.
        activity: columns ``month`` (Date), ``rows``; None where times are not clock times.
        sample: bool matrix of some users (most active first) by some items (most popular first),
            both evenly spaced in that order.
    """

    name: str
    synthetic: bool
    summary: dict[str, Any]
    lengths: IntArray
    counts: IntArray
    ratings: pl.DataFrame
    genres: pl.DataFrame
    years: pl.DataFrame
    top: pl.DataFrame
    activity: pl.DataFrame | None
    sample: npt.NDArray[np.bool_]


def gini(counts: IntArray) -> float:
    """Gini coefficient of counts ``(N,)``: 0 if all are equal, towards 1 if one has everything.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def analyze(data: Dataset) -> Analysis:
    """Count everything that ``Analysis`` holds."""
    rows = data.interactions.table
    sequences = data.sequences()
    items = data.catalog.table.with_columns(pl.Series("rows", sequences.counts[1:]))
    lengths, counts = sequences.lengths, np.sort(sequences.counts[1:])[::-1]
    ratings = rows.drop_nulls("rating").group_by("rating").agg(rows=pl.len()).sort("rating")
    genres = (
        items.explode("genres", empty_as_null=True)
        .drop_nulls("genres")
        .group_by(pl.col("genres").alias("genre"))
        .agg(items=pl.len(), rows=pl.col("rows").sum())
        .sort("rows", "genre", descending=[True, False])
    )
    years = (
        items.drop_nulls("year")
        .group_by("year")
        .agg(items=pl.len(), rows=pl.col("rows").sum())
        .sort("year")
    )
    top = items.sort("rows", "id", descending=[True, False]).head(20)
    return Analysis(
        name=data.name,
        synthetic=data.synthetic,
        summary=_summary(data, lengths, counts, ratings, genres, years, top),
        lengths=lengths,
        counts=counts,
        ratings=ratings,
        genres=genres,
        years=years,
        top=top,
        activity=_activity(rows) if data.times_are_real else None,
        sample=_sample(data),
    )


def _summary(
    data: Dataset,
    lengths: IntArray,
    counts: IntArray,
    ratings: pl.DataFrame,
    genres: pl.DataFrame,
    years: pl.DataFrame,
    top: pl.DataFrame,
) -> dict[str, Any]:
    users, items, rows = len(lengths), len(counts), len(data.interactions)
    first, middle, last = np.percentile(lengths, [25, 50, 75])
    tenth = counts[: max(1, round(items / 10))]
    repeats = _repeats(data)
    summary: dict[str, Any] = {
        "name": data.name,
        "synthetic": data.synthetic,
        "users": users,
        "items": items,
        "interactions": rows,
        "density": rows / (users * items),
        "length_min": int(lengths.min()),
        "length_q25": float(first),
        "length_median": float(middle),
        "length_mean": float(lengths.mean()),
        "length_q75": float(last),
        "length_max": int(lengths.max()),
        "item_gini": gini(counts),
        "top_tenth_share": float(tenth.sum() / rows),
        "repeats": repeats,
        "repeat_share": repeats / data.report.rows,
        "rating_mean": _mean(ratings, "rating"),
        "year_first": years["year"].min(),
        "year_mean": _mean(years, "year"),
        "year_last": years["year"].max(),
        **_span(data),
        "rows_read": data.report.rows,
        "rows_dropped": data.report.dropped,
    }
    for step in data.report.steps:  # a k-core runs the same rule several times
        key = f"dropped[{step.rule}]"
        summary[key] = summary.get(key, 0) + step.rows
    shares = zip(genres["genre"], genres["rows"], strict=True)
    summary |= {f"genre_share[{genre}]": count / rows for genre, count in shares}
    summary |= {f"rating_share[{value:g}]": count / rows for value, count in ratings.iter_rows()}
    summary["top_items"] = top.select("id", "title", "rows").to_dicts()
    summary["fingerprint"] = data.fingerprint
    summary["notes"] = list(data.report.notes)
    return summary


def _repeats(data: Dataset) -> int:
    """Rows whose user had met their item before, whether the filters dropped them or not."""
    dropped = sum(step.rows for step in data.report.steps if step.rule == REPEATS)
    rows = data.interactions.table
    return dropped + rows.height - rows.select("user", "item").n_unique()


def _mean(table: pl.DataFrame, column: str) -> float | None:
    """Mean of a column weighted by rows; None for an empty table."""
    if table.height == 0:
        return None
    return float(np.average(table[column].to_numpy(), weights=table["rows"].to_numpy()))


def _span(data: Dataset) -> dict[str, Any]:
    """First and last day, where times are clock times."""
    if not data.times_are_real:
        return {"times": "order only", "first_day": None, "last_day": None, "days": None}
    time = data.interactions.table["time"]
    ends = pl.Series([time.min(), time.max()], dtype=pl.Int64)
    first, last = pl.from_epoch(ends, time_unit="s").dt.date().to_list()
    return {
        "times": "clock",
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "days": (last - first).days,
    }


def _activity(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows per month, months without any included."""
    month = pl.from_epoch("time", time_unit="s").dt.truncate("1mo").dt.date().alias("month")
    counted = rows.group_by(month).agg(rows=pl.len()).sort("month")
    return counted.upsample("month", every="1mo").with_columns(pl.col("rows").fill_null(0))


def _sample(data: Dataset) -> npt.NDArray[np.bool_]:
    """Who met what, for users and items evenly spaced by activity and popularity."""
    sequences = data.sequences()
    by_length = np.argsort(-sequences.lengths, kind="stable")
    by_count = np.argsort(-sequences.counts[1:], kind="stable") + 1
    users = _spaced(by_length, SAMPLE_USERS)
    items = _spaced(by_count, SAMPLE_ITEMS)
    return np.stack([np.isin(items, sequences[int(user)]) for user in users])


def _spaced(values: IntArray, count: int) -> IntArray:
    """At most ``count`` values, evenly spaced."""
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).astype(np.int64)]
