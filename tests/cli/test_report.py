"""``recsec report``: kinds, files, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from report_example import example_report, history

from recsec.audit import gate_policy
from recsec.audit.plan import gate_class
from recsec.cli.main import main
from recsec.reports import Verdict, json_schema


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    folder.mkdir()
    text = example_report(synthetic=True).model_dump_json()
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "run.json").write_text('{"kind": "audit"}')
    return folder


def test_an_audit_as_json(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(audit), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "audit"
    assert found["verdict"]["level"] == "high"
    assert found["verdict"]["passed"] is False
    assert found["synthetic"] is True
    assert {Path(path).name for path in found["files"]} == {
        "report.html",
        "junit.xml",
        "sarif.json",
    }
    assert all(Path(path).is_file() for path in found["files"])


def test_an_audit_for_people(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(audit)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "high, gate failed (synthetic data)" in lines
    assert lines[-3:] == [str(audit / name) for name in ("report.html", "junit.xml", "sarif.json")]


def test_where_no_gate_was_asked_for_none_is_passed(
    audit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict(level="moderate", passed=True, rule="r", statement="s")
    report = example_report(verdict=verdict, policy=gate_policy(gate_class()(fail_at="never")))
    (audit / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    assert main(["report", str(audit)]) == 0
    assert "moderate, no gate was asked for" in capsys.readouterr().out
    assert "Gate: none was asked for." in (audit / "report.html").read_text(encoding="utf-8")
    gate = ET.parse(audit / "junit.xml").find("testsuite/testcase")
    assert gate is not None
    assert gate.find("skipped") is not None


def test_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "history.json").write_text(json.dumps(history(3)))
    assert main(["report", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "training"
    assert "verdict" not in found
    assert (tmp_path / "report.html").is_file()


def test_another_folder(audit: Path, tmp_path: Path) -> None:
    assert main(["report", str(audit), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (audit / "report.html").exists()


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["report", "--schema"], ["report", "--schema", "--json"]):
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out) == json_schema()


def test_missing_and_broken_runs_are_code_3(
    audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "absent")]) == 3
    assert "there is no folder" in capsys.readouterr().err.replace("\n", " ")
    (audit / "report.json").write_text("{")
    assert main(["report", str(audit)]) == 3
    (audit / "report.json").unlink()
    assert main(["report", str(audit)]) == 3
    assert "not finished" in capsys.readouterr().err.replace("\n", " ")


def test_no_run_named_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2
    assert "which run?" in capsys.readouterr().err
