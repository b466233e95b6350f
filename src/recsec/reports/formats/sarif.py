"""``sarif.json``: the findings in SARIF 2.1.0, with the techniques they belong to.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 (2020), sections 3.14 to 3.58.
"""

from __future__ import annotations

import json
from typing import Any, Final

from recsec import __version__
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.threat import parts_of

__all__ = ["sarif"]

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Final = {"high": "error", "moderate": "warning", "low": "note", "info": "note"}
ATLAS: Final = {
    "AML.T0015": "Evade AI Model",
    "AML.T0024": "Exfiltration via AI Inference API",
    "AML.T0024.002": "Extract AI Model",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0040": "AI Model Inference API Access",
    "AML.T0042": "Verify Attack",
    "AML.T0043.000": "Craft Adversarial Data: White-Box Optimization",
    "AML.T0043.001": "Craft Adversarial Data: Black-Box Optimization",
    "AML.T0043.002": "Craft Adversarial Data: Black-Box Transfer",
    "AML.T0044": "Full AI Model Access",
}
OWASP: Final = {
    "ML01:2023": "Input Manipulation Attack",
    "ML05:2023": "Model Theft",
}


def sarif(report: Report) -> str:
    """The findings as SARIF.

    Cells that could not be measured are notifications of the invocation, and make it unsuccessful.
    """
    rules = list({finding.id: finding for finding in report.findings}.values())
    places = {finding.id: index for index, finding in enumerate(rules)}
    taxonomies = [
        _taxonomy("MITRE ATLAS", "MITRE", ATLAS, [f.atlas for f in report.findings]),
        _taxonomy("OWASP ML Top Ten", "OWASP", OWASP, [f.owasp for f in report.findings]),
    ]
    run = {
        "tool": {
            "driver": {
                "name": "recsec",
                "version": __version__,
                "rules": [_rule(finding) for finding in rules],
                "supportedTaxonomies": [
                    {"name": taxonomy["name"], "index": index}
                    for index, taxonomy in enumerate(taxonomies)
                ],
            }
        },
        "taxonomies": taxonomies,
        "invocations": [
            {
                "executionSuccessful": report.verdict.level != "incomplete",
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": {"text": f"{case.id}: {case.status}. {case.error or ''}"},
                    }
                    for threat, part in parts_of(report)
                    for case in threat.cases(part)
                    if case.status != "ok"
                ],
            }
        ],
        "artifacts": [{"location": {"uri": "report.json"}, "mimeType": "application/json"}],
        "results": [
            _result(report, finding, index, places[finding.id])
            for index, finding in enumerate(report.findings)
        ],
        "properties": {
            "level": report.verdict.level,
            "passed": report.verdict.passed,
            "rule": report.verdict.rule,
            "synthetic": report.synthetic,
            "planDigest": report.reproduce.plan_digest,
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _subject(report: Report, finding: Finding) -> tuple[str, str]:
    """Name and whereabouts of what a finding is about; one without an owner is the first's."""
    parts = parts_of(report)
    owners = [(threat, part) for threat, part in parts if threat.owns(finding)]
    threat, part = (owners or parts)[0]
    return threat.subject(part, finding)


def _techniques(finding: Finding) -> list[tuple[str, str]]:
    """Taxonomy and id of every technique of a finding, each once."""
    names = [("MITRE ATLAS", name) for name in finding.atlas]
    names += [("OWASP ML Top Ten", name) for name in finding.owasp]
    return list(dict.fromkeys(names))


def _rule(finding: Finding) -> dict[str, Any]:
    """A kind of finding, related to its techniques."""
    return {
        "id": finding.id,
        "shortDescription": {"text": finding.title},
        "help": {"text": finding.advice or finding.title},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "properties": {"tags": ["security", *finding.atlas, *finding.owasp]},
        "relationships": [
            {"target": {"id": name, "toolComponent": {"name": taxonomy}}, "kinds": ["relevant"]}
            for taxonomy, name in _techniques(finding)
        ],
    }


def _result(report: Report, finding: Finding, index: int, rule: int) -> dict[str, Any]:
    """One finding about the target, placed in ``report.json``."""
    note = " (synthetic data)" if report.synthetic else ""
    name, spec = _subject(report, finding)
    return {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.title}{note}. {finding.evidence}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "report.json", "index": 0}},
                "logicalLocations": [{"name": name, "fullyQualifiedName": spec}],
            }
        ],
        "partialFingerprints": {"recsecFinding/v1": f"{report.reproduce.plan_digest}:{index}"},
        "taxa": [
            {"id": name, "toolComponent": {"name": taxonomy}}
            for taxonomy, names in (
                ("MITRE ATLAS", finding.atlas),
                ("OWASP ML Top Ten", finding.owasp),
            )
            for name in names
        ],
    }


def _taxonomy(
    name: str, organization: str, known: dict[str, str], used: list[tuple[str, ...]]
) -> dict[str, Any]:
    """The techniques that the findings refer to; those we know carry their names."""
    ids = dict.fromkeys(one for group in used for one in group)
    return {
        "name": name,
        "organization": organization,
        "shortDescription": {"text": f"Techniques of {name}"},
        "taxa": [{"id": one, "name": known[one]} if one in known else {"id": one} for one in ids],
    }
