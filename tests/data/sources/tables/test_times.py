"""Times: one form a column, told from all of it."""

from __future__ import annotations

import shlex
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from recsec.data.sources.tables import Dialect
from recsec.data.sources.tables.kinds.times import times
from recsec.errors import DataError

START = 1_700_000_000  # 2023-11-14T22:13:20


@pytest.mark.parametrize(
    "written",
    [
        "1700000000",
        "1700000000.75",
        "1.7e9",
        "1700000000123",
        "1700000000123456",
        "1700000000123456789",
        "1.700000000123e18",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20.999999999",
        "2023-11-14T22:13:20,5",
        "2023/11/14 10:13:20 PM",
        "2023.11.14 22:13:20",
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20 UTC",
        "2023-11-15 00:13:20+02:00",
        "2023-11-15T00:13:20.25 +0200",
        "2023-11-15T00:13:20+02",
        "14.11.2023 22:13:20",
        "14/11/2023, 22:13:20",
        "11/14/2023 10:13:20 pm",
        " 1700000000 ",
    ],
)
def test_one_moment_in_many_forms(written: str) -> None:
    found = times(pl.Series("time", [written, None, "NULL", "NA"]))
    assert found.values.to_list() == [START, None, None, None]
    assert found.bad is None


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([datetime(2023, 11, 14, 22, 13, 20, 999)]).cast(pl.Datetime("ms")),
        pl.Series([datetime(2023, 11, 14, 22, 13, 20, 999)]).cast(pl.Datetime("ns")),
        pl.Series([datetime(2023, 11, 14, 22, 13, 20)]).dt.replace_time_zone("UTC"),
        pl.Series([datetime(2023, 11, 14, 23, 13, 20)]).dt.replace_time_zone("Europe/Berlin"),
        pl.Series([START * 1000], dtype=pl.UInt64),
        pl.Series([START + 0.5]),
    ],
)
def test_columns_with_a_type(column: pl.Series) -> None:
    assert times(column).values.to_list() == [START]


def test_days_and_times_before_1970() -> None:
    assert times(pl.Series([date(1969, 12, 31)])).values.to_list() == [-86_400]
    early = pl.Series([datetime(1969, 12, 31, 23, 59, 59, 500)])
    assert times(early).values.to_list() == [-1]
    assert times(pl.Series(["2023-11-14", "2023-11-14 22:13"])).values.to_list() == [
        START // 86_400 * 86_400,
        START - 20,
    ]


@pytest.mark.parametrize(
    ("column", "bad", "said"),
    [
        ([START, START, START * 1000], 2, "in seconds since 1970"),
        ([0, START * 1000, START * 1000], 0, "in milliseconds since 1970"),
        ([START * 10**6, START * 10**9, START * 10**6], 1, "in microseconds"),
        (["1700000000", "1700000001", "yesterday"], 2, "like '1700000000'"),
        (["2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", "2023-11-14 22:13:20"], 2, "20Z'"),
        (["2023-11-14", "2023-02-30", "2023-11-14"], 1, "a time that exists"),
        (["soon"], 0, "ISO text"),
        (["9/1/20"], 0, "ISO text"),
        ([float("inf"), 1e9, 1e9], 0, "in seconds"),
        ([1e10, -9e10, 1e9], 1, "in seconds"),
    ],
)
@pytest.mark.hostile(kind="tables", what="times of several units, of no form, out of range")
def test_what_has_another_form_does_not_fit(column: list[object], bad: int, said: str) -> None:
    found = times(pl.Series("time", column))
    assert found.bad is not None
    assert found.bad.arg_true().to_list() == [bad]
    assert found.values[bad] is None
    assert said in found.expected


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["01/02/2020", "03/04/2020"], "'01/02/2020' may begin with the day or with the month"),
        (["13/02/2020", "02/13/2020"], "dates of both orders"),
        ([20200901, 20200902], "look like dates written as YYYYMMDD"),
        ([True], "is of type Boolean"),
        ([timedelta(1)], "is of type Duration"),
    ],
)
@pytest.mark.hostile(kind="tables", what="dates whose order cannot be told")
def test_what_cannot_be_told(column: list[object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        times(pl.Series("time", column))


@pytest.mark.parametrize(
    "clock", ["", " 10:20", " 10:20:30", " 10:20:30.5", " 09:20 AM", " 01:20:30 PM", ", 10:20"]
)
@pytest.mark.parametrize("sign", ["/", ".", "-"])
def test_the_advice_on_days_and_months_works(clock: str, sign: str) -> None:
    column = pl.Series("time", [f"01{sign}02{sign}2020{clock}"])
    with pytest.raises(DataError) as caught:
        times(column)
    words = shlex.split(str(caught.value.hint))
    assert words.count("--time-format") == 2
    forms = [word for word in words if "%" in word]
    days = [times(column, form=Dialect(time_format=form).time_format).values[0] for form in forms]
    assert [day // 86_400 for day in days] == [18_293, 18_263]


def test_a_day_above_12_tells_the_order_of_the_column() -> None:
    assert times(pl.Series(["02/01/2020", "13/01/2020"])).values.to_list() == [
        1_577_923_200,
        1_578_873_600,
    ]
    assert times(pl.Series(["01/02/2020", "01/13/2020"])).values.to_list() == [
        1_577_923_200,
        1_578_873_600,
    ]


@pytest.mark.parametrize(
    ("column", "form", "seconds"),
    [
        (["01/02/2020"], "%d/%m/%Y", 1_580_515_200),
        (["01/02/2020"], "%m/%d/%Y", 1_577_923_200),
        (["1.2.20 10:00"], "%d.%m.%y %H:%M", 1_580_551_200),
        ([20200901], "%Y%m%d", 1_598_918_400),
        ([20200901], "s", 20_200_901),
        (["5000"], "ms", 5),
    ],
)
def test_the_user_says_the_form(column: list[object], form: str, seconds: int) -> None:
    assert times(pl.Series(column), form=form).values.to_list() == [seconds]


def test_the_form_that_the_user_says_may_not_fit() -> None:
    found = times(pl.Series(["2020-01-01", "01/02/2020"]), form="%d/%m/%Y")
    assert found.bad is not None
    assert found.bad.to_list() == [True, False]
    assert "%d/%m/%Y" in found.expected
