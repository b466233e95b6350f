"""``recsec operators``: who may log in to the dashboard."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from dashboard_world import cheap_passwords

from recsec.cli.main import main

LONG = "correct horse battery\n"


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> object:
    cheap_passwords(monkeypatch)
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.hint("recsec operators list")
@pytest.mark.hint("recsec operators password {}")
def test_operators_are_added_changed_and_removed(
    tmp_path: Path, type_in: object, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path / "state")]

    def run(*words: str, typed: str = "") -> int:
        type_in(typed)  # type: ignore[operator]
        return main(["operators", *words, *state])

    assert run("add", "ann", "--role", "admin", typed="short\n") == 2
    assert run("add", "ann", "--role", "admin", typed=LONG) == 0
    assert run("add", "ann", typed=LONG) == 2
    assert "recsec operators password ann" in capsys.readouterr().err
    assert run("password", "ann", typed="another long password") == 0
    assert run("remove", "bob") == 2
    assert "recsec operators list" in capsys.readouterr().err
    assert run("list", "--json") == 0
    found = json.loads(capsys.readouterr().out)["operators"]
    assert [(one["name"], one["role"]) for one in found] == [("ann", "admin")]
    assert run("remove", "ann") == 0
    capsys.readouterr()
    assert run("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"operators": []}
    everything = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"another long password" not in everything
