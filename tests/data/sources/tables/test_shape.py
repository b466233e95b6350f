"""The shape of text: the fast count of fields against Python's reader of CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.data.sources.tables import shape
from recsec.data.sources.tables.shape import line_of, misfits, record

FIELD = st.text(st.sampled_from('ab,"\n '), max_size=5)


@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=8), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_fields_of_quoted_text_are_counted_as_python_does(rows: list[list[str]], step: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = text.getvalue().encode()
    before, shape.STEP = shape.STEP, step
    try:
        found = misfits(data, sep=",", width=2, quoted=True)
        places = [record(data, row, quoted=True) for row in range(len(rows) + 1)]
    finally:
        shape.STEP = before
    wrong = [len(row) for row in rows if len(row) != 2]
    assert [one.fields for one in found] == wrong
    again = [next(csv.reader(io.StringIO(data[p.start : p.end].decode()))) for p in places if p]
    assert again == rows


@given(st.text(st.sampled_from("a,\n"), max_size=30), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_fields_of_plain_text_are_counted_line_by_line(text: str, step: int) -> None:
    before, shape.STEP = shape.STEP, step
    try:
        found = misfits(text.encode(), sep=",", width=2, quoted=False)
    finally:
        shape.STEP = before
    wrong = [
        n for n, line in enumerate(text.split("\n"), 1) if line.strip() and line.count(",") != 1
    ]
    assert [line_of(text.encode(), one.start) for one in found] == wrong


@pytest.mark.parametrize("line", ['a"b,c', '"a"b,c', '"a,b', 'a,"b"c"'])
def test_quotation_marks_that_do_not_fit(line: str) -> None:
    found = misfits(f'"x",y\n{line}\n'.encode(), sep=",", width=2, quoted=True)
    assert [one.fields for one in found] == [0]
