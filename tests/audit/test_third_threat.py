"""A threat that is one folder and one entry point, installed beside ours and known to nobody."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from recsec.audit.plan import gate_class, plan_class
from recsec.audit.template import template
from recsec.audit.threat import audits
from recsec.cli.main import main
from recsec.reports import policy_class, report_class, threats

TOY = Path(__file__).parents[1] / "support" / "toy_threat"
PLAN = '[counter]\nname = "<b>c</b>"\nsizes = [5, 20]\n'
EXTRACTION = """
[target]
train = "markov"
data = "synthetic:users=60,items=40,length=8"
twins = 0

[[extraction]]
policies = "random"
calls = 50
seeds = 3
length = 5
surrogate = "meanpool"
surrogate_settings = { epochs = 1, embedding_dim = 8 }

[evaluation]
recheck = false
"""


CACHES = (threats, audits, gate_class, plan_class, policy_class, report_class)


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy threat is installed."""
    monkeypatch.syspath_prepend(str(TOY))
    forget()
    yield
    monkeypatch.undo()
    forget()


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def recsec(*words: str) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return Ended(code, out.getvalue(), err.getvalue())


def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture
def run(tmp_path: Path, toy: None) -> Path:
    """Killed in the second flood, and continued by the same command."""
    (tmp_path / "plan.toml").write_text(PLAN)
    words = ("audit", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "run"), "--json")
    path = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")])
    killed = subprocess.run(
        [sys.executable, "-m", "recsec", *words],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path, "TOY_DIES_AT": "20"},
    )
    assert killed.returncode == 9, killed.stderr
    ended = recsec(*words)
    assert ended.code == 1, ended.err
    assert "1 are finished already" in ended.err
    assert json.loads(ended.out)["flood"]["rows"][1]["answered"]["value"] == 0.5
    return tmp_path / "run"


def test_it_is_planned_run_resumed_gated_and_reported(run: Path) -> None:
    asked = (run / "asked.txt").read_text().split()
    assert asked == ["5", "20", "20"]  # the finished one is not asked again
    found = report(run)
    assert found["title"] == "Flood audit of <b>c</b>"
    assert (found["verdict"]["level"], found["verdict"]["passed"]) == ("high", False)
    assert found["policy"]["flood"] == {"moderate": 0.2, "high": 0.5}
    assert found["reproduce"]["plan"]["counter"]["sizes"] == [5, 20]
    assert found["reproduce"]["seeds"] == [7]
    assert found["extraction"] is None
    page = (run / "report.html").read_text()
    assert "Can <bdi" in page
    assert "flood audit" in page
    assert "<b>c</b>" not in page
    names = [case.get("classname") for case in ET.parse(run / "junit.xml").iter("testcase")]
    assert names == ["recsec.flood", "recsec.flood.cells", "recsec.flood.cells"]
    result = json.loads((run / "sarif.json").read_text())["runs"][0]["results"][0]
    assert result["ruleId"] == "flood-tired"
    place = result["locations"][0]["logicalLocations"][0]
    assert place == {"name": "<b>c</b>", "fullyQualifiedName": "counter:<b>c</b>"}
    again = recsec("report", str(run))
    assert again.code == 0, again.err
    assert "flood-20" in again.out


def test_a_policy_file_and_a_closed_counter(toy: None, tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.write_text("[flood]\nhigh = 0.9\n")
    plan, out = tmp_path / "plan.toml", tmp_path / "run"
    plan.write_text(PLAN)
    assert recsec("audit", str(plan), "--out", str(out), "--gate", str(gate)).code == 0
    assert report(out)["policy"]["source"] == "gate.toml"
    closed = tmp_path / "closed.toml"
    closed.write_text(PLAN + "closed = true\n")
    ended = recsec("audit", str(closed), "--out", str(tmp_path / "closed"))
    assert ended.code == 4
    errors = ET.parse(tmp_path / "closed" / "junit.xml").getroot().findall(".//error")
    assert len(errors) == 3  # the gate and both floods


def test_words_that_do_not_fit_are_named(toy: None, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    for text, words in (
        (PLAN + "size = 3\n", "allowed: name, tires_at, sizes, closed"),
        (PLAN + "[gate.flood]\nmoderate = 2\n", "moderate is above high"),
        (PLAN.replace("<b>c</b>", "none"), "there is no such counter"),
        ("title = 'x'\n", "at least one of [target], [visual], [counter]"),
    ):
        plan.write_text(text)
        ended = recsec("audit", str(plan), "--out", str(tmp_path / "run"))
        assert ended.code == 2
        assert words in ended.err.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_it_stands_beside_ours_and_changes_nothing_where_it_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, alone = tmp_path / "both.toml", tmp_path / "alone.toml"
    plan.write_text(PLAN + EXTRACTION)
    alone.write_text(EXTRACTION)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(TOY))
        forget()
        both = recsec("audit", str(plan), "--out", str(tmp_path / "both"))
        recsec("audit", str(alone), "--out", str(tmp_path / "with"))
    forget()
    assert both.code == 1, both.err
    found = report(tmp_path / "both")
    assert found["reproduce"]["seeds"] == [3, 7]
    assert found["extraction"]["verdict"]["level"] != "incomplete"
    without = recsec("report", str(tmp_path / "both"))
    assert without.code == 3
    assert "not installed" in without.err
    recsec("audit", str(alone), "--out", str(tmp_path / "without"))
    texts = [(tmp_path / name / "report.json").read_text() for name in ("with", "without")]
    assert texts[0] == texts[1]
    assert '"flood"' not in texts[0]


def test_it_is_listed_and_stands_in_template_and_schema(toy: None) -> None:
    listed = recsec("list", "threats")
    assert {"evasion", "extraction", "flood"} <= set(listed.out.split())
    assert '"flood"' in recsec("report", "--schema").out
    assert "# [counter]" in template()
