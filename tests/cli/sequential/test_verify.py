"""``recsec verify``: keys, verdicts, controls, and suspects that answer badly."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from recsec.cli.main import main

FAST = ["--queries", "100"]


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "owner.key"
    assert main(["verify", "keygen", "--out", str(path), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["key"] == str(path)
    assert len(made["fingerprint"]) == 16
    path.write_text("5e" * 32 + "\n")  # the same in every run of the tests
    return path


def guarded(folder: Path, checkpoint: Path, data: str, key: Path) -> Path:
    path = folder / "guarded.toml"
    path.write_text(
        f'checkpoint = "{checkpoint}"\ndata = "{data}"\n'
        f'[[guards]]\nname = "watermark"\nkey = "{key}"\nbias = 2.0\n'
    )
    return path


def test_a_marked_target_is_recognized_and_a_clean_one_is_not(
    tmp_path: Path,
    checkpoints: Path,
    small_data: str,
    key: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clean = checkpoints / "markov"
    marked = guarded(tmp_path, clean, small_data, key)
    words = ["verify", "--key", str(key), "--data", small_data, *FAST]
    assert main([*words, "--suspect", str(marked), "--control", str(clean), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["verdict"] == "copied"
    assert found["p_value"] <= 0.001
    assert found["effect"]["value"] > 0.05
    assert found["queries"] == 100 == found["curve"][-1]["queries"]
    assert found["keys"] == 9999
    assert found["controls"][str(clean)]["verdict"] == "no evidence"
    assert "synthetic" in said.err
    assert main([*words, "--suspect", str(clean)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("no evidence")
    assert "Evidence" in shown


def test_a_key_is_never_overwritten_and_must_be_private(
    checkpoints: Path, small_data: str, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main(["verify", "keygen", "--out", str(key)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert key.read_bytes() == before
    words = ["verify", "--key", str(key), "--data", small_data]
    key.chmod(0o644)
    assert main([*words, "--suspect", str(checkpoints / "markov")]) == 2
    assert "chmod 600" in capsys.readouterr().err
    key.chmod(0o600)
    key.write_bytes(before[:-9])
    assert main([*words, "--suspect", str(checkpoints / "markov")]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err


def test_suspects_that_answer_badly(
    tmp_path: Path,
    small_data: str,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "suspects.py").write_text(
        "def sometimes(histories, k):\n"
        "    if any(h[0] % 7 == 0 for h in histories):\n"
        "        return [['no such item'] for _ in histories]\n"
        "    return [[i for i in range(1, 5) if i not in h] for h in histories]\n\n"
        "def never(histories, k):\n"
        "    return [[-1 - i for i in range(k)] for _ in histories]\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["verify", "--key", str(key), "--data", small_data, *FAST, "--json"]
    assert main([*words, "--suspect", "callable:suspects:sometimes"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert 0 < found["unanswered"] < 100
    assert found["shorter"] == 100 - found["unanswered"]
    assert "left out; the first" in said.err
    assert "no such item" in said.err
    assert main([*words, "--suspect", "callable:suspects:never"]) == 3
    assert "failed 20 times in a row" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_wrong_words(small_data: str, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "verify needs --suspect, --key, --data" in capsys.readouterr().err
    words = ["verify", "--suspect", "x", "--key", str(key), "--data", small_data]
    assert main([*words, "--keys", "500"]) == 2
    assert main(words) == 3
    assert main(["verify", "keygen"]) == 2


def test_evaluate_and_compare_through_guards(
    checkpoints: Path, small_data: str, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = str(checkpoints / "markov")
    words = ["evaluate", "--model", clean, "--data", small_data, "--json"]
    assert main([*words, "--guard", "truncate:length=3"]) == 0
    cut = json.loads(capsys.readouterr().out)
    assert main(words) == 0
    whole = json.loads(capsys.readouterr().out)
    assert cut["guards"] == ["truncate:length=3"]
    assert cut["hr@1"]["value"] == whole["hr@1"]["value"]
    assert cut["hr@10"]["value"] == cut["hr@5"]["value"] < whole["hr@5"]["value"]
    words = ["compare", "--model", clean, "--data", small_data, "--genre-bias", "0", "--json"]
    assert main([*words, "--guard", f"watermark:key={key},bias=1", "--guard", "shuffle"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in found["models"]] == ["markov", "markov + watermark + shuffle"]
    assert 0.2 < found["agr@10"]["value"] < 0.9
    assert main(words) == 2
    assert "two models" in capsys.readouterr().err
    words = ["evaluate", "--model", "callable:math:fsum", "--data", small_data]
    assert main([*words, "--guard", "misinform"]) == 2
    assert "gives lists of items" in capsys.readouterr().err
    words[2] = clean
    assert main([*words, "--guard", "moat"]) == 2
    assert "no guards called 'moat'" in capsys.readouterr().err
    assert main([*words, "--guard", "truncate:3"]) == 2


def test_extract_from_a_guarded_target(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["extract", "--model", str(checkpoints / "markov"), "--data", small_data]
    words += ["--out", str(tmp_path / "run"), "--calls", "60", "--twins", "0", "--device", "cpu"]
    for setting in (
        "length=6",
        "sessions=10",
        *(
            f"surrogate_settings.{each}"
            for each in ("embedding_dim=8", "blocks=1", "max_length=6", "epochs=1")
        ),
    ):
        words += ["--set", setting]
    assert main([*words, "--guard", "truncate:length=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["calls"]["value"] == 60
    described = list(tmp_path.glob("run.target-*.toml"))
    assert len(described) == 1
    assert 'name = "truncate"' in described[0].read_text()
    assert found["agr@10"]["value"] <= 0.2 + 1e-9, "two of ten places can agree"
    assert main([*words, "--guard", "truncate:length=3"]) == 3
    assert "another plan" in capsys.readouterr().err
    assert main([*words, "--guard", "truncate:length=2"]) == 0
