"""``sarif.json``: the findings in SARIF 2.1.0, with the techniques they belong to.

Made for alerts that live: what identifies an alert depends on the finding and what it is about, not
on the plan, the run or the order, and the text of a rule never depends on what was found.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 (2020), sections 3.14 to 3.58;
GitHub, "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from recsec import __version__
from recsec.reports.formats.sarif_rules import RULES, Rule
from recsec.reports.formats.where import PlanFile
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.taxonomies import ATLAS, MITIGATIONS, OWASP, TAXONOMIES
from recsec.reports.threat import parts_of

__all__ = ["sarif"]

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
HOME: Final = "https://pypi.org/project/recsec/"
LEVELS: Final = {"high": "error", "moderate": "warning"}
"""Of a finding that fails; what passed or only informs has the level none."""
SCORES: Final = {"high": "8.0", "moderate": "5.0"}
"""``security-severity`` as GitHub reads it: 7.0 to 8.9 is high, 4.0 to 6.9 medium."""


def sarif(report: Report, plan: PlanFile | None = None) -> str:
    """The findings as SARIF.

    Cells that could not be measured are notifications of the invocation, and make it unsuccessful.

    Args:
        report: the audit.
        plan: the file of its plan, where findings are placed; without it they stand in
            ``report.json``.
    """
    ids = list(dict.fromkeys(finding.id for finding in report.findings))
    place = plan or PlanFile("report.json", "")
    run = {
        "tool": {
            "driver": {
                "name": "recsec",
                "version": __version__,
                "semanticVersion": __version__,
                "informationUri": HOME,
                "rules": [_rule(one, report) for one in ids],
                "supportedTaxonomies": [
                    {"name": name, "index": index} for index, name in enumerate(TAXONOMIES)
                ],
            }
        },
        "automationDetails": {"id": f"recsec/{_slug(report)}/"},
        "taxonomies": [_taxonomy(name, report) for name in TAXONOMIES],
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
        "artifacts": [{"location": {"uri": place.uri}}],
        "results": _results(report, place, ids),
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


def _slug(report: Report) -> str:
    """What an audit is of, in plain letters: two audits of one repository stay apart."""
    return re.sub(r"[^a-z0-9]+", "-", report.title.lower()).strip("-") or "audit"


def _subject(report: Report, finding: Finding) -> tuple[str, str]:
    """Name and whereabouts of what a finding is about; one without an owner is the first's."""
    parts = parts_of(report)
    owners = [(threat, part) for threat, part in parts if threat.owns(finding)]
    threat, part = (owners or parts)[0]
    return threat.subject(part, finding)


def _threat(report: Report, finding: Finding) -> str:
    return next((one.name for one, _ in parts_of(report) if one.owns(finding)), "")


def _techniques(finding: Finding) -> list[tuple[str, str]]:
    """Taxonomy and id of every technique and mitigation of a finding, each once."""
    names = [("MITRE ATLAS", name) for name in (*finding.atlas, *finding.mitigations)]
    names += [("OWASP ML Top Ten", name) for name in finding.owasp]
    return list(dict.fromkeys(names))


def _reference(taxonomy: str, name: str) -> dict[str, Any]:
    index = list(TAXONOMIES).index(taxonomy)
    return {"id": name, "toolComponent": {"name": taxonomy, "index": index}}


def _rule(name: str, report: Report) -> dict[str, Any]:
    """A kind of finding. Its texts are the same whatever was found."""
    found = [finding for finding in report.findings if finding.id == name]
    rule = RULES.get(name) or _plain_rule(name)
    techniques = dict.fromkeys(pair for finding in found for pair in _techniques(finding))
    return {
        "id": name,
        "name": "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", name)),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.text},
        "help": {"text": rule.help, "markdown": rule.help},
        "helpUri": HOME,
        "defaultConfiguration": {"level": LEVELS.get(rule.severity, "note")},
        "properties": {
            "tags": ["security", *dict.fromkeys(one for _, one in techniques)],
            "precision": "high",
            "security-severity": SCORES.get(rule.severity, "2.0"),
        },
        "relationships": [
            {"target": _reference(taxonomy, one), "kinds": ["relevant"]}
            for taxonomy, one in techniques
        ],
    }


def _plain_rule(name: str) -> Rule:
    """Of a finding whose threat a plugin brings, or of one of a family: ``evasion-check-...``."""
    words = name.replace("-", " ")
    family = next((RULES[one] for one in RULES if name.startswith(f"{one}-")), None)
    if family is not None:
        return family
    return Rule(words.capitalize(), f"A finding of recsec: {words}.", "See the report.", "moderate")


def _results(report: Report, place: PlanFile, ids: list[str]) -> list[dict[str, Any]]:
    seen: dict[str, int] = {}
    results = []
    for finding in report.findings:
        name, _ = _subject(report, finding)
        identity = "|".join((finding.id, finding.about or "", name))
        seen[identity] = seen.get(identity, -1) + 1
        if seen[identity]:
            identity += f"|{seen[identity]}"
        results.append(_result(report, finding, place, ids.index(finding.id), identity))
    return results


def _result(
    report: Report, finding: Finding, place: PlanFile, rule: int, identity: str
) -> dict[str, Any]:
    """One finding about the target, placed in the plan where its threat is asked for."""
    note = " (synthetic data)" if report.synthetic else ""
    name, spec = _subject(report, finding)
    kind = {"low": "pass", "info": "informational"}.get(finding.severity, "fail")
    mark = hashlib.sha256(identity.encode()).hexdigest()
    return {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "kind": kind,
        "level": LEVELS.get(finding.severity, "none"),
        "message": {"text": f"{finding.title}{note}. {finding.evidence}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": place.uri, "index": 0},
                    "region": {"startLine": place.line_of(_threat(report, finding))},
                },
                "logicalLocations": [{"name": name, "fullyQualifiedName": spec}],
            }
        ],
        "partialFingerprints": {
            "primaryLocationLineHash": mark[:16] + ":1",
            "recsecFinding/v2": mark,
        },
        "taxa": [_reference(taxonomy, one) for taxonomy, one in _techniques(finding)],
    }


def _taxonomy(name: str, report: Report) -> dict[str, Any]:
    """The techniques that the findings refer to; those we know carry their names."""
    known = {**ATLAS, **MITIGATIONS, **OWASP}
    facts = TAXONOMIES[name]
    ids = dict.fromkeys(
        one
        for finding in report.findings
        for taxonomy, one in _techniques(finding)
        if taxonomy == name
    )
    return {
        "name": name,
        "version": facts.version,
        "organization": facts.organization,
        "informationUri": facts.uri,
        "isComprehensive": False,
        "shortDescription": {"text": f"Techniques of {name}"},
        "taxa": [
            {
                "id": one,
                "name": known.get(one, one),
                "shortDescription": {"text": known.get(one, one)},
            }
            for one in ids
        ],
    }
