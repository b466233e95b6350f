"""Known data sets that are small, and a cache of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_archives import csv_members, dat_members, pack

from recsec.data.sources.known import KNOWN


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of this test alone, and no mirror."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RECSEC_CACHE", str(folder))
    monkeypatch.delenv("RECSEC_MIRROR", raising=False)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Path:
    """A small archive; ``ml-1m`` now means a set with the counts of this one."""
    monkeypatch.setitem(KNOWN, "ml-1m", KNOWN["ml-1m"].model_copy(update={"counts": (6, 6, 36)}))
    return pack(tmp_path / "ml-1m.zip", dat_members())


@pytest.fixture
def latest(tmp_path: Path, cache: Path) -> Path:
    """A small archive of ``ml-latest-small``, whose counts nobody promises."""
    return pack(tmp_path / "ml-latest-small.zip", csv_members())
