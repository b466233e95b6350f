"""S3-Rec's sequence files."""

from __future__ import annotations

import pytest

from recsec.data.sources.s3rec import read_sequences
from recsec.errors import DataError


def test_users_and_items_in_order() -> None:
    raw = read_sequences(b"7 3 1 2\n\n9 2 3 \n", name="b.txt")
    assert raw.rows.select("user", "item").rows() == [(7, 3), (7, 1), (7, 2), (9, 2), (9, 3)]
    assert raw.rows["time"].null_count() == 5


@pytest.mark.parametrize("line", ["4", "4 x", "u 1 2", "4 1.5", "4  1"])
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(DataError, match=r"b\.txt, line 2: found"):
        read_sequences(f"1 2 3\n{line}\n".encode(), name="b.txt")


def test_an_empty_file() -> None:
    with pytest.raises(DataError, match=r"b\.txt is empty"):
        read_sequences(b"\n", name="b.txt")
