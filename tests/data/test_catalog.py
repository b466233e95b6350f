"""The item table of a checkpoint on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsec.data.catalog import Catalog
from recsec.errors import DataError


def test_a_changed_byte_is_noticed_before_the_table_is_parsed(tmp_path: Path) -> None:
    """Polars ends the process at a page that claims 2**61 bytes."""
    file = tmp_path / "items.parquet"
    Catalog.from_ids([f"item {number}" for number in range(1, 13)]).save(file)
    whole = file.read_bytes()
    assert list(Catalog.load(file).ids) == [f"item {number}" for number in range(1, 13)]
    for at in range(4, 300):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        with pytest.raises(DataError, match="damaged: its check sum is another"):
            Catalog.load(file)


def test_a_table_that_others_wrote_needs_no_check_sum(tmp_path: Path) -> None:
    catalog = Catalog.from_ids([3, 1])
    catalog.table.write_parquet(tmp_path / "items.parquet")
    assert Catalog.load(tmp_path / "items.parquet").table.equals(catalog.table)
