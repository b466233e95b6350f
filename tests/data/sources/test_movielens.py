"""Each layout gives the same interactions, and titles, genres and years come out right."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_archives import MOVIES, RATINGS, csv_members, dat_members, pack, tab_members

from recsec.data.interactions import Raw
from recsec.data.sources.archive import open_archive
from recsec.data.sources.movielens import item_table, read_csv, read_dat, read_tab
from recsec.errors import DataError

READERS = [(read_dat, dat_members), (read_csv, csv_members), (read_tab, tab_members)]


@pytest.mark.parametrize(("read", "members"), READERS)
def test_every_layout_reads_the_same(read, members, tmp_path: Path) -> None:
    with open_archive(pack(tmp_path / "a.zip", members())) as archive:
        raw: Raw = read(archive)
    assert raw.rows.rows() == RATINGS
    assert raw.items is not None
    assert raw.items["title"].to_list() == list(MOVIES.values())
    assert raw.items["year"].to_list() == [1995, 1931, 1963, 1989, None, 2000]
    assert raw.items["genres"].to_list() == [["Crime", "Drama"]] * 6


@pytest.mark.parametrize(
    ("member", "line", "members", "read"),
    [
        ("ml-1m/movies.dat", b"7::no genres here\n", dat_members, read_dat),
        ("ml-1m/movies.dat", b"seven::Title (1999)::Drama\n", dat_members, read_dat),
        ("ml/movies.csv", b"8,Title\n", csv_members, read_csv),
        ("u.item", b"9|Title|||x|0|1\n", tab_members, read_tab),
    ],
)
def test_a_malformed_item_is_named(member, line, members, read, tmp_path: Path) -> None:
    content = members()
    number = content[member].count(b"\n") + 1
    content[member] += line
    with (
        open_archive(pack(tmp_path / "a.zip", content)) as archive,
        pytest.raises(DataError) as caught,
    ):
        read(archive)
    assert f"{member.rpartition('/')[2]}, line {number}: found" in caught.value.message


def test_missing_genres_are_none_and_repeated_ids_keep_the_first() -> None:
    table = item_table([(1, "A (1990)", ["(no genres listed)"]), (1, "B", ["Drama"])])
    assert table.rows() == [(1, "A (1990)", [], 1990)]


def test_an_archive_without_titles(tmp_path: Path) -> None:
    members = dat_members()
    members["ml-1m/movies.dat"] = b""
    with open_archive(pack(tmp_path / "a.zip", members)) as archive:
        raw = read_dat(archive)
    assert raw.items is not None
    assert raw.items.height == 0
