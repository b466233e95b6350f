"""Whatever an archive holds, reading ends in a result or in an error that recsec explains."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from fuzzing import BOUNDED, corpus, ends_well, near
from hypothesis import given

from recsec.data import Filters, load, load_photos

WORDS = (
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"\xff\xff\xff\xff",
    b"../",
    b"\0\0\0\0",
    b"::",
)
FILTERS = Filters(min_item=1, min_user=1, min_length=1)


@given(near("archives", words=WORDS))
@BOUNDED
@pytest.mark.hostile(kind="archives", what="mutated zip archives of photos and ratings (fuzzed)")
def test_mutated_archives(found: tuple[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSEC_CACHE", str(Path(folder) / "cache"))
        path = Path(folder) / "a.zip"
        path.write_bytes(found[1])
        ends_well(lambda: load_photos(str(path)).pixels([0], 8))
        ends_well(lambda: load("ml-1m", source=path, filters=FILTERS))


@pytest.mark.parametrize("path", corpus("archives"), ids=lambda path: path.name)
def test_the_corpus_is_read_or_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSEC_CACHE", str(tmp_path / "cache"))
    taken = [
        ends_well(lambda: load_photos(str(path))),
        ends_well(lambda: load("ml-1m", source=path, filters=FILTERS)),
    ]
    assert any(taken) == (path.name in ("movies.zip", "photos.zip"))
