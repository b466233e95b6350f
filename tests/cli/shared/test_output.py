"""Notes, progress and JSON."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from recsec.cli.shared.bars import bars, lines
from recsec.cli.shared.output import (
    configure,
    console,
    emit,
    note,
    progress,
    to_json,
)
from recsec.stats import Estimate


@pytest.fixture(autouse=True)
def plain() -> None:
    configure(json=False, quiet=False, debug=False, resume=None)


def test_json_has_no_numpy_and_no_nan() -> None:
    found = to_json(
        {"a": np.float32(0.5), "b": np.array([1, 2]), "c": Estimate(0.1, None, None, 1)}
    )
    assert json.dumps(found) == (
        '{"a": 0.5, "b": [1, 2], "c": {"value": 0.1, "low": null, "high": null, "n": 1}}'
    )


def test_results_and_talk_go_separate_ways(capsys: pytest.CaptureFixture[str]) -> None:
    note("read [ml-1m]")
    emit({"users": 3}, lambda out: out.print("users 3"), json=False)
    emit({"users": 3}, lambda out: out.print("users 3"), json=True)
    streams = capsys.readouterr()
    assert streams.out == 'users 3\n{"users": 3}\n'
    assert streams.err == "read [ml-1m]\n"


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure(quiet=True)
    note("nothing")
    with progress() as report:
        report("training", 1, 1)
    assert capsys.readouterr().err == ""


def test_progress_without_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        for step in range(1, 1001):
            report("training | loss 4.2", step, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "training: 1/1,000, loss 4.2",
        "training: 1,000/1,000, loss 4.2",
    ]


def test_lines_come_now_and_then() -> None:
    said: list[str] = []
    now = iter([0.0, 1.0, 16.0, 17.0, 40.0])
    report = lines(said.append, clock=lambda: next(now))
    for done in range(5):
        report("asking", done, 100)
    assert said == ["asking: 0/100", "asking: 2/100", "asking: 4/100"]


def test_bars_on_a_terminal() -> None:
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=80, color_system=None)
    with bars(terminal) as report:
        report("training | loss 4.2", 1, 4)
        report("training | loss 3.1", 4, 4)
    assert "4/4" in out.getvalue()
    assert "loss 3.1" in out.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console().no_color
