"""``recsec extract``: one cell, flat metrics, and an exit code that scripts can trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsec.cli.main import main

FAST = [
    *("--set", "length=10", "--set", "sessions=20"),
    *("--set", "surrogate_settings.embedding_dim=8", "--set", "surrogate_settings.blocks=1"),
    *("--set", "surrogate_settings.max_length=10", "--set", "surrogate_settings.epochs=2"),
    *("--device", "cpu"),
]


def words(model: object, data: str, out: Path, *more: str) -> list[str]:
    start = ["extract", "--model", str(model), "--data", data, "--out", str(out)]
    return [*start, "--policy", "mixed", "--k", "10", "--calls", "120", *FAST, *more]


def test_flat_metrics_with_floor_twin_and_protocol(
    tmp_path: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "run", tmp_path / "model"
    assert main(["train", "markov", "--data", small_data, "--out", str(model), "--quiet"]) == 0
    capsys.readouterr()
    command = words(model, small_data, out, "--set", "policy_settings.share=0.5")
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for key in ("agr@1", "agr@10", "rbo", "floor", "lift", "calls", "hr_ratio"):
        assert set(found[key]) == {"value", "low", "high", "n"}
    assert found["twin"] is None  # a second markov is the target itself
    assert found["calls"]["value"] == 120
    assert found["policy"] == "mixed share=0.5"
    assert "full catalog, history items excluded" in found["protocol"]
    assert (out / "report.html").is_file()
    before = (out / "report.json").read_bytes()
    assert main(command) == 0
    said = capsys.readouterr()
    assert "1 attack finished earlier" in said.err
    assert "gain" in said.out
    assert (
        json.loads(before)["extraction"]
        == json.loads((out / "report.json").read_bytes())["extraction"]
    )
    assert main(words(model, small_data, out)) == 3
    assert "another plan" in capsys.readouterr().err


def test_without_a_twin_the_reason_is_told(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(words(checkpoints / "markov", small_data, out, "--twins", "0", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["twin"] is None
    assert found["twin_reason"] == "none was trained: set twins in [target], or --twins"


def test_wrong_words(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "run", checkpoints / "markov"
    assert main(words(model, small_data, out, "--policy", "clever")) == 2
    said = capsys.readouterr().err
    assert "no policies called 'clever'" in said
    assert "next: recsec list policies" in said
    assert main(words(model, small_data, out, "--set", "lenght=3")) == 2
    assert "lenght" in capsys.readouterr().err
    assert main(words(model, small_data, out, "--surrogate", "popularity")) == 2
    assert main(words(model, small_data, out, "--set", "policy_settings.shares=0.5")) == 2
    assert "shares" in capsys.readouterr().err
    assert main(words(tmp_path / "none", small_data, out)) == 3
    assert not out.exists()


def test_a_target_that_dies_is_exit_3_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mortal_shop.py").write_text(
        "import os\n\n"
        "def recommend(histories, k):\n"
        "    if max(map(len, histories)) == 5 and not os.path.exists('alive'):\n"
        "        raise OSError('no connection')\n"
        "    return [[i for i in range(1 + h[-1] % 5, 41) if i not in h][:k] for h in histories]\n"
    )
    pairs = [(user, step) for user in range(40) for step in range(8)]
    rows = [f"{user},{(user * 7 + step) % 40 + 1},{step}" for user, step in pairs]
    (tmp_path / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    command = words("callable:mortal_shop:recommend", "shop.csv", Path("run"), "--json")
    assert main(command) == 3
    said = capsys.readouterr()
    assert "no connection" in json.loads(said.out)["error"]["message"]
    assert "the same command continues" in said.err
    Path("alive").touch()
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["twin"] is None
    assert "only answers" in found["twin_reason"]


def test_a_thief_who_adapts_and_knows_some_users(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = words(checkpoints / "markov", small_data, out, "--twins", "0", "--json")
    more = ["--set", "leak=0.2", "--adaptive", "set-only,human-like,accounts=4,benign=0.3"]
    assert main([*command, *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accounts"] == 4
    assert found["calls"]["value"] == 120
    assert "leak=0.2 +set-only +human-like" in found["policy"]
    floor, agreement = found["floor"]["value"], found["agr@10"]["value"]
    assert found["lift"]["value"] == pytest.approx((agreement - floor) / (1 - floor))
    report = json.loads((out / "report.json").read_bytes())["extraction"]
    assert floor >= report["floor"]["metrics"]["agr@10"]["value"]
    assert "model trained on them alone" in report["floor"]["description"]
    users = report["data"]["users"]
    assert report["protocol"]["users"] == users - round(0.2 * users)


def test_switches_that_mean_nothing_are_refused(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(checkpoints / "markov", small_data, tmp_path / "run", "--adaptive", "clever")
    assert main(command) == 2
    assert "clever" in capsys.readouterr().err
