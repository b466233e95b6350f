"""Notes, progress and JSON."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import recsec
from recsec.cli.shared.bars import bars, lines
from recsec.cli.shared.output import (
    configure,
    console,
    emit,
    note,
    progress,
    to_json,
    write_json,
)
from recsec.stats import Estimate
from recsec.text import visible


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


EVIL = "[/][bold]x\x1b[31m\x9b2J\u202ey\x7f"
SHOWN = "[/][bold]x\\u001b[31m\\u009b2J\\u202ey\\u007f"


@pytest.mark.hostile(kind="text", what="markup and escape codes, however they are printed")
@pytest.mark.parametrize("what", ["words", "text", "title", "cell", "header", "nested", "note"])
def test_nothing_that_is_printed_steers_the_terminal(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table(EVIL if what == "header" else "a", title=EVIL if what == "title" else None)
    table.add_row({"cell": EVIL, "nested": Panel(EVIL)}.get(what, "b" * 50))
    if what == "note":
        note(EVIL)
    else:
        console().print({"words": EVIL, "text": Text(EVIL, style="bold")}.get(what, table))
    streams = capsys.readouterr()
    assert SHOWN in streams.out + streams.err
    assert visible(streams.out + streams.err) == streams.out + streams.err


@pytest.mark.hostile(kind="text", what="escape codes in JSON on stdout")
def test_json_steers_no_terminal_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for ensure_ascii in (True, False):
        write_json({EVIL: [EVIL, "Château"]}, ensure_ascii=ensure_ascii)
        out = capsys.readouterr().out
        assert visible(out) == out
        assert json.loads(out) == {EVIL: [EVIL, "Château"]}
        assert ("Château" in out) is not ensure_ascii


def test_bars_show_names_as_they_are() -> None:
    terminal = console()
    terminal.file = io.StringIO()
    with bars(terminal) as report:
        report(f"{EVIL} | {EVIL}", 1, 4)
    shown = terminal.file.getvalue()
    assert shown.count("[/][bold]x") == 2
    assert visible(shown) == shown


def test_our_own_colors_stay(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    console().print("fine", style="bold")
    assert capsys.readouterr().out == "\x1b[1mfine\x1b[0m\n"


def test_there_is_one_way_to_a_terminal() -> None:
    """No other file makes a console, or writes to a stream more than what is its own."""
    source = Path(recsec.__file__).parent
    makes = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("Console", "from_markup", "render_markup"))
    ]
    assert set(makes) == {"cli/shared/output.py"}
