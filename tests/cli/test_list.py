"""``recsec list``: ours, plugins, and broken plugins."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from recsec import registry
from recsec.cli.main import main
from recsec.registry import KINDS


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
    points = (
        EntryPoint("lost", "no_such_package:Model", "recsec.models"),
        EntryPoint("popularity", "recsec.models.sequential.popularity:Popularity", "recsec.models"),
    )
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert main(["list", "models", "--json"]) == 0
    streams = capsys.readouterr()
    found = json.loads(streams.out)
    assert list(found["components"]) == ["popularity"]
    assert "no_such_package" in found["broken"]["lost"]
    assert "skipped the broken component 'lost'" in streams.err


def test_an_unknown_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "wheels"]) == 2
    assert f"known: {', '.join(KINDS)}" in capsys.readouterr().err
