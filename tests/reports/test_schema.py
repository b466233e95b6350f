"""``report.json``: closed, frozen, without NaN, and published as it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError
from report_example import example_report

import recsec.reports
from recsec.reports import Metric, json_schema, report_class
from recsec.stats import Estimate

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "report-schema.json"


def test_public_names_exist() -> None:
    names = recsec.reports.__all__
    assert len(names) == len(set(names))
    assert all(hasattr(recsec.reports, name) for name in names)


def test_a_report_survives_the_round_trip() -> None:
    report = example_report()
    assert report_class().model_validate_json(report.model_dump_json()) == report


def test_the_published_schema_is_the_models() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema()


def test_the_example_fits_the_published_schema_and_a_misspelled_field_does_not() -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    document = json.loads(example_report().model_dump_json())
    jsonschema.validate(document, schema)
    document["verdikt"] = document.pop("verdict")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_every_field_is_described() -> None:
    schema = json_schema()
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model["properties"].items():
            assert field.get("description"), f"{model['title']}.{name}"


def test_not_a_number_becomes_null_and_is_never_accepted() -> None:
    assert Metric.of(Estimate(math.nan, None, None, 0)).value is None
    assert Metric.of(Estimate(0.25, 0.1, math.nan, 4)) == Metric(
        value=0.25, low=0.1, high=None, n=4
    )
    for bad in (math.nan, math.inf):
        with pytest.raises(ValidationError):
            Metric(value=bad, low=None, high=None, n=1)


def test_a_report_is_frozen() -> None:
    report = example_report()
    with pytest.raises(ValidationError):
        report.title = "another"  # type: ignore[misc]
