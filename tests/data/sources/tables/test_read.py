"""What does not fit is named, or counted and left out."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsec.data import Dialect, load
from recsec.data.sources.tables import Field, read_table
from recsec.errors import DataError

FIELDS = {
    "user": Field("id"),
    "item": Field("id"),
    "rating": Field("number", needed=False, filled=False),
    "time": Field("time", needed=False),
}


def read(text: str | bytes, *, name: str = "log.csv", drop_bad: bool = False) -> pl.DataFrame:
    data = text.encode() if isinstance(text, str) else text
    return read_table(data, FIELDS, name=name, dialect=Dialect(drop_bad=drop_bad)).rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,item\n1,2\n3\n", "line 3: found 1 field in '3', expected 2 as in the header"),
        ("user,item\n1,2\n3,4,5\n", "line 3: found 3 fields in '3,4,5', expected 2"),
        ("user,note,item\n1,a,2\n\n3,a, b,4\n", "line 4: found 4 fields in '3,a, b,4'"),
        ('note,user,item\n"two\nlines",1,2\nb,,4\n', "line 4, column 'user': found nothing"),
        ("user,item\n1,2\n3,NULL\n", "line 3, column 'item': found 'NULL', expected an id"),
        ("user,item,time\n1,2,60\n1,2,\n", "line 3, column 'time': found nothing"),
        ("user,item,rating\n1,2,good\n", "line 2, column 'rating': found 'good', expected a num"),
        ("user,item,rating\n1,2,inf\n", "line 2, column 'rating': found inf, expected a number"),
        ("\n\nuser,item\n\n1,\n", "line 5, column 'item': found nothing"),
        ('user,item\n1,"2\n3,4\n', "line 2: found quotation marks that do not fit in"),
        ("user,item,user\n1,2,3\n", "has two columns called 'user'"),
        ("user,other\n1,2\n", "has no column for item (item); it has: user, other"),
        ("user,item\n", "is empty"),
        (" \n\n", "is empty"),
        ("user,item\n1,é\n".encode("latin-1"), "line 2: found '1,�', which is not UTF-8"),
        ("user,item\n".encode("utf-16-le"), "unknown encoding"),
        (b"\xff\xfeu\0s\0", "no column for user"),
        (b"\xff\xfeu\0s\0\0\xd8", "damaged"),
    ],
)
@pytest.mark.hostile(kind="tables", what="text with broken shape, encoding or values")
def test_the_first_row_that_does_not_fit_is_named(text: str | bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(text)
    assert said in caught.value.message
    assert caught.value.message.startswith("log.csv")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"user": 1, "item": 2}\nnonsense\n', "line 2: found 'nonsense', expected one JSON obj"),
        ('{"user": 1, "item": 2}\n[1, 2]\n', "line 2: found '[1, 2]', expected one JSON object"),
        ('{"user": 1, "item": 2}\n\n{"user": 1}\n', "line 3, column 'item': found nothing"),
        ('{"user": 1, "item": {"a": 1}}\n', "column 'item' is of type Struct"),
        ('{"user": 1, "item": 9007199254740993.0}\n', "expected an id: in a column of floats"),
        ("", "is empty"),
        ("[" * 5000 + "]" * 5000, "expected one JSON object a line"),
    ],
)
@pytest.mark.hostile(kind="tables", what="lines that are no JSON objects, or of other types")
def test_json_lines_that_do_not_fit(lines: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(lines, name="log.jsonl")
    assert said in caught.value.message


def test_rows_that_do_not_fit_are_counted_and_left_out() -> None:
    text = "user,item,time\n1,2,60\n,3,61\n4,5,soon\n6,7\n8,9,62\n\n1,2,3,4\n10,NULL,9\n"
    table = read_table(text.encode(), FIELDS, name="log.csv", dialect=Dialect(drop_bad=True))
    assert table.rows.rows() == [(1, 2, 60), (8, 9, 62)]
    (note,) = table.notes
    assert note.startswith("rows left out because they do not fit: 5 (log.csv, line 5: found 2")
    assert "line 8: found 4 fields" in note
    assert "line 3, column 'user': found nothing, expected an id" in note


def test_nothing_that_fits_is_an_error() -> None:
    with pytest.raises(DataError, match=r"has no rows; rows left out because they do not fit: 1"):
        read("user,item\n1,\n", drop_bad=True)


def test_row_names_of_r_get_their_own_advice() -> None:
    with pytest.raises(DataError) as caught:
        read('"user","item","note"\n"1",7,8,"a"\n"2",7,9,"b"\n')
    assert "row.names = FALSE" in str(caught.value.hint)


def test_quotation_marks_that_hold_nothing_together_are_characters() -> None:
    rows = read('user,note,item\n1,5" disk,2\n3,a "b" c,4\n')
    assert rows.rows() == [(1, 2), (3, 4)]


def test_ratings_that_are_missing_are_none() -> None:
    rows = read("user,item,rating\n1,2,\n1,3,NaN\n1,4,4.5\n1,5,NA\n")
    assert rows["rating"].to_list() == [None, None, 4.5, None]
    rows = read("user;item;rating\n1;2;4,5\n1;3;4\n")
    assert rows["rating"].to_list() == [4.5, 4]


def test_a_row_of_separators_alone_is_blank() -> None:
    assert read("user,item\n1,2\n,\n3,4\n").rows() == [(1, 2), (3, 4)]
    with pytest.raises(DataError, match="line 3, column 'user'"):
        read("user,item,note\n1,2,a\n,,b\n")


def test_the_file_of_a_folder_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1, 2], "item": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": [1, None], "item": [1, 2]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet, row 2, column 'user': found nothing"):
        read_table(tmp_path, FIELDS)


def test_the_front_door_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    lines = [f"{user};{item};0{1 + item}.02.2020" for user in range(6) for item in range(6)]
    path.write_text("who;item;time\n" + "\n".join([*lines, ";1;01.02.2020"]) + "\n")
    dialect = Dialect(time_format="%d.%m.%Y", drop_bad=True)
    found = load(path, columns={"user": "who"}, dialect=dialect)
    assert len(found.interactions) == 36
    assert found.times_are_real
    assert len(found.report.left_out) == 1
    with pytest.raises(DataError, match="may begin with the day"):
        load(path, columns={"user": "who"}, dialect=Dialect(drop_bad=True))
