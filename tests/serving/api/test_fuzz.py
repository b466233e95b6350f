"""Requests made up from the committed OpenAPI file, by schemathesis: short, seeded, bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service_world import Serve

from recsec.serving.photos import Shop

DESCRIBED = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
PATHS = sorted(json.loads(DESCRIBED.read_text(encoding="utf-8"))["paths"])


@pytest.mark.hostile(kind="service", what="requests made up from the OpenAPI file", cases=360)
@pytest.mark.parametrize("path", PATHS)
def test_what_the_file_describes_is_answered_as_it_says(
    serve: Serve, shop: Shop, path: str
) -> None:
    rule = {"name": "haste", "more_than": 10**6, "within": "1h"}
    service = serve({"rules": [rule]}, shop=shop)
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    operations = [one.ok() for one in schema.get_all_operations()]
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    tried = 0
    for operation in operations:
        if operation.path != path:
            continue

        @hypothesis.seed(0)
        @hypothesis.settings(
            max_examples=40,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(case=operation.as_strategy())
        def fuzz(case: Any) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(session=service.client, checks=checks)

        fuzz()
    assert tried
