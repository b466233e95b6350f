"""Separated text with a header: every record has the header's fields, or is named."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from polars._typing import PolarsDataType

from recsec.data.dialect import Dialect, guess_separator
from recsec.data.sources.tables.encoding import plain_utf8
from recsec.data.sources.tables.faults import Bad
from recsec.data.sources.tables.shape import Record, line_of, misfits, record
from recsec.errors import DataError

__all__ = ["Text", "open_text"]

MISQUOTED = "quotation marks that do not fit in "
SHOWN = 1000
"""Rows that tell whether a column may be read as numbers."""
SAMPLE = 2**16
"""Bytes from which the separator is told."""


@dataclass(frozen=True, eq=False)
class Text:
    """A table of text whose records all have ``len(columns)`` fields.

    Attributes:
        name: the file, for errors.
        columns: names in the header, blanks around them cut off.
        bad: records that had another number of fields and were left out.
    """

    name: str
    columns: tuple[str, ...]
    bad: Bad
    data: bytes
    body: int
    sep: str
    quoted: bool
    ragged: bool

    def load(
        self, names: list[str], *, numbers: Mapping[str, PolarsDataType] | None = None
    ) -> pl.DataFrame:
        """Some columns as text, empty fields as null; row i is record i after the header.

        Args:
            names: of the columns.
            numbers: columns that are numbers if all of them can be read so, which is faster.

        Raises:
            DataError: the text is not UTF-8.
        """
        try:
            if numbers:
                try:
                    self._scan(names, numbers).limit(SHOWN).collect()
                    return self._scan(names, numbers).collect(engine="streaming")
                except pl.exceptions.PolarsError:
                    pass  # text in one of them
            return self._scan(names, {}).collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise self._not_utf8() or DataError(f"{self.name} cannot be read: {error}") from error

    def _scan(self, names: list[str], kinds: Mapping[str, PolarsDataType]) -> pl.LazyFrame:
        places = [f"{place}" for place in range(len(self.columns))]
        chosen = {places[self.columns.index(name)]: name for name in names}
        scan = pl.scan_csv(
            io.BytesIO(self.data),
            separator=self.sep,
            quote_char='"' if self.quoted else None,
            infer_schema=False,
            schema_overrides={places[self.columns.index(name)]: kinds[name] for name in kinds},
            truncate_ragged_lines=self.ragged,
            with_column_names=lambda _: places,
        )
        return scan.select(list(chosen)).rename(chosen)

    def place(self, row: int) -> str:
        """Where a row stands, for errors."""
        found = record(memoryview(self.data)[self.body :], row, quoted=self.quoted)
        return f"line {line_of(self.data, self.body + found.start)}" if found else f"row {row + 1}"

    def _not_utf8(self) -> DataError | None:
        try:
            self.data.decode()
        except UnicodeDecodeError as error:
            start = self.data.rfind(b"\n", 0, error.start) + 1
            line = self.data[start : start + 80].split(b"\n")[0].decode(errors="replace")
            return DataError(
                f"{self.name}, line {line_of(self.data, error.start)}: found {line!r}, which is "
                "not UTF-8",
                hint=f"convert the file: iconv -f LATIN1 -t UTF-8 {self.name} > utf8.csv",
            )
        return None


def open_text(
    source: bytes, *, name: str, wanted: tuple[str, ...], dialect: Dialect, ragged: bool = False
) -> Text:
    """Tell encoding, separator and quoting from the text, and check the shape of all of it.

    Quotation marks hold fields together as RFC 4180 says. Where no field begins with one, they are
    characters like others.

    Args:
        source: the file.
        name: what to call it in errors.
        wanted: column names that help to tell the separator.
        dialect: what the user says.
        ragged: fields beyond the header's are cut off; if not, they are an error.

    Raises:
        DataError: empty, of an unknown encoding, or a record with another number of fields.
    """
    data = plain_utf8(source, name=name)
    start = len(data) - len(data.lstrip(b"\n \t")) if not data[:1].strip() else 0
    if start:  # lines keep their numbers, and the first record is the header
        start = data.rfind(b"\n", 0, start) + 1
    if not data[start : start + SAMPLE].strip():
        raise DataError(f"{name} is empty")
    head = data[start : start + SAMPLE].decode(errors="replace").split("\n")
    usual = "\t" if name.lower().endswith((".tsv", ".tab")) else ","
    sep = dialect.sep or guess_separator(head if len(head) < 3 else head[:-1], wanted, usual=usual)
    opening = (b'\n"', f'{sep}"'.encode())
    quoted = b'"' in data and (
        data.startswith(b'"', start) or any(mark in data for mark in opening)
    )
    columns, body = _header(data, start, sep, quoted=quoted)
    rows, width = memoryview(data)[body:], len(columns)
    bad = misfits(rows, sep=sep, width=width, quoted=quoted, ragged=ragged)
    twice = [one for one in columns if one and columns.count(one) > 1]
    if twice:
        raise DataError(
            f"{name} has two columns called {twice[0]!r}; its columns are {', '.join(columns)}"
        )
    left_out = _left_out(data, name, body, bad, columns, sep) if bad else Bad(name)
    if bad and not dialect.drop_bad:
        raise left_out.error(hint=_advice(data[body:], bad, len(columns)))
    if bad:
        data = data[:body] + _blanked(data[body:], bad)
    return Text(name, columns, left_out, data, body, sep, quoted, ragged)


def _header(data: bytes, start: int, sep: str, *, quoted: bool) -> tuple[tuple[str, ...], int]:
    """The names of the columns, and where the rows begin."""
    first = record(data[start : start + 2**20], 0, quoted=quoted)
    end = start + (first.end if first else 0)
    line = data[start:end].decode(errors="replace")
    fields = next(csv.reader(io.StringIO(line), delimiter=sep)) if quoted else line.split(sep)
    return tuple(field.strip() for field in fields), min(end + 1, len(data))


def _left_out(
    data: bytes, name: str, body: int, bad: list[Record], columns: tuple[str, ...], sep: str
) -> Bad:
    """Where the bad records stand, what was found and what was expected."""
    examples = []
    for one in bad[: Bad.SHOWN]:
        line = data[body + one.start : body + one.end].decode(errors="replace")
        count = f"{one.fields} field{'s' * (one.fields > 1)} in " if one.fields else MISQUOTED
        examples.append(
            f"line {line_of(data, body + one.start)}: found {count}{line[:80]!r}, expected "
            f"{len(columns)} as in the header ({sep.join(columns)[:120]})"
        )
    return Bad(name, len(bad), tuple(examples))


def _advice(rows: bytes, bad: list[Record], width: int) -> str:
    lines = rows.count(b"\n") + 1
    if len(bad) > lines // 2 and all(one.fields == width + 1 for one in bad):
        return (
            "the header has one name too few, as R writes it: give the first column a name, or "
            "write.table(..., row.names = FALSE)"
        )
    return "quote fields that hold the separator, or leave such rows out: --drop-bad"


def _blanked(rows: bytes, bad: list[Record]) -> bytes:
    """The text with blank lines in place of the bad records, so that lines keep their numbers."""
    parts, at = [], 0
    for one in bad:
        parts += [rows[at : one.start], b"\n" * rows.count(b"\n", one.start, one.end)]
        at = one.end
    return b"".join([*parts, rows[at:]])
