"""Files of ``deploy``: they parse, fit together, and name what the code has."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from recsec.cli.main import app
from recsec.serving.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
SUFFIXES = r"(_bucket|_sum|_count|_total)?"


def known(text: str) -> set[str]:
    """Names of our metrics in a text that the code does not have."""
    there = set()
    for family in Metrics().registry.collect():
        there |= {sample.name for sample in family.samples}
        kinds = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        there |= {family.name + end for end in kinds.get(family.type, ("",))}
    return set(re.findall(r"\brecsec_[a-z_]+\b", text)) - there


def test_rules_and_dashboard_name_metrics_that_there_are() -> None:
    rules = (DEPLOY / "rules.yml").read_text()
    board = (DEPLOY / "grafana" / "dashboards" / "recsec.json").read_text()
    assert known(rules) == set()
    assert known(board) == set()
    assert known("recsec_requests_totals") == {"recsec_requests_totals"}
    panels = json.loads(board)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.program("promtool")
@pytest.mark.parametrize("words", [("rules", "rules.yml"), ("config", "prometheus.yml")])
def test_prometheus_takes_its_files(words: tuple[str, str]) -> None:
    command = ["promtool", "check", words[0], str(DEPLOY / words[1])]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_compose_has_all_five_and_mounts_what_is_there() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services: dict[str, Any] = compose["services"]
    assert set(services) == {"serve", "redis", "postgres", "prometheus", "grafana"}
    of_the_user = {"./model", "./policy"}
    for service in services.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("./") and source not in of_the_user:
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("."):
                assert source in compose["volumes"]
    told = services["serve"]["environment"]
    for variable, service in (("RECSEC_STATE", "postgres"), ("RECSEC_LIVE", "redis")):
        assert urlsplit(told[variable]).hostname == service in services["serve"]["depends_on"]
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert scraped["scrape_configs"][0]["static_configs"][0]["targets"] == ["serve:8000"]


def test_kubernetes_probes_what_the_service_answers() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    assert {one["kind"] for one in documents} >= {"Deployment", "Service", "PersistentVolumeClaim"}
    pod = next(one for one in documents if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod["volumes"]
    }
    check_options(container["args"])


def test_the_image_runs_a_command_that_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    entry, words = (
        json.loads(re.findall(rf"^{part} (\[.*\])$", text, re.M)[0])
        for part in ("ENTRYPOINT", "CMD")
    )
    assert entry[:2] == ["recsec", "serve"]
    check_options([*entry[2:], *words])
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for name in shlex.split(line):
            assert (DEPLOY.parent / name).exists(), name


def check_options(words: list[str]) -> None:
    """Every option of ``recsec serve`` in a command is one that it has."""
    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "300"}).output
    for word in words:
        if word.startswith("--"):
            assert word in told
