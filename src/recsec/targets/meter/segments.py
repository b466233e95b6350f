"""The query log on disk: Parquet segments, each written whole or not at all.

One row per call:

| column | type | meaning |
|---|---|---|
| ``call`` | Int64 | number of the call in the order of asking, from 0 |
| ``account`` | String | the end user in whose name it was made |
| ``parent`` | Int64, null | the call whose history this one extends |
| ``items`` | List[id] | what the history adds to the parent's; the whole of it without parent |
| ``k`` | Int64 | list length asked for |
| ``answer`` | List[id] | what came back, best first |

Ids are external. A call may occur in several segments (a compaction that was killed): readers keep
one. Whoever writes holds the run directory's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.catalog import Catalog
from recsec.errors import RunError
from recsec.runs import read_table, write_table
from recsec.types import IntArray

__all__ = [
    "AGAIN",
    "COLUMNS",
    "ROOM",
    "Calls",
    "compact",
    "encode_calls",
    "narrow",
    "ranges",
    "read_columns",
    "read_segments",
    "recorded_calls",
    "write_columns",
    "write_segment",
]

SEALED = 32_768
"""Calls from which on a segment is never rewritten."""

COLUMNS = ("call", "account", "parent", "items", "k", "answer")
PATTERN = "calls-*.parquet"
AGAIN = "delete that file and run the same command again: only its calls are asked again"
CATALOG = "use the data set with which the transcript was collected"
ROOM = "make room there; the same command continues"


def narrow(catalog: Catalog) -> type[np.int16 | np.int32]:
    """The smallest type that holds every index of the catalog."""
    return np.int16 if len(catalog) <= np.iinfo(np.int16).max else np.int32


@dataclass(frozen=True, eq=False)
class Calls:
    """Calls as columns, in catalog indices.

    Attributes:
        call: ``(n,)`` int64 call numbers.
        account: ``(n,)`` names.
        parent: ``(n,)`` int64 call numbers, -1 for none.
        items: ``(T,)`` flat catalog indices appended by each call.
        offsets: ``(n + 1,)`` int64; call i appended ``items[offsets[i]:offsets[i + 1]]``.
        k: ``(n,)`` int64 list lengths asked for.
        answers: ``(n, K)`` catalog indices, zeros where a list is shorter than K.
    """

    call: IntArray
    account: list[str]
    parent: IntArray
    items: npt.NDArray[np.integer]
    offsets: IntArray
    k: IntArray
    answers: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.call)


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Concatenated ``arange(start, start + length)``: where the items of calls lie.

    >>> ranges(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _lists(
    ids: pl.Series, flat: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]
) -> pl.Series:
    """A column of lists of external ids from flat catalog indices."""
    values = ids.gather(flat.astype(np.int64) - 1)
    width = int(lengths[0]) if len(lengths) else 0
    if width and (lengths == width).all():
        return values.reshape((len(lengths), width)).arr.to_list()
    rows = pl.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "id": values})
    lists = rows.group_by("row", maintain_order=True).agg("id")
    every = pl.DataFrame({"row": np.arange(len(lengths))})
    joined = every.join(lists, on="row", how="left", maintain_order="left")["id"]
    return joined.fill_null(pl.Series([[]], dtype=pl.List(ids.dtype)))


def encode_calls(calls: Calls, catalog: Catalog) -> pl.DataFrame:
    """The columns of a file of calls: external ids, lists without padding."""
    ids = catalog.table["id"]
    filled = calls.answers > 0
    return pl.DataFrame(
        {
            "call": calls.call,
            "account": pl.Series(calls.account, dtype=pl.String),
            "parent": pl.Series(calls.parent).replace(-1, None),
            "items": _lists(ids, calls.items, np.diff(calls.offsets)),
            "k": calls.k,
            "answer": _lists(ids, calls.answers[filled], filled.sum(axis=1)),
        }
    )


def _indices(column: pl.Series, catalog: Catalog) -> tuple[IntArray, IntArray]:
    """Flat catalog indices and the offsets of the rows of a column of lists."""
    offsets = np.concatenate([[0], np.cumsum(column.list.len().to_numpy())]).astype(np.int64)
    flat = column.explode().drop_nulls()
    ids = catalog.table["id"]
    if not ids.dtype.is_integer():
        return flat.cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int64) + 1, offsets
    values, order = flat.to_numpy(), np.argsort(catalog.ids)
    place = np.searchsorted(catalog.ids, values, sorter=order)
    found = order[np.minimum(place, len(order) - 1)]
    if (catalog.ids[found] != values).any():
        raise ValueError("an item id is not in the catalog")
    return found + 1, offsets


def _decode(frame: pl.DataFrame, catalog: Catalog) -> Calls:
    items, offsets = _indices(frame["items"], catalog)
    flat, ends = _indices(frame["answer"], catalog)
    lengths = np.diff(ends)
    k = frame["k"].to_numpy()
    answers = np.zeros((len(frame), int(k.max(initial=0))), dtype=narrow(catalog))
    columns = np.arange(len(flat)) - np.repeat(ends[:-1], lengths)
    answers[np.repeat(np.arange(len(frame)), lengths), columns] = flat
    return Calls(
        call=frame["call"].to_numpy(),
        account=[intern(name) for name in frame["account"]],
        parent=frame["parent"].fill_null(-1).to_numpy(),
        items=items.astype(np.int32),
        offsets=offsets,
        k=k,
        answers=answers,
    )


def _read(path: Path) -> pl.DataFrame:
    return read_table(path, columns=COLUMNS, hint=AGAIN)


def _write(folder: Path, frame: pl.DataFrame) -> Path:
    first, last = frame["call"].min(), frame["call"].max()
    path = folder / f"calls-{first!s:0>10}-{last!s:0>10}.parquet"
    try:
        write_table(path, frame)
    except OSError as error:
        raise RunError(
            f"cannot record calls in {folder}: {error.strerror or error}", hint=ROOM
        ) from error
    return path


def write_segment(folder: Path, calls: Calls, catalog: Catalog) -> Path:
    """Write calls as one segment; a crash leaves either the whole segment or none.

    Raises:
        RunError: the folder cannot be written.
    """
    return _write(folder, encode_calls(calls, catalog))


def _tabled(parts: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[pl.DataFrame]:
    """Columns in external ids, such as a journal keeps them, as tables."""
    ids = pl.List(catalog.table["id"].dtype)
    types: tuple[Any, ...] = (pl.Int64, pl.String, pl.Int64, ids, pl.Int64, ids)
    schema = dict(zip(COLUMNS, types, strict=True))
    try:
        return [pl.DataFrame(part, schema=schema) for part in parts if part["call"]]
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunError(f"the journal fits another catalog: {error}", hint=CATALOG) from error


def write_columns(folder: Path, parts: Sequence[Mapping[str, Any]], catalog: Catalog) -> None:
    """Write columns in external ids as one segment.

    Raises:
        RunError: they are no columns of a segment, or the folder cannot be written.
    """
    frames = _tabled(parts, catalog)
    if frames:
        _write(folder, pl.concat(frames))


def read_columns(parts: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[Calls]:
    """Columns in external ids as calls.

    Raises:
        RunError: they are no columns of a segment, or name items that the catalog does not have.
    """
    return [_fitting(frame, catalog, "the journal") for frame in _tabled(parts, catalog)]


def recorded_calls(folder: Path) -> list[int]:
    """The numbers of the calls in the segments of a transcript; some may repeat.

    Raises:
        RunError: a segment is damaged.
    """
    return [call for path in folder.glob(PATTERN) for call in _read(path)["call"]]


def read_segments(folder: Path, catalog: Catalog) -> Iterator[Calls]:
    """The segments of a transcript, oldest first; calls may repeat across segments.

    Raises:
        RunError: a segment is broken, or names items that the catalog does not have.
    """
    for path in sorted(folder.glob(PATTERN)):
        yield _fitting(_read(path), catalog, f"the transcript segment {path}")


def _fitting(frame: pl.DataFrame, catalog: Catalog, name: str) -> Calls:
    try:
        return _decode(frame, catalog)
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"{name} does not fit this catalog of {len(catalog)} items: "
            f"{str(error).splitlines()[0]}",
            hint=CATALOG,
        ) from error


def _span(path: Path) -> int:
    first, last = path.stem.split("-")[1:]
    return int(last) - int(first) + 1


def compact(folder: Path) -> None:
    """Merge the segments that are not sealed into one.

    The merged segment is in place before the first source is removed, so a kill at any point
    leaves every call in at least one segment.

    Raises:
        RunError: a segment is broken, or the folder cannot be written.
    """
    small = [path for path in sorted(folder.glob(PATTERN)) if _span(path) < SEALED]
    if len(small) < 2:
        return
    merged = pl.concat([_read(path) for path in small]).unique("call", keep="first")
    kept = _write(folder, merged.sort("call"))
    for path in small:
        if path != kept:
            path.unlink(missing_ok=True)
