"""SARIF 2.1.0: valid where the standard asks for it, and every finding has its techniques."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from report_example import HOSTILE, example_report

from recsec.reports.formats.sarif import sarif

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


def log(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sarif(example_report(**changes)))
    jsonschema.validate(found, RULES)
    return found


def test_every_finding_is_a_result_of_its_rule() -> None:
    report = example_report()
    run = log()["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in run["results"]] == [f.id for f in report.findings]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["error", "note"]


def test_techniques_are_defined_once_and_referred_to() -> None:
    run = log()["runs"][0]
    defined = {(t["name"], taxon["id"]) for t in run["taxonomies"] for taxon in t["taxa"]}
    used = {(t["toolComponent"]["name"], t["id"]) for r in run["results"] for t in r["taxa"]}
    assert used == defined
    assert ("MITRE ATLAS", "AML.T0024.002") in defined
    assert ("OWASP ML Top Ten", "ML05:2023") in defined


def test_findings_that_share_an_id_share_a_rule() -> None:
    finding = example_report().findings[0]
    run = log(findings=(finding, finding))["runs"][0]
    assert len(run["tool"]["driver"]["rules"]) == 1
    prints = [result["partialFingerprints"]["recsecFinding/v1"] for result in run["results"]]
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
