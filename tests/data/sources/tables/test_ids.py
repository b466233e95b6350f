"""Ids: numbers if all are, else text, and never through floating point."""

from __future__ import annotations

import polars as pl
import pytest

from recsec.data.sources.tables.kinds.ids import ids
from recsec.errors import DataError

BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (["1", "20", "-3"], [1, 20, -3]),
        (["1", "007"], ["1", "007"]),
        (["0", "-0"], ["0", "-0"]),
        (["1", "B00X"], ["1", "B00X"]),
        (["1", str(2**63)], ["1", str(2**63)]),
        ([str(2**63 - 1)], [2**63 - 1]),
        (["+5", "5"], ["+5", "5"]),
        ([f"{BIG}.0", f"{BIG - 1}.0"], [BIG, BIG - 1]),
        (["1.0", "1"], ["1.0", "1"]),
        (["1.0", "2.5"], ["1.0", "2.5"]),
        ([" 7", "8 "], [7, 8]),
        (["1", "NA", "2"], [1, None, 2]),
        (["NA", "NB"], ["NA", "NB"]),
        (["NA"], ["NA"]),
        (["1", "", "null", "NaN", "\\N", "None"], [1, None, None, None, None, None]),
        (["a", "NULL", "<NA>"], ["a", None, None]),
        (["1e3"], ["1e3"]),
    ],
)
@pytest.mark.hostile(kind="tables", what="ids that a type guess or a float would merge")
def test_ids_of_text(text: list[str], found: list[object]) -> None:
    assert ids(pl.Series("user", text), typed=False).values.to_list() == found


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pl.Series([1, None], dtype=pl.Int8), [1, None]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), [str(2**64 - 1)]),
        (pl.Series([1, 2], dtype=pl.UInt64), [1, 2]),
        (pl.Series([10**30], dtype=pl.Int128), [str(10**30)]),
        (pl.Series([1.0, float("nan"), None]), [1, None, None]),
        (pl.Series(["1", "007"]), ["1", "007"]),
        (pl.Series(["1", "2", "nan"]), ["1", "2", None]),
        (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
        (pl.Series([b"a", b"b"]), ["a", "b"]),
        (pl.Series(["1.00"]).cast(pl.Decimal(10, 2)), [1]),
        (pl.Series([None]), [None]),
    ],
)
def test_ids_of_columns_with_a_type(column: pl.Series, found: list[object]) -> None:
    assert ids(column, typed=True).values.to_list() == found


@pytest.mark.parametrize(
    "column",
    [pl.Series([1.5]), pl.Series([2.0**53]), pl.Series([float("inf")]), pl.Series([b"\xff"])],
)
@pytest.mark.hostile(kind="tables", what="floats beyond 2**53 and broken text as ids")
def test_values_that_are_no_ids(column: pl.Series) -> None:
    found = ids(column, typed=True)
    assert found.bad is not None
    assert found.bad.all()


@pytest.mark.parametrize("column", [pl.Series([[1]]), pl.Series([{"a": 1}]), pl.Series([True])])
def test_types_that_hold_no_ids(column: pl.Series) -> None:
    with pytest.raises(DataError, match=r"is of type .*, expected whole numbers or text"):
        ids(column, typed=True)
