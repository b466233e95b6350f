"""The one reader of tables: text, JSON Lines and Parquet, one file or a folder of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars import selectors as cs

from recsec.data.dialect import Dialect
from recsec.data.sources.tables.columns import Field, choose
from recsec.data.sources.tables.faults import Bad
from recsec.data.sources.tables.files import Part, open_part, parts_of
from recsec.data.sources.tables.kinds.ids import id_lists, ids
from recsec.data.sources.tables.kinds.times import times
from recsec.data.sources.tables.kinds.values import (
    Values,
    numbers,
    texts,
    whole_numbers,
    wrong_type,
)
from recsec.data.sources.tables.text import Text
from recsec.errors import DataError

__all__ = ["OpenTable", "Table", "open_table", "read_table"]

USUAL = Dialect()
NUMBERS = {"time": pl.Int64, "whole": pl.Int64, "number": pl.Float64}
"""Kinds whose text may be read as numbers at once; ids may not, or ``007`` became 7."""
STRICT = {"time": "times, or seconds since 1970", "whole": "whole numbers"}
"""What a strict column holds."""


@dataclass(frozen=True, eq=False)
class Table:
    """What was read.

    Attributes:
        rows: our columns in our types; those that the table lacks are not there.
        notes: what was left out, with the count and three examples.
    """

    rows: pl.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OpenTable:
    """A table whose shape is known and whose columns can be read.

    Attributes:
        name: the file or folder, for errors.
        parts: its files; rows follow each other in this order.
        dialect: what the user says.
    """

    name: str
    parts: tuple[Part, ...]
    dialect: Dialect

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.parts[0].columns

    def read(self, fields: Mapping[str, Field], chosen: Mapping[str, str]) -> Table:
        """Convert columns by their whole content.

        A row that does not fit is an error that says where it stands, what was found and what was
        expected; with ``dialect.drop_bad`` such rows are left out and counted.

        Args:
            fields: what is read, by our names.
            chosen: ours to theirs, as ``choose`` gives it; others of ``fields`` are left out.

        Raises:
            DataError: a row or column that does not fit, or no row is left.
        """
        theirs = list(dict.fromkeys(chosen.values()))
        raw = self._load(theirs, fields, chosen)
        typed = not isinstance(self.parts[0], Text)
        out: dict[str, pl.Series] = {}
        faults: list[_Fault] = []
        for ours, column in chosen.items():
            source, field = raw[column], fields[ours]
            try:
                self._check(source, field)
                found = _convert(source, field, self._comma(), self.dialect, typed=typed)
            except DataError as error:
                raise DataError(f"{self.name}: {error.message}", hint=error.hint) from error
            if found.bad is not None:
                faults.append(_Fault(source, found, found.bad))
            if field.filled and found.values.null_count():
                empty = found.values.is_null()
                faults.append(
                    _Fault(source, found, empty if found.bad is None else empty & ~found.bad)
                )
            out[ours] = found.values.alias(ours)
        rows = pl.DataFrame(list(out.values()))
        blank = self._blank(raw)
        notes: tuple[str, ...] = ()
        if faults:
            rows, notes = self._without(rows, faults, blank)
        else:
            rows = rows if blank is None else rows.filter(~blank)
            notes = Bad.note([part.bad for part in self.parts if isinstance(part, Text)])
        if rows.height == 0:
            raise DataError(
                f"{self.name} is empty: it has no rows" + "".join(f"; {n}" for n in notes)
            )
        return Table(rows, notes)

    def _check(self, source: pl.Series, field: Field) -> None:
        """Refuse what a format with types for all values would not hold, if the field is strict."""
        first = self.parts[0]
        if isinstance(first, Text) or not (first.every and field.strict):
            return
        if source.dtype == pl.String:
            raise wrong_type(source, STRICT[field.kind])
        if source.dtype.is_float() and source.is_nan().any():
            row = source.is_nan().arg_max() or 0
            raise DataError(
                f"{self._place(row)}, column {source.name!r}: found nan, expected "
                f"{STRICT[field.kind]}, or null for none"
            )

    def _comma(self) -> bool:
        """Whether a comma may stand in a number."""
        return all(isinstance(part, Text) and part.sep != "," for part in self.parts)

    def _load(
        self, theirs: list[str], fields: Mapping[str, Field], chosen: Mapping[str, str]
    ) -> pl.DataFrame:
        first = self.parts[0]
        if len(self.parts) == 1 and isinstance(first, Text):
            numbers = {
                column: NUMBERS[fields[ours].kind]
                for ours, column in chosen.items()
                if fields[ours].kind in NUMBERS and not self.dialect.time_format
            }
            return first.load(theirs, numbers=numbers)
        for part in self.parts[1:]:
            missing = [name for name in theirs if name not in part.columns]
            if missing:
                raise DataError(
                    f"{part.name} has no column {missing[0]!r}, which {self.parts[0].name} has"
                )
        frames = [part.load(theirs) for part in self.parts]
        for part, frame in zip(self.parts[1:], frames[1:], strict=True):
            for name in theirs:
                kinds = (frames[0][name].dtype, frame[name].dtype)
                if not _joins(*kinds):
                    raise DataError(
                        f"column {name!r} is {kinds[0]} in {self.parts[0].name} and {kinds[1]} in "
                        f"{part.name}; expected one type in all files"
                    )
        if all(frame.schema == frames[0].schema for frame in frames):
            return pl.concat(frames)
        whole = [frame.with_columns(cs.integer().cast(pl.Int128)) for frame in frames]
        return pl.concat(whole, how="vertical_relaxed")

    def _blank(self, raw: pl.DataFrame) -> pl.Series | None:
        """Rows of text with nothing in them: blank lines, and separators alone."""
        if any(not isinstance(part, Text) for part in self.parts):
            return None
        nothing = raw.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not nothing.any():
            return None
        others = [name for name in self.columns if name not in raw.columns and name]
        if not others:
            return nothing
        rest = pl.concat([part.load(others) for part in self.parts])
        return nothing & rest.select(pl.all_horizontal(pl.all().is_null())).to_series()

    def _without(
        self, rows: pl.DataFrame, faults: Sequence[_Fault], blank: pl.Series | None
    ) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """The rows that fit, and the note on the others."""
        blank = pl.repeat(False, rows.height, eager=True) if blank is None else blank
        bad = faults[0].rows
        for fault in faults[1:]:
            bad = bad | fault.rows
        places = (bad & ~blank).arg_true()
        examples = []
        for row in places.head(Bad.SHOWN):
            first = next(fault for fault in faults if fault.rows[row])
            examples.append(f"{self._place(row)}, {first.say(row)}")
        found = Bad(self.name, len(places), tuple(examples))
        if len(places) and not self.dialect.drop_bad:
            hint = next((one.found.hint for one in faults if one.found.hint), None)
            raise found.error(hint=hint) if hint else found.error()
        shapes = [part.bad for part in self.parts if isinstance(part, Text)]
        return rows.filter(~(bad | blank)), Bad.note([*shapes, found])

    def _place(self, row: int) -> str:
        """The line of a row, with the file where there are several."""
        for part in self.parts:
            height = self._height(part)
            if row < height or part is self.parts[-1]:
                where = part.place(row)
                return where if len(self.parts) == 1 else f"{Path(part.name).name}, {where}"
            row -= height
        return f"row {row + 1}"

    def _height(self, part: Part) -> int:
        return part.load([part.columns[0]]).height if len(self.parts) > 1 else 0


@dataclass(frozen=True, eq=False)
class _Fault:
    """Rows of one column that do not fit."""

    source: pl.Series
    found: Values
    rows: pl.Series

    def say(self, row: int) -> str:
        value = self.source[row]
        shown = "nothing" if value is None else repr(value)[:80]
        return f"column {self.source.name!r}: found {shown}, expected {self.found.expected}"


def open_table(
    source: Path | bytes,
    *,
    name: str | None = None,
    files: Sequence[Path] | None = None,
    wanted: Sequence[str] = (),
    dialect: Dialect | None = None,
    ragged: bool = False,
) -> OpenTable:
    """Open a table: a file, a folder of files of one kind, or the content of a file.

    Args:
        source: where it is, or what it holds.
        name: what to call it in errors; its suffix says the format.
        files: of a folder, the files that are its parts; None: all tables in it.
        wanted: column names that help to tell the separator.
        dialect: what the user says.
        ragged: surplus fields of text are cut off.

    Raises:
        DataError: missing, empty, damaged, of an unknown format, or a record of another shape.
    """
    dialect = USUAL if dialect is None else dialect
    found: list[tuple[Path | bytes, str]]
    if isinstance(source, Path):
        found = [(path, str(path)) for path in files or parts_of(source)]
    else:
        found = [(source, name or "the table")]
    parts = tuple(
        open_part(part, name=title, wanted=tuple(wanted), dialect=dialect, ragged=ragged)
        for part, title in found
    )
    return OpenTable(name or str(source), parts, dialect)


def read_table(
    source: Path | bytes,
    fields: Mapping[str, Field],
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    hint: str | None = None,
) -> Table:
    """Open a table, choose its columns and read them.

    Args:
        source: a file, a folder, or the content of a file.
        fields: what is read.
        name: what to call it in errors; its suffix says the format.
        columns: ours to theirs where they have other names than the usual ones.
        dialect: what the user says.
        hint: for errors about columns.

    Raises:
        ConfigError: ``columns`` has a key that is not ours.
        DataError: missing, broken, empty, or something in it does not fit.
    """
    wanted = [*(columns or {}).values(), *(name for one in fields.values() for name in one.names)]
    wanted += [ours for ours, field in fields.items() if not field.names]
    table = open_table(source, name=name, wanted=wanted, dialect=dialect)
    chosen = choose(table.name, table.columns, fields, columns or {}, hint=hint)
    return table.read(fields, chosen)


def _convert(
    source: pl.Series, field: Field, comma: bool, dialect: Dialect, *, typed: bool
) -> Values:
    if field.kind == "id":
        return ids(source, typed=typed)
    if field.kind == "ids":
        return id_lists(source, typed=typed)
    if field.kind == "time":
        return times(source, form=dialect.time_format)
    if field.kind == "whole":
        return whole_numbers(source)
    return numbers(source, comma=comma) if field.kind == "number" else texts(source)


def _joins(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether columns of these types can follow each other without loss."""
    return one == other or pl.Null in (one, other) or (one.is_integer() and other.is_integer())
