"""``junit.xml``: the gate and every cell as test cases, for continuous integration."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from recsec.reports.parts import Verdict
from recsec.reports.schema import Report
from recsec.reports.threat import Case, parts_of

__all__ = ["junit"]

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The audit as JUnit XML.

    A failed gate is a ``failure``; each threat has one. A cell that could not be measured is an
    ``error``, as is a gate without a verdict: neither counts as passed. A gate that nobody asked
    for is ``skipped``. There are no times in it, so the same report gives the same text.
    """
    cases = []
    for threat, part in parts_of(report):
        cases.append(_gate(threat.name, part.verdict, asked=report.policy.asked))
        cases += [_case(threat.name, case) for case in threat.cases(part)]
    suite = ET.Element(
        "testsuite",
        name=_clean(report.title),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("level", report.verdict.level),
        ("synthetic", str(report.synthetic).lower()),
        ("plan_digest", report.reproduce.plan_digest),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _gate(threat: str, verdict: Verdict, *, asked: bool) -> ET.Element:
    """The verdict as a test case."""
    case = ET.Element("testcase", classname=f"recsec.{threat}", name="gate")
    if verdict.level in ("incomplete", "weak"):
        _outcome(case, "error", f"evidence {verdict.level}", verdict.statement)
    elif not asked:
        ET.SubElement(case, "skipped", message="no gate was asked for")
    elif not verdict.passed:
        _outcome(case, "failure", f"level {verdict.level}", verdict.statement)
    ET.SubElement(case, "system-out").text = _clean(verdict.rule)
    return case


def _case(threat: str, tried: Case) -> ET.Element:
    """What was tried as a test case: passed when it was measured, whatever it found."""
    case = ET.Element("testcase", classname=f"recsec.{threat}.cells", name=_clean(tried.id))
    if tried.status != "ok":
        _outcome(case, "error", tried.status, tried.error or "no reason was recorded")
        return case
    lines = [f"{name} {metric.value}" for name, metric in tried.metrics.items()]
    ET.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def _outcome(case: ET.Element, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, kind, message=_clean(message), type=kind).text = _clean(text)


def _clean(text: str) -> str:
    """``text`` without the control characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
