"""A small audit of made-up photos: killed and resumed, with any workers, it reports the same."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dying import dies

from recsec.audit import exit_code, parse_plan, run_audit
from recsec.audit.evasion import work as evasion_work
from recsec.errors import ConfigError, RunError
from recsec.reports import Report, read_report

COMMAND = "recsec audit plan.toml --out run"
VALUES: dict[str, Any] = {
    "visual": {
        "data": "photos:items=139,categories=7,seed=3",  # the smallest category is left out
        "pairs": 6,
        "pairs_at": {"0.1": 60},
        "models": [
            {
                "name": "plain",
                "train": "encoder",
                "settings": {"size": 16, "widths": [8], "epochs": 2},
            },
            {"name": "hard", "harden": "trades-embedding", "settings": {"epochs": 1, "steps": 1}},
        ],
    },
    "evasion": [
        {"attacks": "mi-8", "eps": [0.05, 0.1]},
        {"attacks": "apgd-5", "eps": 0.1, "survivors_of": "all"},
    ],
    "engine": {"workers": 1, "device": "cpu"},
}
SCRIPT = """
import json, sys
from recsec.audit import parse_plan, run_audit
run_audit(parse_plan(json.loads(sys.argv[1])), "run", command=sys.argv[2])
"""


def audit(values: dict[str, Any], out: str = "run", **more: Any) -> Report:
    return run_audit(parse_plan(values), out, command=COMMAND, **more)


@pytest.fixture
def values() -> dict[str, Any]:
    return deepcopy(VALUES)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run; to be read only."""
    folder = tmp_path_factory.mktemp("photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        audit(VALUES)
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: its ``run`` has the models and nothing that was attacked yet."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished / "run", tmp_path / "run")
    for path in [*Path("run/cells").iterdir(), *Path("run/evasion").iterdir()]:
        if not path.name.startswith(("make-", "measure-", "pairs", "visual-")):
            path.unlink()
    for name in ("report.json", "report.html"):
        Path("run", name).unlink()
    return tmp_path


def report_of(folder: Path) -> bytes:
    return (folder / "run" / "report.json").read_bytes()


def test_one_plan_gives_models_cells_worst_cases_and_pictures(finished: Path) -> None:
    report = read_report(finished / "run")
    assert report.extraction is None
    assert report.synthetic
    found = report.evasion
    assert found is not None
    assert [model.name for model in found.models] == ["plain", "hard"]
    assert found.models[1].hardening == "trades-embedding"
    assert "precision@10" in found.models[1].price
    rows = {(row.model, row.attack, row.eps): row for row in found.rows}
    assert [rows["plain", "mi-8", eps].pairs for eps in (0.05, 0.1)] == [6, 60]
    survivors = rows["plain", "apgd-5", 0.1]
    assert survivors.survivors
    solved = rows["plain", "mi-8", 0.1].success["success@1"].value
    assert survivors.pairs == 60 - round(60 * float(solved or 0))
    assert all(row.linf <= row.effective_eps + 1e-9 for row in found.rows if row.linf is not None)
    worst = {(row.model, row.eps): row for row in found.worst}
    for name, _, eps in rows:
        assert worst[name, eps].pairs in (6, 60)
    assert {rate.kind for rate in found.base} == {"clean", "noise"}
    assert exit_code(report.verdict) in (0, 1)
    controls = {check.model: check for check in found.checks if check.check == "reference"}
    assert set(controls) == {"plain", "hard"}
    assert all("reference" not in row.attack for row in found.rows)
    paths = (finished / "run" / "evasion").glob("plain-reference-e0.1*")
    tried = sum(len(pl.read_parquet(path)) for path in paths)
    assert 0 < tried <= 20
    assert f"of {tried} failed pairs" in controls["plain"].evidence
    for journey in found.journeys:
        assert [frame.eps for frame in journey.frames] == [0.0, 0.05, 0.1]
        table = pl.read_parquet(
            finished / "run" / "evasion" / f"{journey.model}-mi-8-e0.05-p0.parquet"
        )
        ranks = table["rank_after"].to_list()
        assert journey.frames[1].rank in ranks  # what is shown is what was measured
    assert (finished / "run" / str(found.map.picture if found.map else "")).is_file()
    page = (finished / "run" / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert len(page) < 5_000_000


def test_kill_9_loses_a_chunk_and_two_workers_finish_as_one_would(
    place: Path, finished: Path, values: dict[str, Any]
) -> None:
    dies(SCRIPT, json.dumps(VALUES), COMMAND, part="evasion", count=6)
    kept = {path: path.stat().st_mtime_ns for path in Path("run/evasion").glob("*.parquet")}
    assert len(kept) == 5
    values["engine"]["workers"] = 2
    audit(values)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}  # none was attacked again
    assert report_of(place) == report_of(finished)


def test_thresholds_may_change_without_a_new_attack(
    place: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(values)
    monkeypatch.setattr(evasion_work, "evade", None)  # whoever attacks now fails
    values["gate"] = {"evasion": {"eps": 0.1, "moderate": 0.0, "high": 0.0, "model": "hard"}}
    report = audit(values)
    assert (report.verdict.level, report.verdict.passed) == ("high", False)
    assert "hard" in report.verdict.statement
    values["visual"]["pairs"] = 7
    with pytest.raises(RunError, match=r"differ in visual\.pairs"):
        audit(values)


def test_an_attack_that_breaks_is_no_evidence_of_safety(
    place: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    evade = evasion_work.evade

    def broken(attack: Any, *arguments: Any, **options: Any) -> Any:
        if attack.name == "mi" and options["eps"] == 0.1:
            raise RuntimeError("out of luck")
        return evade(attack, *arguments, **options)

    monkeypatch.setattr(evasion_work, "evade", broken)
    report = audit(values)
    assert (report.verdict.level, exit_code(report.verdict)) == ("incomplete", 4)
    rows = {(row.attack, row.eps): row for row in report.evasion.rows if row.model == "plain"}
    assert (rows["mi-8", 0.1].status, rows["mi-8", 0.1].missing) == ("error", 60)
    assert "out of luck" in str(rows["mi-8", 0.1].error)
    assert rows["apgd-5", 0.1].missing == 60  # its survivors are not known
    monkeypatch.setattr(evasion_work, "evade", evade)
    assert audit(values).verdict.level != "incomplete"


def test_words_that_do_not_exist_are_refused_before_anything_is_made(
    tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for change in (
        {"evasion": [{"attacks": {"attack": "mi", "stepps": 3}, "eps": 0.1}]},
        {"evasion": [{"attacks": "mi", "eps": 0.1, "models": "soft"}]},
        {"evasion": [{"attacks": "mi", "eps": 0.1, "survivors_of": "apgd"}]},
        {"evasion": [{"attacks": "mix", "eps": 0.1}]},
        {"evasion": [{"attacks": "mi", "eps": 1.5}]},
    ):
        with pytest.raises(ConfigError):
            audit({**values, **change})
    for settings in ({"sise": 16}, {"size": 32}):
        both = deepcopy(values)
        both["visual"]["models"].append({"name": "x", "train": "encoder", "settings": settings})
        with pytest.raises(ConfigError):
            audit(both)
    assert list(tmp_path.iterdir()) == []
