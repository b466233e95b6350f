"""Whatever a table holds, reading ends in a result or in an error that recsec explains."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from fuzzing import BOUNDED, corpus, ends_well, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.data import Catalog, Dialect, load
from recsec.data.filters import Filters
from recsec.traffic import read_log

WORDS = (
    *(b",", b";", b"\t", b"|", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"NULL", b"nan", b"\\N", b"-0", b"007", b"1e400", b"99999999999999999999", b"2020-02-30"),
    *(b"1600000000000", b"01/02/2020", b"[", b"]", b"{", b"}", b"null", b"true"),
    *(b"\\ud800", b"\xf0\x9f"),
    *(b"user,item\n", b"user,user,item\n", b"account,items\n", b'{"user":1,"item":2}\n'),
)  # fmt: skip
FILTERS = Filters(min_item=1, min_user=1, min_length=1)
CATALOG = Catalog.from_ids([1, 2, 3])
DIALECTS = st.builds(
    Dialect,
    sep=st.sampled_from([None, ",", ";", " "]),
    time_format=st.sampled_from([None, None, "s", "ms", "%d/%m/%Y", "%Y%m%d", "%q%Y"]),
    drop_bad=st.booleans(),
)


def read(suffix: str, data: bytes, dialect: Dialect) -> int:
    """How many readers took it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t{suffix}"
        path.write_bytes(data)
        attempts = (
            lambda: load(path, dialect=dialect, filters=FILTERS).fingerprint,
            lambda: read_log(path, CATALOG, dialect=dialect),
        )
        return sum(map(ends_well, attempts))


@given(near("tables", words=WORDS), DIALECTS)
@BOUNDED
@pytest.mark.hostile(kind="tables", what="mutated tables of every format (fuzzed)")
def test_mutated_tables(found: tuple[str, bytes], dialect: Dialect) -> None:
    read(*found, dialect)


@given(
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".txt"]),
    st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join) | st.binary(max_size=60),
)
@BOUNDED
@pytest.mark.hostile(kind="tables", what="random bytes under the name of a table (fuzzed)")
def test_random_bytes(suffix: str, data: bytes) -> None:
    read(suffix, data, Dialect())


@pytest.mark.parametrize("path", corpus("tables"), ids=lambda path: path.name)
def test_the_corpus_is_read(path: Path) -> None:
    assert read(path.suffix, path.read_bytes(), Dialect(drop_bad=True)) == 1
