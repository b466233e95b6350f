"""``recsec view``: many runs as one offline folder, and the tables of a report as files."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from report_example import HOSTILE, example_report

from recsec.cli.main import main
from recsec.errors import RunError
from recsec.reports import Report
from recsec.reports.formats.tables import markdown, table_named, tables_of, write_tables
from recsec.reports.site import find_runs, write_site

RUNS = Path(__file__).resolve().parents[2] / "examples" / "runs"


def links(page: Path) -> list[Path]:
    text = page.read_text(encoding="utf-8")
    return [
        page.parent / one
        for one in re.findall(r'href="([^"]+)"', text)
        if ":" not in one and not one.startswith("#")
    ]


def test_the_committed_runs_make_a_site_without_dead_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert main(["view", str(RUNS), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == ["before", "after"]
    pages = sorted(out.rglob("*.html"))
    assert len(pages) == 4
    for page in pages:
        assert "<script" not in page.read_text(encoding="utf-8")
        for link in links(page):
            assert link.exists(), link
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "no regression" in index
    assert "<svg" in index


def save(folder: Path, report: Report, updated: str) -> None:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(report.model_dump_json())
    (folder / "timings.json").write_text(json.dumps({"updated": updated}))


def test_runs_are_ordered_by_time_and_what_is_broken_is_named(tmp_path: Path) -> None:
    report = example_report()
    save(tmp_path / "a" / "late", report, "2026-02-02T00:00:00+00:00")
    save(tmp_path / "b", report, "2026-01-01T00:00:00+00:00")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "report.json").write_text('{"kind": "audit"}')
    found, faults = find_runs(tmp_path)
    assert [run.name for run in found] == ["b", "a/late"]
    assert len(faults) == 1
    assert "c" in faults[0]


def test_a_folder_with_other_files_is_not_written_over(tmp_path: Path) -> None:
    found, _ = find_runs(RUNS)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        write_site(found[:0], tmp_path)
    with pytest.raises(RunError, match="no finished audit"):
        find_runs(tmp_path)
    with pytest.raises(RunError, match="no folder"):
        find_runs(tmp_path / "nowhere")


def test_hostile_names_stay_inside_the_site(tmp_path: Path) -> None:
    report = example_report(title=HOSTILE)
    save(tmp_path / "runs" / "..evil <b>", report, "")
    found, _ = find_runs(tmp_path / "runs")
    write_site(found, tmp_path / "site")
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text
    assert {path.parent.parent.name for path in (tmp_path / "site").rglob("report.html")} == {
        "runs"
    }


def test_tables_are_files_that_spreadsheets_and_pages_read(tmp_path: Path) -> None:
    finding = example_report().findings[0].model_copy(update={"title": "=1+1", "evidence": "a|b"})
    report = example_report(findings=(finding,))
    files = write_tables(report, tmp_path)
    assert {path.suffix for path in files} == {".csv", ".md"}
    assert {path.stem for path in files} == set(tables_of(report))
    with (tmp_path / "findings.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["title"] == "'=1+1"
    assert row["evidence"] == "a|b"
    assert "a\\|b" in (tmp_path / "findings.md").read_text()
    cells = table_named(report, "cells")
    lines = markdown(cells).splitlines()
    assert len(lines) == 2 + cells.height


def test_report_writes_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(RUNS / "after", run)
    assert main(["report", str(run), "--tables", str(tmp_path / "t"), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert str(tmp_path / "t" / "extraction.cells.csv") in files
