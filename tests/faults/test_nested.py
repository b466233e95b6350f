"""Files that hold nothing but brackets within brackets, wherever recsec reads JSON or TOML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsec.cli.main import main

DEEP = 100_000
JSON, TOML = "[" * DEEP, "a = " + "[" * DEEP
DATA = ["--data", "synthetic:users=60,items=40,length=8"]


@pytest.mark.hostile(kind="nesting", what="a file of a hundred thousand brackets")
@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("plan.toml", ["audit", "plan.toml", "--out", "run"], 2),
        ("gate.toml", ["audit", "good.toml", "--gate", "gate.toml", "--out", "run"], 2),
        ("set.toml", ["train", "sasrec", *DATA, "--out", "m", "--config", "set.toml"], 2),
        ("target.toml", ["evaluate", "--model", "target.toml", *DATA], 2),
        ("m/config.json", ["evaluate", "--model", "m", *DATA], 3),
        (
            "m/config.json",
            ["similar", "--model", "m", "--data", "photos", "--item", "1", "--out", "s.png"],
            3,
        ),
        ("d/detectors.json", ["detect", "log.csv", "--detectors", "d"], 3),
        ("r/run.json", ["report", "r"], 3),
        ("r/report.json", ["report", "r"], 3),
        ("r/history.json", ["report", "r"], 3),
        ("answers.jsonl", ["data", "analyze", "answers.jsonl"], 3),
    ],
)
def test_a_file_of_brackets_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "init", "good.toml", "-q"]) == 0
    capsys.readouterr()
    Path("log.csv").write_text("account,items\n1,[1]\n")
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(TOML if name.endswith(".toml") else JSON)
    assert main([*words, "--json"]) == code
    error = json.loads(capsys.readouterr().out)["error"]["message"]
    assert "should not" not in error
    assert Path(name).name in error or Path(name).parent.name in error


@pytest.mark.hostile(kind="nesting", what="a setting of ten thousand brackets")
def test_a_setting_of_brackets_is_refused(tmp_path: Path) -> None:
    deep = "embedding_dim=" + "[" * 10_000
    assert main(["train", "sasrec", *DATA, "--out", str(tmp_path / "m"), "--set", deep]) == 2
