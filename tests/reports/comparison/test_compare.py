"""Two audits side by side: intervals of differences, pairing, and what counts as a regression."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from report_example import HOSTILE, example_report

from recsec.audit.runner import _against
from recsec.reports import Extraction, ExtractionReport, Metric, Report
from recsec.reports.comparison import (
    compare_reports,
    diff_html,
    difference_of,
    paired_difference,
)
from recsec.reports.comparison.difference import beyond
from recsec.reports.threat import Case, threats
from recsec.runs import write_table
from recsec.stats import wilson

NOWHERE = Path("nowhere")


def compared(old: Report, new: Report, folders: tuple[Path, Path] = (NOWHERE, NOWHERE)):
    return compare_reports(old, new, old=folders[0], new=folders[1], names=("old", "new"))


def with_cell(report: Report, number: int, **changes: object) -> Report:
    part = report.of(ExtractionReport).extraction
    assert part is not None
    cells = list(part.cells)
    cells[number] = cells[number].model_copy(update=changes)
    return report.model_copy(update={"extraction": part.model_copy(update={"cells": tuple(cells)})})


def part_of(report: Report) -> Extraction:
    part = report.of(ExtractionReport).extraction
    assert part is not None
    return part


class TestDifference:
    def test_two_rates_give_newcombes_interval(self) -> None:
        """Newcombe 1998, table II, column (a), method 10: 56/70 - 48/80 is 0.2 [0.0524, 0.3339]."""
        old, new = Metric.of(wilson(48, 80)), Metric.of(wilson(56, 70))
        found = difference_of(old, new)
        assert found is not None
        assert found.value == pytest.approx(0.2)
        assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)

    def test_pairs_need_the_very_same_units(self) -> None:
        assert paired_difference({}, {}) is None
        assert paired_difference({"a": 0.0, "b": 1.0}, {"a": 0.0}) is None
        found = paired_difference({"a": 0.0, "b": 1.0}, {"b": 1.0, "a": 1.0})
        assert found is not None
        assert (found.value, found.n) == (0.5, 2)

    def test_pairing_sees_what_two_intervals_hide(self) -> None:
        rng = np.random.default_rng(1)
        base = rng.random(200)
        old = dict(enumerate(base.tolist()))
        new = dict(enumerate((base + 0.02 + 0.001 * rng.standard_normal(200)).tolist()))
        paired = paired_difference(old, new)
        assert paired is not None
        assert beyond(paired, 0.95) == 1
        half = 1.96 * base.std() / math.sqrt(200)
        one = Metric(value=base.mean(), low=base.mean() - half, high=base.mean() + half, n=200)
        two = Metric(value=one.value + 0.02, low=one.low + 0.02, high=one.high + 0.02, n=200)
        apart = difference_of(one, two)
        assert apart is not None
        assert beyond(apart, 0.95) == 0

    def test_more_cells_ask_for_more(self) -> None:
        found = Metric(value=0.10, low=0.005, high=0.195, n=50)
        assert beyond(found, 0.95) == 1
        assert beyond(found, 1 - 0.05 / 20) == 0
        down = Metric(value=-0.10, low=-0.19, high=-0.01, n=50)
        assert beyond(down, 0.95) == -1


class TestCompare:
    def test_the_same_audit_twice_is_no_regression(self) -> None:
        report = example_report()
        found = compared(report, report)
        assert not found.regression
        assert {one.status for one in found.changes if one.metric} == {"same"}
        assert {one.status for one in found.findings} == {"same"}

    def test_a_worse_cell_is_a_regression_and_named(self) -> None:
        report = example_report()
        cell = part_of(report).cells[0]
        metric = Metric(value=0.9, low=0.89, high=0.91, n=6040)
        worse = with_cell(report, 0, metrics={**cell.metrics, "agr@10": metric})
        found = compared(report, worse)
        assert found.regression
        assert cell.id in found.reasons[0]
        back = compared(worse, report)
        assert not back.regression
        assert [one.cell for one in back.changes if one.status == "better"] == [cell.id]

    def test_lost_evidence_is_a_class_of_its_own(self) -> None:
        report = example_report()
        at = next(i for i, cell in enumerate(part_of(report).cells) if cell.status == "ok")
        broken = with_cell(report, at, status="error", error="503", metrics={})
        assert compared(report, broken).lost == 1
        assert not compared(report, broken).regression
        assert compared(broken, report).lost == 0

    def test_findings_come_and_go(self) -> None:
        report = example_report()
        first, *rest = report.findings
        fewer = report.model_copy(update={"findings": tuple(rest)})
        milder = report.model_copy(
            update={"findings": (first.model_copy(update={"severity": "low"}), *rest)}
        )
        status = lambda a, b: compared(a, b).findings[0].status  # noqa: E731
        assert status(report, milder) == "better"
        assert status(milder, report) == "worse"
        assert {one.status for one in compared(report, fewer).findings} == {"gone", "same"}
        assert compared(fewer, report).regression

    def test_users_of_both_runs_are_paired(self, tmp_path: Path) -> None:
        """A copy whose every list improves by one item of ten, among very different users."""
        report = example_report()
        cell = next(one for one in part_of(report).cells if one.status == "ok")
        target = [list(range(10)) for _ in range(40)]
        folders = (tmp_path / "old", tmp_path / "new")
        for folder, more in zip(folders, (0, 1), strict=True):
            hits = [user % 8 + more for user in range(40)]
            lists = [[*range(hit), *range(100, 110 - hit)] for hit in hits]
            (folder / "answers").mkdir(parents=True)
            for name, answers in (("target", target), (cell.id, lists)):
                table = pl.DataFrame({"user": range(40), "rank": [1] * 40, "list": answers})
                write_table(folder / "answers" / f"{name}.parquet", table)
        found = compared(report, report, folders)
        change = next(one for one in found.changes if one.cell == cell.id and one.paired)
        assert change.difference is not None
        assert (change.difference.value, change.difference.n) == (pytest.approx(0.1), 40)
        assert change.status == "worse"


def test_agreement_of_the_report_is_that_of_metrics(tmp_path: Path) -> None:
    from recsec.metrics import agreement

    rng = np.random.default_rng(0)
    lists = {
        name: np.stack([rng.permutation(30)[:12] + 1 for _ in range(20)])
        for name in ("target", "cell")
    }
    (tmp_path / "answers").mkdir()
    for name, rows in lists.items():
        table = pl.DataFrame({"user": range(20), "rank": [1] * 20, "list": rows.tolist()})
        write_table(tmp_path / "answers" / f"{name}.parquet", table)
    threat = next(one for one in threats() if one.name == "extraction")
    found = threat.units(tmp_path, None, Case("cell", "ok"))["agr@10"]
    expected = agreement(lists["cell"], lists["target"], 10)
    assert list(found.values()) == pytest.approx(expected.tolist())


def test_the_page_shows_it_and_keeps_text_text() -> None:
    report = example_report()
    finding = report.findings[0].model_copy(update={"title": HOSTILE, "about": HOSTILE})
    found = compared(report, report.model_copy(update={"findings": (finding,)}))
    page = diff_html(found)
    assert "<script" not in page
    assert "Regression" in page
    assert "What changed" in page


def test_a_baseline_fails_the_gate() -> None:
    report = example_report()
    passing = report.model_copy(
        update={"verdict": report.verdict.model_copy(update={"passed": True})}
    )
    same = _against(passing, passing, NOWHERE, NOWHERE)
    assert same.verdict.passed
    assert "no regression" in same.verdict.statement
    fewer = passing.model_copy(update={"findings": ()})
    worse = _against(fewer, passing, NOWHERE, NOWHERE)
    assert not worse.verdict.passed
    assert "new finding" in worse.verdict.statement
