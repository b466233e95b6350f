"""JUnit XML: the gate fails, missing cells are errors, nothing is hidden."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from report_example import HOSTILE, example_report

from recsec.reports import Report, Verdict
from recsec.reports.formats.junit import junit


def suite(report: Report) -> ET.Element:
    found = ET.fromstring(junit(report)).find("testsuite")
    assert found is not None
    return found


def test_counts_match_the_cases() -> None:
    report = example_report()
    found = suite(report)
    assert (
        int(found.attrib["tests"])
        == len(found.findall("testcase"))
        == len(report.extraction.cells) + 1
    )
    assert int(found.attrib["failures"]) == len(found.findall("testcase/failure")) == 1
    assert int(found.attrib["errors"]) == len(found.findall("testcase/error")) == 1


@pytest.mark.parametrize(
    ("level", "passed", "outcome"),
    [
        ("high", False, "failure"),
        ("incomplete", False, "error"),
        ("moderate", True, None),
        ("low", True, None),
    ],
)
def test_the_gate_is_the_first_case(level: str, passed: bool, outcome: str | None) -> None:
    verdict = Verdict.model_validate(
        {"level": level, "passed": passed, "rule": "r", "statement": "what was found"}
    )
    gate = suite(example_report(verdict=verdict)).findall("testcase")[0]
    assert gate.attrib["name"] == "gate"
    found = [child.tag for child in gate if child.tag in {"failure", "error"}]
    assert found == ([outcome] if outcome else [])


@pytest.mark.parametrize("status", ["error", "refused"])
def test_a_cell_that_was_not_measured_never_passes(status: str) -> None:
    report = example_report()
    cell = report.extraction.cells[0].model_copy(update={"status": status, "metrics": {}})
    case = suite(example_report(cells=(cell,))).findall("testcase")[1]
    error = case.find("error")
    assert error is not None
    assert error.attrib["message"] == status


def test_hostile_text_and_control_characters_parse() -> None:
    title = HOSTILE + "\x00\x1b[31m\x0b ]]> \ufffe"
    found = suite(example_report(title=title))
    assert "<script>" in found.attrib["name"]
    assert "\x1b" not in junit(example_report(title=title))


def test_no_times() -> None:
    names = {name for node in suite(example_report()).iter() for name in node.attrib}
    assert not names & {"time", "timestamp", "hostname"}
