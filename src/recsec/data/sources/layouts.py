"""Which reader understands which known data set."""

from __future__ import annotations

from recsec.data.interactions import Raw
from recsec.data.sources.archive import Archive
from recsec.data.sources.known import KnownData
from recsec.data.sources.movielens import read_csv, read_dat, read_tab
from recsec.data.sources.s3rec import read_sequences
from recsec.data.sources.yoochoose import read_sessions
from recsec.errors import DataError

__all__ = ["check_content", "read_known"]


def read_known(archive: Archive, data: KnownData) -> Raw:
    """Interactions and items of a known data set.

    Raises:
        DataError: a member is absent, damaged, empty or malformed.
    """
    if data.layout == "movielens-tab":
        return read_tab(archive)
    if data.layout == "movielens-dat":
        return read_dat(archive)
    if data.layout == "movielens-csv":
        return read_csv(archive)
    if data.layout == "yoochoose":
        return read_sessions(archive, data.members)
    member = data.members[0]
    return read_sequences(archive.read(member), name=f"{archive.path}:{member}")


def check_content(archive: Archive, data: KnownData) -> tuple[int, int, int]:
    """Read everything, and compare what it holds with what the publisher's archive holds.

    Returns:
        Distinct users, items with interactions, and interactions.

    Raises:
        DataError: a member is absent or broken, or the counts differ.
    """
    for member in data.members:
        archive.require(member)
    rows = read_known(archive, data).rows
    found = (rows["user"].n_unique(), rows["item"].n_unique(), rows.height)
    if data.counts is not None and found != data.counts:
        raise DataError(
            f"{archive.path} is not {data.name}: it holds {_sizes(found)}, expected "
            f"{_sizes(data.counts)}",
            hint="pass the right archive with --from PATH",
        )
    return found


def _sizes(counts: tuple[int, int, int]) -> str:
    users, items, rows = counts
    return f"{users:,} users, {items:,} items and {rows:,} interactions"
