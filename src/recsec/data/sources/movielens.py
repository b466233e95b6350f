"""The three layouts in which MovieLens was published: tabs (1998), ``::`` (2000), CSV (since)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from recsec.data.interactions import Raw
from recsec.data.sources.archive import Archive
from recsec.data.sources.delimited import read_delimited
from recsec.data.sources.tables import Field, read_table
from recsec.data.sources.tables.encoding import decode
from recsec.errors import DataError

__all__ = ["GENRES_100K", "item_table", "read_csv", "read_dat", "read_tab"]

GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""Columns 5 to 23 of ``u.item``, from ``u.genre``."""

_NO_GENRE = ("", "unknown", "(no genres listed)")
_COLUMNS = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}

Movie = tuple[int, str, list[str]]
"""Id, title with the year at its end, genres."""


def item_table(rows: Iterable[Movie]) -> pl.DataFrame:
    """The columns of ``Catalog.table`` from ids, titles and genres; years come from the titles.

    >>> item_table([(1, "Heat (1995)", ["Crime"])])["year"].item()
    1995
    """
    movies = list(rows)
    table = pl.DataFrame(
        {
            "id": pl.Series([number for number, _, _ in movies], dtype=pl.Int64),
            "title": pl.Series([title.strip() for _, title, _ in movies], dtype=pl.String),
            "genres": pl.Series(
                [[name for name in names if name not in _NO_GENRE] for _, _, names in movies],
                dtype=pl.List(pl.String),
            ),
        }
    ).unique("id", keep="first", maintain_order=True)
    year = pl.col("title").str.extract(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$").cast(pl.Int64)
    return table.with_columns(year.alias("year"))


def read_tab(archive: Archive) -> Raw:
    """MovieLens-100k: ``u.data`` and ``u.item``, whose genres are one column each."""

    def movie(line: str) -> Movie:
        number, title, _, _, _, *flags = line.split("|")
        pairs = zip(GENRES_100K, flags, strict=True)
        return int(number), title, [name for name, flag in pairs if flag == "1"]

    rows = _ratings(archive, "u.data", "\t")
    return Raw(rows, item_table(_movies(archive, "u.item", movie)))


def read_dat(archive: Archive) -> Raw:
    """MovieLens-1M: ``ratings.dat`` and ``movies.dat``, separated by ``::``."""

    def movie(line: str) -> Movie:
        number, title, genres = line.split("::")
        return int(number), title, genres.split("|")

    rows = _ratings(archive, "ratings.dat", "::")
    return Raw(rows, item_table(_movies(archive, "movies.dat", movie)))


def read_csv(archive: Archive) -> Raw:
    """MovieLens-20M, 25M and latest: ``ratings.csv`` and ``movies.csv``."""

    def movie(line: str) -> Movie:
        number, title, genres = next(csv.reader([line]))
        return int(number), title, genres.split("|")

    kinds: dict[str, Field] = {
        "user": Field("whole", ("userId",)),
        "item": Field("whole", ("movieId",)),
        "rating": Field("number", ("rating",)),
        "time": Field("whole", ("timestamp",)),
    }
    name = f"{archive.path}:ratings.csv"
    rows = read_table(archive.read("ratings.csv"), kinds, name=name).rows
    movies = _movies(archive, "movies.csv", movie, header=True)
    return Raw(rows.with_columns(pl.col("rating").cast(pl.Float32)), item_table(movies))


def _ratings(archive: Archive, member: str, separator: str) -> pl.DataFrame:
    return read_delimited(
        archive.read(member),
        name=f"{archive.path}:{member}",
        separator=separator,
        schema=_COLUMNS,
    )


def _movies(
    archive: Archive, member: str, parse: Callable[[str], Movie], *, header: bool = False
) -> Iterator[Movie]:
    """The movies of a member, one per line; a malformed line is named."""
    name = f"{archive.path}:{member}"
    lines = io.StringIO(decode(archive.read(member), name=name), newline="\n")
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text or (header and number == 1):
            continue
        try:
            yield parse(text)
        except ValueError as error:
            raise DataError(
                f"{name}, line {number}: found {text[:80]!r}, expected the number of an item, its "
                "title and its genres",
                hint="repair or delete the line",
            ) from error
