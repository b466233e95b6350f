"""Columns of times: whole seconds since 1970 from numbers, dates and text, by one form a column.

The form is told from the whole column; what has another form does not fit. Times without a zone
are in UTC.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

import polars as pl

from recsec.data.dialect import UNITS
from recsec.data.sources.tables.kinds.missing import without_missing
from recsec.data.sources.tables.kinds.values import Values, numbers, wrong_type
from recsec.errors import DataError

__all__ = ["times"]

NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
CLOCK = r"[T ,]+\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?"
LOCAL = rf"^\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}({CLOCK})?$"
ZONED = rf"^\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{CLOCK} ?(Z|z|UTC|GMT|[+-]\d{{2}}:?(\d{{2}})?)$"
SPOKEN = rf"^(\d{{1,2}})[-/.](\d{{1,2}})[-/.]\d{{4}}({CLOCK})?$"
HOURS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S%.f %p", " %I:%M %p")
SIGNS = (
    (r"^(\d{1,4})[/.](\d{1,2})[/.](\d{1,4})", "$1-$2-$3"),
    (r"(\d)[T ,]+(\d{1,2}:\d{2})", "$1 $2"),
    (r"(:\d{2}),(\d)", "$1.$2"),
    (r"(?i)(\d) ?([ap]m)", "$1 $2"),
)
"""How variants of one form become one: slashes and dots in dates, T and commas, AM and PM."""
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
STARTS = {"s": 0.0, "ms": 1e11, "us": 1e14, "ns": 1e17}
"""Numbers from which a unit is meant: 1e11 s is the year 5138, 1e11 ms is March 1973."""
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 and 9999."""
FORMS = f"a time as {', '.join(NAMES.values())}, a date or ISO text"
HINT = "say how times are written: --time-format s, ms, us, ns or a pattern such as %d.%m.%y"


def times(column: pl.Series, *, form: str | None = None) -> Values:
    """Int64 seconds, rounded down.

    Args:
        column: numbers, dates, datetimes, or text.
        form: a unit or a pattern, see ``Dialect``; None: told from the column.

    Raises:
        DataError: the type of the column cannot hold times, or day and month cannot be told apart.
    """
    kind = column.dtype
    if kind in (pl.Date, pl.Datetime):
        return Values(_epoch(column), "a time")
    if form is not None and form not in UNITS:
        return _by_pattern(column, form)
    if kind == pl.Null:
        return Values(column.cast(pl.Int64), FORMS)
    if kind.is_numeric():
        return _from_numbers(column, form)
    if kind != pl.String:
        raise wrong_type(column, FORMS)
    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return _from_numbers(whole, form)
    text = without_missing(column)
    text = text.set(text == "NA", None)
    if form is not None:
        return _from_text_numbers(text, form)
    forms: dict[str, Callable[[pl.Series], Values]] = {
        NUMBER: lambda part: _from_text_numbers(part, None),
        LOCAL: _from_iso,
        ZONED: _from_zoned,
        SPOKEN: lambda part: _from_spoken(column.name, part),
    }
    fits = {pattern: text.str.contains(pattern) for pattern in forms}
    most = max(forms, key=lambda pattern: int(fits[pattern].sum() or 0))
    if not fits[most].any():
        return Values(text.cast(pl.Int64, strict=False), FORMS, text.is_not_null(), HINT)
    other = ~fits[most].fill_null(True)
    found = forms[most](text.set(other, None))
    example = text.filter(fits[most])[0]
    return found.refusing(other, f"a time written like {example!r}, as most of the column is")


def _from_numbers(column: pl.Series, form: str | None) -> Values:
    """Numbers in the given unit, or in the one that most of them are in."""
    number = numbers(column)
    value = number.values
    units = [form] if form else _units(value)
    unit, per = units[0], UNITS[units[0]]
    whole = column if column.dtype == pl.Int64 else None
    seconds = (value / per).floor().cast(pl.Int64, strict=False) if whole is None else whole // per
    say = f"a time in {NAMES[unit]} since 1970" + ("" if form else ", as most of the column is")
    bad = ~seconds.is_between(FIRST, LAST).fill_null(value.is_null())
    if len(units) > 1:
        bad |= ~_in_unit(value, unit).fill_null(True)
    if form is None and unit == "s" and _calendar(seconds):
        raise DataError(
            f"column {column.name!r}: {seconds.drop_nulls()[0]} and all others look like dates "
            "written as YYYYMMDD, and may be seconds or positions as well",
            hint="--time-format %Y%m%d, or --time-format s",
        )
    kept = seconds.set(bad, None) if bad.any() else seconds
    return Values(kept, say, number.bad).refusing(bad, say)


def _from_text_numbers(text: pl.Series, form: str | None) -> Values:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return _from_numbers(whole, form)
    found = text.cast(pl.Float64, strict=False)
    odd = found.is_null() & text.is_not_null()
    converted = _from_numbers(found, form)
    return converted.refusing(odd, converted.expected)


def _units(value: pl.Series) -> list[str]:
    """The units that occur, the most frequent first; of equals the one that comes first."""
    size = value.abs()
    ends = [float(end) for end in (size.min(), size.max()) if end is not None]  # type: ignore[arg-type]
    within = {sum(end >= start for start in STARTS.values()) - 1 for end in ends}
    if len(within) < 2:
        return [list(STARTS)[max(within, default=0)]]
    fits = {name: _in_unit(value, name).fill_null(False) for name in STARTS}
    names = [name for name in STARTS if fits[name].any()]
    return sorted(names, key=lambda name: (-int(fits[name].sum()), fits[name].arg_max()))


def _in_unit(value: pl.Series, unit: str) -> pl.Series:
    size = value.abs()
    after = [start for start in STARTS.values() if start > STARTS[unit]]
    within = size >= STARTS[unit]
    return within & (size < after[0]) if after else within


def _calendar(seconds: pl.Series) -> bool:
    """Whether all numbers are days such as 20200901."""
    known = seconds.drop_nulls()
    if len(known) == 0 or not known.is_between(19_700_101, 21_001_231).all():
        return False
    return known.cast(pl.String).str.to_date("%Y%m%d", strict=False).null_count() == 0


def _from_iso(text: pl.Series) -> Values:
    return _parsed(text, ["%Y-%m-%dT%H:%M:%S%.f", *(f"%Y-%m-%d{hour}" for hour in HOURS)])


def _from_zoned(text: pl.Series) -> Values:
    zone = text.str.replace(r" ?(Z|z|UTC|GMT)$", "+00:00")
    zone = zone.str.replace(r" ?([+-]\d{2}):?(\d{2})$", "$1:$2")
    zone = zone.str.replace(r" ?([+-]\d{2})$", "${1}:00")
    return _parsed(zone, ["%Y-%m-%dT%H:%M:%S%.f%z", *(f"%Y-%m-%d{hour}%z" for hour in HOURS[1:])])


def _from_spoken(name: str, text: pl.Series) -> Values:
    """Day and month in the order that the column shows.

    Raises:
        DataError: it shows none, or both.
    """
    parts = [text.str.extract(SPOKEN, group).cast(pl.Int64) for group in (1, 2)]
    days = [text.filter((part > 12).fill_null(False)) for part in parts]
    if len(days[0]) and len(days[1]):
        raise DataError(
            f"column {name!r} has dates of both orders: {days[0][0]!r} begins with the day, "
            f"{days[1][0]!r} with the month",
            hint="repair the file: one column has one order",
        )
    if not len(days[0]) and not len(days[1]) and (parts[0] != parts[1]).any():
        unclear = text.filter((parts[0] != parts[1]).fill_null(False))[0]
        raise DataError(
            f"column {name!r}: {unclear!r} may begin with the day or with the month, and no day "
            "above 12 says which",
            hint=" or ".join(
                f"--time-format {shlex.quote(_pattern(unclear, order))}"
                for order in (r"%d\1%m\1%Y", r"%m\1%d\1%Y")
            ),
        )
    start = "%m-%d-%Y" if len(days[1]) else "%d-%m-%Y"
    return _parsed(text, [start + hour for hour in HOURS])


def _pattern(spoken: str, order: str) -> str:
    """The pattern of a date with day and month in some order, and of the clock behind it."""
    half = re.search(r"[AaPp][Mm]$", spoken) is not None
    hour = "%I" if half else "%H"
    found = re.sub(r"^\d+(\D)\d+\D\d+", order, spoken)
    for clock, form in ((r"\d+:\d+:\d+\.\d+", "%H:%M:%S%.f"), (r"\d+:\d+:\d+", "%H:%M:%S")):
        found = re.sub(clock, form, found)
    found = re.sub(r"\d+:\d+", "%H:%M", found).replace("%H", hour)
    return re.sub(r"[AaPp][Mm]$", "%p", found)


def _by_pattern(column: pl.Series, form: str) -> Values:
    text = without_missing(column.cast(pl.String, strict=False))
    say = f"a time in the form {form}"
    found = _attempt(text.set(text == "NA", None), [form])
    return Values(found, say).refusing(found.is_null() & text.is_not_null() & (text != "NA"), say)


def _parsed(text: pl.Series, patterns: Sequence[str]) -> Values:
    """Seconds by the first pattern that fits: as it stands, or with its signs made equal."""
    found = _attempt(text, patterns)
    rest = found.is_null() & text.is_not_null()
    if rest.any():
        tidy = text.filter(rest)
        for old, new in SIGNS:
            tidy = tidy.str.replace(old, new)
        found = found.scatter(rest.arg_true(), _attempt(tidy, patterns))
    say = "a time that exists"
    return Values(found, say, hint=HINT).refusing(found.is_null() & text.is_not_null(), say)


def _attempt(text: pl.Series, patterns: Sequence[str]) -> pl.Series:
    """Seconds by the first pattern that fits, else null; each is tried on what is left."""
    found = pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
    for pattern in patterns:
        rest = found.is_null() & text.is_not_null()
        if not rest.any():
            break
        try:
            part = text.filter(rest).str.to_datetime(pattern, strict=False, time_unit="us")
        except pl.exceptions.PolarsError:
            continue  # a pattern that says no date
        found = found.scatter(rest.arg_true(), _epoch(part))
    return found


def _epoch(moments: pl.Series) -> pl.Series:
    """Whole seconds since 1970, rounded down."""
    if moments.dtype == pl.Date:
        return moments.cast(pl.Int64) * 86_400
    unit = moments.dtype.time_unit  # type: ignore[attr-defined]
    return moments.dt.epoch(unit) // UNITS[unit]
