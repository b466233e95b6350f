"""Whole audits of functions whose weakness is known beforehand."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from recsec.audit import exit_code, gate_policy, parse_plan, run_audit
from recsec.audit.plan import gate_class
from recsec.data import load
from recsec.errors import ConfigError, RunError, TargetError, UsageError
from recsec.reports import Report, read_report
from recsec.targets import CallableTarget, Transcript


def audit(values: dict[str, Any], out: str = "run", **more: Any) -> Report:
    return run_audit(parse_plan(values), out, command="recsec audit plan.toml --out run", **more)


def test_a_planted_weakness_is_found_and_everything_is_kept(finished: Path) -> None:
    report = read_report(finished / "run")
    assert report.verdict.level == "high"
    assert exit_code(report.verdict) == 1
    best = report.extraction.rows[1].metrics
    assert best["agr@10"].value is not None
    assert best["agr@10"].value > 0.8
    assert report.extraction.rows[0].metrics["lift"].value < best["lift"].value  # type: ignore[operator]
    assert set(best) >= {"agr@1", "agr@10", "rbo", "tau", "hr@10", "lift", "hr_ratio"}
    assert report.extraction.floor.metrics["agr@10"].value < 0.5  # type: ignore[operator]
    assert report.extraction.twin.metrics is None
    assert report.extraction.twin.reason == "none was trained: set twins in [target], or --twins"
    run = finished / "run"
    for name in ("report.html", "junit.xml", "sarif.json", "timings.json"):
        assert (run / name).stat().st_size > 0
    catalog = load("shop.csv").catalog
    assert len(Transcript.open(run / "transcript" / "mixed-k10-s0", catalog)) == 1000
    kept = pl.read_parquet(run / "answers" / "mixed-k10-c1000-s0.parquet")
    assert kept.columns == ["user", "rank", "list"]
    assert len(kept) == report.extraction.protocol.users == 80


def test_examples_count_what_both_lists_share(finished: Path) -> None:
    report = read_report(finished / "run")
    assert len(report.extraction.examples) == 3
    for example in report.extraction.examples:
        both = {item.id for item in example.target} & {item.id for item in example.surrogate}
        assert example.shared == len(both)
        assert len(example.target) == 10
        assert not both & {item.id for item in example.history}


def test_what_will_happen_is_told_first(shop: Path, values: dict[str, Any]) -> None:
    said: list[Any] = []

    def stop(scopes: Any) -> None:
        said.extend(scopes.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(values, announce=stop)
    assert (said[0].cells, said[0].calls, said[0].local) == (2, 1000, False)
    assert {path.name for path in (shop / "run").iterdir()} <= {
        ".attempt",
        ".lock",
        "cells",
        "events.jsonl",
        "run.json",
    }


def test_a_target_of_pure_noise_cannot_be_copied(shop: Path, values: dict[str, Any]) -> None:
    values["target"]["model"] = "callable:planted_shop:noise"
    report = audit(values)
    lift = report.extraction.rows[1].metrics["lift"]
    assert lift.value is not None
    assert abs(lift.value) < 0.08
    assert report.verdict.level == "low"
    assert exit_code(report.verdict) == 0


def test_a_target_that_fails_in_the_middle_is_no_evidence_of_safety(
    shop: Path, values: dict[str, Any]
) -> None:
    values["target"]["model"] = "callable:planted_shop:dying"
    values["evaluation"]["users"] = 20
    report = audit(values)
    assert [cell.status for cell in report.extraction.cells] == ["error", "error"]
    assert "the shop is closed" in str(report.extraction.cells[0].error)
    assert (report.verdict.level, report.verdict.passed) == ("incomplete", False)
    assert exit_code(report.verdict) == 4
    assert [row.missing for row in report.extraction.rows] == [1, 1]
    (shop / "planted_shop.py").write_text(
        (shop / "planted_shop.py").read_text().replace("== 15", "== 999")
    )
    with pytest.raises(RunError, match=r"planted_shop.py changed since") as caught:
        audit(values)
    assert "--same-answers" in str(caught.value.hint)
    again = audit(values, same_answers=True)
    assert again.verdict.level != "incomplete"


def test_thresholds_may_change_without_a_new_query(
    finished: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_report(finished / "run")
    monkeypatch.setattr(CallableTarget, "query", None)  # whoever asks now fails
    values["gate"] = {"high": 0.999}
    values["evaluation"]["recheck"] = False
    second = audit(values)
    assert (first.verdict.level, second.verdict.level) == ("high", "moderate")
    strict = gate_policy(gate_class()(high=0.2), source="strict.toml")
    assert audit(values, policy=strict).policy.source == "strict.toml"
    assert first.extraction.rows == second.extraction.rows
    values["extraction"]["calls"] = [300]
    with pytest.raises(RunError, match=r"differ in extraction"):
        audit(values)


def test_a_lazy_thief_buys_no_verdict(shop: Path, values: dict[str, Any]) -> None:
    values["extraction"] |= {"calls": 1000, "surrogate_settings": {"embedding_dim": 4, "epochs": 1}}
    report = audit(values)
    assert (report.verdict.level, report.verdict.passed) == ("weak", False)
    assert exit_code(report.verdict) == 4
    assert "the thief learned less than he could" in report.verdict.statement
    status = {check.check: check.status for check in report.extraction.checks}
    assert (status["training"], status["reproduces"]) == ("failed", "failed")
    values["extraction"]["surrogate_settings"] = {}
    diligent = audit(values, "diligent")
    assert diligent.verdict.level == "high"
    status = {check.check: check.status for check in diligent.extraction.checks}
    assert status["reproduces"] == "passed"
    assert status["training"] == "not tried"
    assert not (shop / "diligent" / "answers" / "again-mixed-k10-c1000-s0.parquet").exists()


def test_an_interval_across_a_threshold_is_no_verdict(
    finished: Path, values: dict[str, Any]
) -> None:
    lift = read_report(finished / "run").extraction.rows[1].metrics["lift"]
    assert lift.low is not None
    assert lift.value is not None
    values["gate"] = {"high": (lift.low + lift.value) / 2}
    values["evaluation"]["recheck"] = False
    report = audit(values)
    assert (report.verdict.level, exit_code(report.verdict)) == ("weak", 4)
    assert "users do not show" in report.verdict.statement
    assert "extraction-weak" in {finding.id for finding in report.findings}


def test_two_workers_report_what_one_reports(shop: Path, values: dict[str, Any]) -> None:
    values["target"] = {
        "train": "markov",
        "data": "synthetic:users=60,items=40,length=8,seed=2",
        "twins": 1,
    }
    values["extraction"]["seeds"] = [0, 1]
    values["extraction"]["calls"] = 100
    one = audit(values, "one")
    values["engine"]["workers"] = 2
    two = audit(values, "two")
    assert one == two
    assert (shop / "one" / "report.json").read_bytes() == (
        shop / "two" / "report.json"
    ).read_bytes()
    assert one.synthetic
    assert one.extraction.twin.metrics is None, "a Markov chain has no randomness: no scale"
    assert "the target itself" in one.extraction.twin.reason
    assert one.extraction.target.fingerprint is not None


class Api(BaseHTTPRequestHandler):
    """The weak shop behind HTTP."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(body.decode())
        wish = json.loads(body)
        ring = [(wish["history"][-1] + step) % 60 + 1 for step in range(60)]
        best = [item for item in ring if item not in wish["history"]][: wish["k"]]
        answer = json.dumps({"items": best}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_an_api_over_http(shop: Path, values: dict[str, Any]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        values["target"]["model"] = f"http://127.0.0.1:{server.server_port}/recommend?key=s3cret"
        values["extraction"]["calls"] = 120
        values["evaluation"]["users"] = 10
        values["engine"]["workers"] = 2
        try:
            command = f"recsec audit --model '{values['target']['model']}'"
            report = run_audit(parse_plan(values), "run", command=command)
        finally:
            server.shutdown()
            thread.join()
    check, owner, budget = 30, 10, 120
    assert len(Api.asked) == check + owner + budget
    assert [cell.status for cell in report.extraction.cells] == ["ok"]
    assert report.extraction.target.description.startswith("An HTTP API")
    assert report.extraction.target.fingerprint is None
    assert report.extraction.protocol.users == 10
    assert report.reproduce.command.endswith("/recommend'")
    texts = [path for path in (shop / "run").rglob("*") if path.suffix in (".json", ".jsonl")]
    for path in [*texts, shop / "run" / "report.html"]:
        assert "s3cret" not in path.read_text()


def test_words_and_targets_that_do_not_exist(shop: Path, values: dict[str, Any]) -> None:
    values["target"]["model"] = "callable:planted_shop:nothing"
    with pytest.raises(TargetError, match="nothing"):
        audit(values)
    values["target"]["model"] = "http://shop.example/api"
    with pytest.raises(UsageError, match="not on this machine"):
        audit(values)
    values["target"]["model"] = "callable:planted_shop:weak"
    values["extraction"]["surrogate_settings"] = {"epoch": 3}
    with pytest.raises(ConfigError, match="epoch"):
        audit(values)
    values["extraction"]["surrogate"] = "popularity"
    with pytest.raises(ConfigError, match="surrogate"):
        audit(values)
    assert not (shop / "run").exists()


def test_a_target_that_breaks_its_contract_is_refused_before_the_attack(
    shop: Path, values: dict[str, Any]
) -> None:
    (shop / "fickle_shop.py").write_text(
        "import random\n\n"
        "def recommend(histories, k):\n"
        "    return [random.sample(range(1, 61), k) for _ in histories]\n"
    )
    values["target"]["model"] = "callable:fickle_shop:recommend"
    with pytest.raises(TargetError, match="does not repeat itself"):
        audit(values)
    assert not (shop / "run" / "transcript").exists()


def test_data_that_changed_since_is_refused(finished: Path, values: dict[str, Any]) -> None:
    table = (finished / "shop.csv").read_text().splitlines()
    (finished / "shop.csv").write_text("\n".join(table[:-9]) + "\n")
    with pytest.raises(RunError, match=r"the data shop.csv changed .* was \w{12}, now it is"):
        audit(values)


def test_a_second_run_has_the_same_bytes(finished: Path, values: dict[str, Any]) -> None:
    audit(values, "again")
    first, second = ((finished / name / "report.json").read_bytes() for name in ("run", "again"))
    assert first == second
    timings = json.loads((finished / "run" / "timings.json").read_text())
    assert timings["seconds"]["ask-mixed-k10-s0"] > 0
    assert timings["host"] not in ("", None)
    for word in ("timings", str(finished), timings["updated"]):
        assert word not in first.decode()
