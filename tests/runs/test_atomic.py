"""A write either happens or does not."""

import errno
import os

import pytest

from recsec.runs import atomic_write_bytes, atomic_write_json, canonical_json, digest


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.bin"
    atomic_write_bytes(path, b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.bin"]


def test_an_interrupt_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    atomic_write_json(path, {"a": 1})

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert len(list(tmp_path.iterdir())) == 1


def test_canonical_text_does_not_depend_on_order_or_tuple_or_nan():
    first = canonical_json({"b": (1, 2.5), "a": {"y": float("inf"), "x": "é"}})
    assert first == canonical_json({"a": {"x": "é", "y": None}, "b": [1, 2.5]})
    assert "é" in first
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_what_json_cannot_say_is_an_error_not_a_string():
    with pytest.raises(TypeError, match="set"):
        canonical_json({"a": {1, 2}})
