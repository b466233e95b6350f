"""The three layouts in which MovieLens was published, and S3-Rec's sequence files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable

import polars as pl

from recsec.data.archive import Archive
from recsec.data.delimited import decode, read_delimited
from recsec.data.interactions import Raw
from recsec.data.known import KnownData
from recsec.errors import DataError

__all__ = ["GENRES_100K", "item_table", "read_known", "read_sequences"]

GENRES_100K = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]
"""Columns 5 to 23 of ``u.item``, from ``u.genre``."""

_NO_GENRE = ("unknown", "(no genres listed)")


def read_known(archive: Archive, data: KnownData) -> Raw:
    """Interactions and items of a known data set.

    Raises:
        DataError: a member is absent, damaged, empty or malformed.
    """
    return _READERS[data.layout](archive, data)


def item_table(rows: Iterable[tuple[int | str, str, list[str]]]) -> pl.DataFrame:
    """The columns of ``Catalog.table`` from ids, titles and genres; years come from the titles.

    >>> item_table([(1, "Heat (1995)", ["Crime"])])["year"].item()
    1995
    """
    ids, titles, genres = zip(*rows, strict=True)
    table = pl.DataFrame(
        {
            "id": list(ids),
            "title": [title.strip() for title in titles],
            "genres": pl.Series(
                [[name for name in names if name and name not in _NO_GENRE] for names in genres],
                dtype=pl.List(pl.String),
            ),
        }
    ).unique("id", keep="first", maintain_order=True)
    year = pl.col("title").str.extract(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$").cast(pl.Int64)
    return table.with_columns(year.alias("year"))


def read_sequences(text: bytes, *, name: str) -> Raw:
    """S3-Rec's format: one line per user, the user and then the items in order.

    Raises:
        DataError: empty, or a line that is not a user and at least one item, in numbers.
    """
    table = pl.DataFrame({"line": decode(text, name=name).splitlines()}).with_row_index("number", 1)
    table = table.with_columns(pl.col("line").str.strip_chars().str.split(" ")).filter(
        pl.col("line").list.len() > 1
    )
    if table.height == 0:
        raise DataError(f"{name} holds no interactions")
    pairs = table.select(
        "number",
        pl.col("line").list.first().cast(pl.Int64, strict=False).alias("user"),
        pl.col("line").list.slice(1).cast(pl.List(pl.Int64), strict=False).alias("item"),
    ).explode("item")
    broken = pairs.filter(pl.col("user").is_null() | pl.col("item").is_null())
    if broken.height:
        number = int(broken["number"][0])
        raise DataError(
            f"{name}, line {number}: found {text.splitlines()[number - 1][:80]!r}, "
            "expected a user and items as numbers separated by spaces",
            hint="repair or delete the line",
        )
    return Raw(_rows(pairs.select("user", "item")))


def _rows(table: pl.DataFrame) -> pl.DataFrame:
    """Fill in the columns that a source does not have."""
    absent = {"rating": pl.Float32, "time": pl.Int64}
    missing = [
        pl.lit(None, dtype=kind).alias(name)
        for name, kind in absent.items()
        if name not in table.columns
    ]
    return table.with_columns(missing).select("user", "item", "rating", "time")


_COLUMNS = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float32, "time": pl.Int64}


def _read_tab(archive: Archive, data: KnownData) -> Raw:
    name = f"{archive.path}:u.data"
    rows = read_delimited(archive.read("u.data"), name=name, separator="\t", schema=_COLUMNS)

    def item(fields: list[str]) -> tuple[int, str, list[str]]:
        flags = fields[5:]
        if len(flags) != len(GENRES_100K):
            raise ValueError
        return (
            int(fields[0]),
            fields[1],
            [g for g, on in zip(GENRES_100K, flags, strict=True) if on == "1"],
        )

    return Raw(rows, _items(archive, "u.item", "|", item))


def _read_dat(archive: Archive, data: KnownData) -> Raw:
    name = f"{archive.path}:ratings.dat"
    rows = read_delimited(archive.read("ratings.dat"), name=name, separator="::", schema=_COLUMNS)

    def item(fields: list[str]) -> tuple[int, str, list[str]]:
        number, title, genres = fields
        return int(number), title, genres.split("|")

    return Raw(rows, _items(archive, "movies.dat", "::", item))


def _read_csv(archive: Archive, data: KnownData) -> Raw:
    name = f"{archive.path}:ratings.csv"
    columns = {"userId": pl.Int64, "movieId": pl.Int64, "rating": pl.Float32, "timestamp": pl.Int64}
    rows = read_delimited(
        archive.read("ratings.csv"), name=name, separator=",", schema=columns, header=True
    ).rename(dict(zip(columns, _COLUMNS, strict=True)))
    text = decode(archive.read("movies.csv"), name=f"{archive.path}:movies.csv")
    reader = csv.reader(io.StringIO(text, newline=""))
    next(reader, None)
    movies = []
    for fields in reader:
        try:
            number, title, genres = fields
            movies.append((int(number), title, genres.split("|")))
        except ValueError as error:
            raise _bad_item(archive, "movies.csv", reader.line_num, ",".join(fields)) from error
    return Raw(rows, item_table(movies))


def _read_s3rec(archive: Archive, data: KnownData) -> Raw:
    member = data.members[0]
    return read_sequences(archive.read(member), name=f"{archive.path}:{member}")


def _items(
    archive: Archive,
    member: str,
    separator: str,
    parse: Callable[[list[str]], tuple[int, str, list[str]]],
) -> pl.DataFrame:
    movies = []
    text = decode(archive.read(member), name=f"{archive.path}:{member}")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            movies.append(parse(line.rstrip("\r").split(separator)))
        except ValueError as error:
            raise _bad_item(archive, member, number, line) from error
    if not movies:
        raise DataError(f"{archive.path}:{member} is empty")
    return item_table(movies)


def _bad_item(archive: Archive, member: str, number: int, line: str) -> DataError:
    return DataError(
        f"{archive.path}:{member}, line {number}: found {line[:80]!r}, expected an item number, "
        "a title and genres",
        hint="repair or delete the line",
    )


_READERS: dict[str, Callable[[Archive, KnownData], Raw]] = {
    "movielens-tab": _read_tab,
    "movielens-dat": _read_dat,
    "movielens-csv": _read_csv,
    "s3rec": _read_s3rec,
}
