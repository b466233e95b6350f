"""Whatever an archive holds, reading ends in a result or in an error that recsec explains."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from fuzzing import BOUNDED, ends_well, near
from hypothesis import given

from recsec.data import load, load_photos

WORDS = (
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"\xff\xff\xff\xff",
    b"../",
    b"\0\0\0\0",
    b"::",
)


@given(near("archives", words=WORDS))
@BOUNDED
@pytest.mark.hostile(kind="archives", what="mutated zip archives of photos and ratings (fuzzed)")
def test_mutated_archives(found: tuple[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSEC_CACHE", str(Path(folder) / "cache"))
        path = Path(folder) / "a.zip"
        path.write_bytes(found[1])
        ends_well(lambda: load_photos(str(path)).pixels([0], 8))
        ends_well(lambda: load("ml-1m", source=path))
