"""A disk that fills is named as that, whoever was writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recsec.cli import main as front
from recsec.errors import RunError

FULL = Path("/dev/full")
"""A device that takes nothing. It is only opened: what makes a file and renames it would end it."""
NOISE = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)


def raise_in_words() -> None:
    """As safetensors does, whose error is no OSError; it would rename a file over the device."""
    raise ValueError("Error while serializing: No space left on device (os error 28)")


@pytest.mark.hostile(kind="disk", what="a disk that fills")
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "write",
    [
        lambda: FULL.write_bytes(b"x"),
        lambda: pl.DataFrame({"a": np.arange(10**5)}).write_parquet(FULL),
        lambda: pl.DataFrame({"a": np.arange(10**5)}).write_csv(FULL),
        raise_in_words,
        lambda: Image.fromarray(NOISE).save(FULL, format="PNG"),
    ],
    ids=["bytes", "parquet", "csv", "safetensors", "png"],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_named(
    write: Callable[[], object],
    wrapped: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        try:
            write()
        except Exception as error:
            if wrapped:
                raise RunError("cannot write the run") from error
            raise

    monkeypatch.setattr(front, "_run", lambda words: work())
    assert front.main(["train"]) == 3
    told = capsys.readouterr().err
    assert "the disk is full" in told
    assert "next: make room, then run the same command again" in told
    assert "should not" not in told


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_a_spent_quota_is_a_full_disk(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: object) -> int:
        raise OSError(number, os.strerror(number), "runs/a/events.jsonl")

    monkeypatch.setattr(front, "_run", work)
    assert front.main(["train"]) == 3
    assert "cannot write runs/a/events.jsonl: the disk is full" in capsys.readouterr().err


def test_nothing_else_is_called_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "report.json")

    monkeypatch.setattr(front, "_run", work)
    assert front.main(["train"]) == 3
    assert "disk" not in capsys.readouterr().err


def test_memory_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: object) -> int:
        raise MemoryError("Unable to allocate 224. GiB")

    monkeypatch.setattr(front, "_run", work)
    assert front.main(["train"]) == 3
    told = capsys.readouterr().err
    assert "not enough memory: Unable to allocate 224. GiB" in told
    assert "should not" not in told
