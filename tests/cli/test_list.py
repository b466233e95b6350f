"""``recsec list``: ours, plugins, and broken plugins."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from recsec import registry
from recsec.cli.main import main
from recsec.registry import KINDS


def only(monkeypatch: pytest.MonkeyPatch, **places: str) -> None:
    """Nothing is registered but these models."""
    points = {key: EntryPoint(key, place, "recsec.models") for key, place in places.items()}
    monkeypatch.setattr(registry, "_registered", lambda path: {"models": points})


def test_models_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"markov", "meanpool", "popularity", "sasrec"} <= set(found["components"])
    assert found["components"]["sasrec"]["settings"]["blocks"]["default"] == 2
    assert main(["list", "models"]) == 0
    assert "embedding_dim" in capsys.readouterr().out


def test_a_broken_plugin_is_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(
        monkeypatch,
        lost="no_such_package:Model",
        popularity="recsec.models.sequential.popularity:Popularity",
    )
    assert main(["list", "models", "--json"]) == 0
    streams = capsys.readouterr()
    found = json.loads(streams.out)
    assert list(found["components"]) == ["popularity"]
    assert "no_such_package" in found["broken"]["lost"]
    assert "skipped the broken component 'lost'" in streams.err


@pytest.mark.hostile(kind="plugins", what="a package that prints, exits or fails when it is loaded")
@pytest.mark.parametrize(
    "end", ["sys.exit(0)", "raise KeyError", "class Panic(BaseException): 0\nraise Panic"]
)
def test_a_plugin_that_ends_the_process_is_only_a_broken_one(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rude_plugin.py").write_text(
        f"import os, sys\nprint('hello')\nos.write(1, b'there')\n{end}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rude_plugin", raising=False)
    only(monkeypatch, rude="rude_plugin:Model")
    assert main(["list", "models", "--json"]) == 0
    streams = capfd.readouterr()
    assert list(json.loads(streams.out)["broken"]) == ["rude"]
    assert "there" in streams.err


def test_an_unknown_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "wheels"]) == 2
    assert f"known: {', '.join(KINDS)}" in capsys.readouterr().err
