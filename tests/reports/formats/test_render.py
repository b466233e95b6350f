"""From a folder to files: kinds, damage, and the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_example import example_report, history

from recsec.errors import RunError
from recsec.reports import kind_of, read_report, render, render_training


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(example_report().model_dump_json(), encoding="utf-8")
    return tmp_path


def test_three_files_and_the_same_bytes_again(run: Path) -> None:
    files = render(run)
    assert [path.name for path in files] == ["report.html", "junit.xml", "sarif.json"]
    before = [path.read_bytes() for path in files]
    assert [path.read_bytes() for path in render(run)] == before
    assert sorted(path.name for path in run.iterdir()) == [
        "junit.xml",
        "report.html",
        "report.json",
        "sarif.json",
    ]


def test_another_folder_can_be_named(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    assert all(path.parent == out and path.is_file() for path in render(run, out=out))
    assert not (run / "report.html").exists()


def test_a_training_gets_its_report(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text(json.dumps(history(4)))
    files = render_training(tmp_path)
    assert [path.name for path in files] == ["report.json", "report.html"]
    assert json.loads(files[0].read_text())["kind"] == "training"
    assert kind_of(tmp_path) == "training"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("run.json", '{"kind": "audit"}', "audit"),
        ("run.json", '{"kind": "extract"}', "audit"),
        ("report.json", '{"kind": "extraction"}', "audit"),
        ("run.json", '{"kind": "training"}', "training"),
        ("config.json", "{}", "training"),
        ("history.json", "[]", "training"),
    ],
)
def test_the_kind_is_read_from_the_run(tmp_path: Path, name: str, content: str, kind: str) -> None:
    (tmp_path / name).write_text(content)
    assert kind_of(tmp_path) == kind


@pytest.mark.parametrize("content", ["", "[]", '{"plan": 1}', '{"kind": "benchmark"}', "\x00"])
def test_runs_without_a_known_kind_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError):
        kind_of(tmp_path)


def test_no_folder_and_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no folder"):
        kind_of(tmp_path / "absent")
    with pytest.raises(RunError, match="is no run"):
        kind_of(tmp_path)


def test_an_unfinished_run_is_said_to_be_unfinished(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not finished"):
        read_report(tmp_path)


@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_a_torn_report_is_refused_and_nothing_is_written(run: Path, cut: int) -> None:
    text = (run / "report.json").read_text(encoding="utf-8")
    (run / "report.json").write_text(text[:cut], encoding="utf-8")
    with pytest.raises(RunError, match="does not fit the report schema"):
        render(run)
    assert not (run / "report.html").exists()


def test_a_report_of_another_schema_names_the_field(run: Path) -> None:
    document = json.loads((run / "report.json").read_text(encoding="utf-8"))
    document["extraction"]["rows"][3]["calls"] = "many"
    (run / "report.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"extraction\.rows\.3\.calls"):
        render(run)


def test_a_place_that_cannot_be_written_is_a_run_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write"):
        render(run, out=tmp_path / "file" / "deeper")
