"""``recsec detect`` and ``recsec data traffic``: from a model to flagged accounts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsec.cli.main import main

MANY = "synthetic:users=300,items=60,length=15,seed=4"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same catalog, and detectors on 20 queries per account."""
    folder = tmp_path_factory.mktemp("detect")
    model, out = folder / "model", folder / "D"
    assert main(["train", "markov", "--data", MANY, "--out", str(model), "--quiet"]) == 0
    words = ["--data", MANY, "--out", str(out), "--queries", "10", "--quiet"]
    assert main(["detect", "fit", "--model", str(model), *words]) == 0
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_fit_says_what_was_assumed(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", MANY, "--out", str(fitted / "D"), "--queries", "10"]
    found = run(capsys, "detect", "fit", "--model", str(fitted / "model"), *words)
    assert found["combined"] == ["accepted-rank", "continuity", "off-list", "transition"]
    assert "not their own traffic" in found["protocol"]["honest_traffic"]
    assert "two-devices" in found["protocol"]["patterns"]
    assert found["protocol"]["times"] == "order only"
    table = pl.read_parquet(found["accounts"])
    assert set(table["group"].unique()) == {"fit", "calibrate"}
    assert {"account", "queries", "detector", "score", "law", "truth"} <= set(table.columns)


def test_another_fit_in_the_same_folder_is_refused(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", MANY, "--out", str(fitted / "D"), "--queries", "8"]
    assert main(["detect", "fit", "--model", str(fitted / "model"), *words]) == 3
    assert "holds something else" in capsys.readouterr().err
    words = ["--data", MANY, "--out", str(fitted), "--queries", "10"]
    assert main(["detect", "fit", "--model", str(fitted / "model"), *words]) == 3


def test_a_log_of_traffic_is_watched(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = fitted / "honest.parquet"
    words = [
        "--model",
        str(fitted / "model"),
        "--out",
        str(log),
        "--users",
        "30",
        "--queries",
        "12",
    ]
    made = run(capsys, "data", "traffic", MANY, *words, "--acceptance", "0.5", "--bias", "1.5")
    clicks = {"acceptance": 0.5, "bias": 1.5, "first": None, "restart": 0.02}
    assert (made["clicks"], made["measured_on"]) == (clicks, None)
    assert (made["accounts"], made["times"]) == (30, "order only")
    found = run(capsys, "detect", str(log), "--detectors", str(fitted / "D"))
    assert found["queries"] == made["queries"] == pl.read_parquet(log).height
    for account in found["accounts"]:
        assert {"id", "queries", "p_value", "flagged"} <= set(account)
        assert 0 < account["p_value"] <= 1
    assert found["flagged"] == sum(account["flagged"] for account in found["accounts"])
    assert found["protocol"]["rule"] == "Benjamini-Hochberg over accounts"


def test_a_growing_log_goes_on_from_the_state(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = fitted / "grown.parquet"
    words = ["--model", str(fitted / "model"), "--out", str(log), "--users", "20"]
    run(capsys, "data", "traffic", MANY, *words)
    every = pl.read_parquet(log)
    every.head(100).write_parquet(tmp_path / "early.parquet")
    options = ["--detectors", str(fitted / "D"), "--state", str(tmp_path / "state")]
    run(capsys, "detect", str(tmp_path / "early.parquet"), *options)
    grown = run(capsys, "detect", str(log), *options)
    whole = run(capsys, "detect", str(log), "--detectors", str(fitted / "D"))
    assert grown["accounts"] == whole["accounts"]
    assert main(["detect", str(tmp_path / "early.parquet"), *options]) == 3
    assert "has seen" in capsys.readouterr().err


def test_the_state_of_another_log_is_refused(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = fitted / "mine.parquet"
    words = ["--model", str(fitted / "model"), "--out", str(log), "--users", "20"]
    run(capsys, "data", "traffic", MANY, *words)
    mine = pl.read_parquet(log)
    options = ["--detectors", str(fitted / "D"), "--state", str(tmp_path / "state")]
    run(capsys, "detect", str(log), *options)
    changed = mine.with_columns(
        account=pl.when(pl.col("call") == 7)
        .then(pl.lit("somebody else"))
        .otherwise(pl.col("account"))
    )
    for number, other in enumerate((changed, mine.reverse().with_columns(call=mine["call"]))):
        other.write_parquet(tmp_path / f"other-{number}.parquet")
        assert main(["detect", str(tmp_path / f"other-{number}.parquet"), *options]) == 3
        told = capsys.readouterr().err.replace("\n", " ")
        assert "mine.parquet" in told
        assert f"other-{number}.parquet are others" in told


def test_a_flipped_bit_of_the_state_is_named_and_the_hint_helps(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, state = fitted / "kept.parquet", tmp_path / "state"
    words = ["--model", str(fitted / "model"), "--out", str(log), "--users", "20"]
    run(capsys, "data", "traffic", MANY, *words)
    options = ["--detectors", str(fitted / "D"), "--state", str(state)]
    whole = run(capsys, "detect", str(log), *options)
    content = bytearray(state.read_bytes())
    content[-9] ^= 1
    state.write_bytes(content)
    assert main(["detect", str(log), *options]) == 3
    told = capsys.readouterr().err.replace("\n", " ")
    assert "damaged" in told
    assert "delete that file" in told
    state.unlink()
    assert run(capsys, "detect", str(log), *options) == whole


@pytest.mark.parametrize("left", [[], ["accounts.parquet"], ["accounts.parquet", "items.parquet"]])
def test_a_fit_that_was_killed_early_is_made_again(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, left: list[str]
) -> None:
    out = tmp_path / "D"
    out.mkdir()
    (out / ".accounts.parquet.17.unfinished").write_text("")
    for name in left:
        (out / name).write_bytes((fitted / "D" / name).read_bytes())
    words = ["--model", str(fitted / "model"), "--data", MANY, "--out", str(out)]
    words += ["--queries", "10", "--detector", "transition"]
    assert run(capsys, "detect", "fit", *words)["fitted"] == ["transition"]
    (out / "notes.txt").write_text("mine")
    assert main(["detect", "fit", *words]) == 3
    assert "notes.txt" in capsys.readouterr().err


@pytest.mark.hint("--queries {}, the most that so many users have")
def test_short_histories_are_told_how_many_queries_they_allow(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--model", str(fitted / "model"), "--data", MANY, "--detector", "transition"]
    words += ["--out", str(tmp_path / "D")]
    assert main(["detect", "fit", *words]) == 3
    told = capsys.readouterr().err.replace("\n", " ")
    found = re.search(r"--queries \d+", told)
    assert found, told
    assert run(capsys, "detect", "fit", *words, *found[0].split())["fitted"] == ["transition"]


def test_faults_of_a_log_are_told(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.parquet"
    rows = {"call": [1, 1, 2], "account": ["a", "a", None], "items": [[1], [1], [2]]}
    pl.DataFrame(rows).write_parquet(path)
    capsys.readouterr()
    assert main(["detect", str(path), "--detectors", str(fitted / "D")]) == 0
    streams = capsys.readouterr()
    assert "repeated calls, one of each kept: 1" in streams.err
    assert "without an account, left out: 1" in streams.err
    assert streams.out.startswith("0 of 1 accounts flagged")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_tables_are_written_and_read_by_their_suffix(
    fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str
) -> None:
    log, accounts = tmp_path / f"log.{suffix}", tmp_path / f"accounts.{suffix}"
    words = ["--model", str(fitted / "model"), "--users", "20", "--queries", "10"]
    run(capsys, "data", "traffic", MANY, *words, "--out", str(log))
    found = run(
        capsys, "detect", str(log), "--detectors", str(fitted / "D"), "--out", str(accounts)
    )
    reads = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "parquet": pl.read_parquet}
    table = reads[suffix](accounts)
    assert table["queries"].sum() == found["queries"]
    assert table.height == 20


def test_a_name_that_says_no_format_is_refused_first(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["detect", "no-log.parquet", "--detectors", str(fitted / "D"), "--out", "x.xlsx"]
    assert main(words) == 2
    assert "expected a name ending in .csv" in capsys.readouterr().err


def test_wrong_words(fitted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["detect", "log.parquet"]) == 2
    assert main(["detect", str(tmp_path / "no.parquet"), "--detectors", str(fitted / "D")]) == 3
    assert main(["detect", "x", "--detectors", str(tmp_path)]) == 3
    assert "recsec detect fit" in capsys.readouterr().err
    words = ["--model", str(fitted / "model"), "--data", MANY, "--out", str(tmp_path / "D")]
    words += ["--queries", "10"]
    assert main(["detect", "fit", *words, "--detector", "hoda"]) == 2
    assert "snapshots" in capsys.readouterr().err
    assert main(["detect", "fit", *words, "--set", "wheels=3"]) == 2


def test_help_of_all_forms(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["fit", "--help"], ["log", "--help"]):
        assert main(["detect", *words]) == 0
        assert "Usage: recsec detect" in capsys.readouterr().out


def test_a_flagged_account_may_fail_a_job(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsec.library.thieves import Detected

    rows = {"id": ["a"], "queries": [30], "p_value": [0.0], "flagged": [True], "view": ["hoda"]}
    table = pl.DataFrame({**rows, "cluster": [None], "withheld": [None]})
    found = Detected(accounts=table, queries=30, faults=(), protocol={"level": 0.05})
    monkeypatch.setattr("recsec.library.thieves.detect", lambda *_, **__: found)
    words = ["detect", str(tmp_path / "log.csv"), "--detectors", str(fitted / "D"), "--json"]
    assert main(words) == 0
    assert main([*words, "--fail-on", "flagged"]) == 1


def test_own_traffic_in_any_table_then_explained(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same log as CSV, JSON Lines and Parquet gives the same detectors."""
    model = str(fitted / "model")
    found = []
    for ending in ("csv", "jsonl", "parquet"):
        log = str(tmp_path / f"honest.{ending}")
        words = ["--queries", "10", "--users", "90", "--model", model, "--out", log, "--quiet"]
        assert main(["data", "traffic", MANY, *words]) == 0
        out = str(tmp_path / ending)
        words = ["--model", model, "--log", log, "--out", out, "--queries", "10"]
        found.append(run(capsys, "detect", "fit", *words)["protocol"])
    assert all(20 <= count <= 30 for count in found[0]["users"].values())
    assert len({one["request"] for one in found}) == 1
    table = run(capsys, "detect", log, "--detectors", out)
    assert (table["flagged"], table["withheld"]) == (0, 0)
    account = table["accounts"][0]["id"]
    why = run(capsys, "detect", "explain", account, log, "--detectors", out)
    assert why["account"] == account
    assert len(why["steps"]) == why["queries"]
    assert main(["detect", "explain", account, log, "--detectors", out]) == 0
    assert "p-value" in capsys.readouterr().out


def test_detectors_are_fitted_to_one_thing(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["detect", "fit", "--model", str(fitted / "model"), "--out", str(tmp_path / "D")]
    both = ["--data", "ml-1m", "--log", "log.csv"]
    for wrong in ([*words, *both], [*words, "--model", "callable:shop:recommend"]):
        assert main(wrong) == 2
        assert "one of --data and --log" in capsys.readouterr().err
