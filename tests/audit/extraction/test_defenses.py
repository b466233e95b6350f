"""Defenses as rows: planted ones whose worth is known, and names that never meet."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsec.audit import expand, parse_plan, run_audit
from recsec.audit.extraction.evidence.defenses import defense_findings
from recsec.audit.extraction.evidence.pooling import lift_taken
from recsec.errors import ConfigError, RunError
from recsec.reports import SCHEMA_VERSION, Defense, Metric, Report, Row
from recsec.rng import Streams

THIEF: dict[str, Any] = {
    "policies": "mixed",
    "calls": 600,
    "seeds": 0,
    "length": 16,
    "sessions": 50,
    "surrogate_settings": {
        "embedding_dim": 16,
        "blocks": 1,
        "max_length": 16,
        "epochs": 8,
        "batch_size": 4,
        "lr": 0.02,
        "dropout": 0.0,
    },
}
PLAN: dict[str, Any] = {
    "target": {"train": "markov", "data": "synthetic:users=120,items=60,length=12", "twins": 0},
    "defense": [
        {"name": "same", "guards": "truncate:length=1000"},
        {"name": "deaf", "guards": ["quantize:lists=1,depth=60,near=0.01"]},
        {"name": "reverse", "guards": ["reverse"]},
    ],
    "extraction": [
        THIEF,
        {**THIEF, "adaptive": ["set-only"], "defenses": ["undefended", "reverse"]},
    ],
    "evaluation": {"resamples": 200},
    "engine": {"workers": 1, "device": "cpu"},
}


def audit(values: dict[str, Any], out: str = "run") -> Report:
    return run_audit(parse_plan(values), out, command="recsec audit plan.toml --out run")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A finished audit of the plan."""
    folder = tmp_path_factory.mktemp("defenses")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return audit(PLAN)


def row_of(report: Report, defense: str, policy: str = "mixed") -> Row:
    return next(r for r in report.extraction.rows if (r.defense, r.policy) == (defense, policy))


def of(report: Report, name: str) -> Defense:
    return next(one for one in report.extraction.defenses if one.name == name)


def test_the_identity_costs_nothing_and_takes_nothing(report: Report) -> None:
    bare, same = row_of(report, "undefended"), row_of(report, "same")
    assert {name: same.metrics[name] for name in bare.metrics} == bare.metrics
    assert same.metrics["served_agr@10"] == bare.metrics["agr@10"]
    taken = same.metrics["lift_taken"]
    assert (taken.value, taken.low, taken.high) == (0, 0, 0)
    assert of(report, "same").quality == of(report, "undefended").quality
    for name in ("utility", "overlap@10"):
        metric = of(report, "same").quality[name]
        assert (metric.value, metric.low, metric.high, metric.n) == (1, 1, 1, 120)


def test_one_list_for_everybody_teaches_no_more_than_the_list(report: Report) -> None:
    deaf = row_of(report, "deaf").metrics
    assert deaf["served_agr@10"].low > 0.7
    floor = report.extraction.floor.metrics["agr@10"].value
    of_the_list = (of(report, "deaf").quality["overlap@10"].value - floor) / (1 - floor)
    assert deaf["lift"].value <= of_the_list + 0.02
    assert deaf["lift_taken"].value > 0.75
    assert row_of(report, "undefended").metrics["lift"].low > 0.2
    assert of(report, "deaf").quality["utility"].value < 0.9


def test_order_is_all_that_reverse_takes_and_a_thief_who_ignores_order_keeps_it(
    report: Report,
) -> None:
    reverse, bare = of(report, "reverse"), of(report, "undefended")
    for name in ("hr@10", "utility", "overlap@10"):
        assert reverse.quality[name] == bare.quality[name]
    assert reverse.quality["ndcg@10"].value < bare.quality["ndcg@10"].value - 0.05
    plain = row_of(report, "reverse").metrics
    adapted = row_of(report, "reverse", "mixed +set-only").metrics
    assert plain["lift_taken"].low > 0
    ignoring = row_of(report, "undefended", "mixed +set-only").metrics
    assert adapted["lift"].value == pytest.approx(ignoring["lift"].value, abs=0.05)
    rows = report.extraction.rows
    assert rows[reverse.best].adaptive == ("set-only",)
    assert rows[reverse.plain].adaptive == ()


def test_the_bare_target_comes_first_and_the_verdict_is_about_it(report: Report) -> None:
    found = report.extraction
    assert [one.name for one in found.defenses] == ["undefended", "same", "deaf", "reverse"]
    assert found.rows[found.verdict.row].defense == "undefended"
    assert [one.thieves for one in found.defenses] == [2, 1, 1, 2]
    assert "undefended target's lists" in found.protocol.statement
    assert "set-only" in found.threat_model.knowledge
    assert found.defenses[0].fingerprint == found.defenses[1].fingerprint


def test_who_met_fewer_thieves_has_no_place_on_the_frontier(report: Report) -> None:
    assert {one.name: one.thieves for one in report.extraction.defenses} == {
        "undefended": 2,
        "same": 1,
        "deaf": 1,
        "reverse": 2,
    }
    for name in ("same", "deaf"):
        assert not of(report, name).frontier
    assert of(report, "undefended").frontier or of(report, "reverse").frontier


def test_every_number_of_a_defense_has_its_interval(report: Report) -> None:
    for row in report.extraction.rows[2:]:
        for name in ("agr@10", "served_agr@10", "served_rbo", "lift", "hr_ratio", "lift_taken"):
            assert set(row.metrics[name].model_dump()) == {"value", "low", "high", "n"}


def test_undefended_cells_keep_their_names_and_defended_ones_have_their_own_queries() -> None:
    grid = expand(parse_plan(PLAN))
    without = {key: value for key, value in PLAN.items() if key != "defense"}
    without["extraction"] = [THIEF, {**THIEF, "adaptive": ["set-only"]}]
    bare = expand(parse_plan(without))
    mine = [cell for cell in grid.cells if cell.defense == "undefended"]
    assert mine == list(bare.cells) == list(grid.cells[:2])
    assert [one for one in grid.collections if one.defense == "undefended"] == list(
        bare.collections
    )
    ids = [cell.id for cell in grid.cells]
    assert len(set(ids)) == len(ids) == 6
    assert len({cell.row for cell in grid.cells}) == len({cell.policy for cell in grid.cells}) * 3
    asked = {(cell.defense, cell.collection) for cell in grid.cells}
    assert len(asked) == len(grid.collections) == 4, "set-only learns from the same answers"
    assert {cell.bare for cell in grid.cells} == {cell.id for cell in bare.cells}


def test_a_plan_without_defenses_is_the_plan_that_it_was() -> None:
    values = {**PLAN, "defense": [], "extraction": THIEF}
    del values["defense"]
    evidence = parse_plan(values).evidence()
    assert "defense" not in evidence
    assert all("defenses" not in grid for grid in evidence["extraction"])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("defense.0.guards", ["shufflle"], ["no guards called 'shufflle'", "shuffle"]),
        ("defense.0.guards", ["truncate:k=5"], ["truncate: k:", "the settings there are: length"]),
        ("defense.0.guards", ["truncate:5"], ["guard truncate: '5': expected key=value"]),
        ("defense.0.guards", ["watermark"], ["watermark: key: field required"]),
        ("defense.0.guard", ["shuffle"], ["no key", "name, guards, model"]),
        ("defense.0.name", "undefended", ["'undefended' is the bare target's"]),
        ("defense.0.name", "a/b", ["a/b", "pattern"]),
        ("defense.1.name", "same", ["two defenses are called 'same'"]),
        ("defense.0.model", "callable:a:b", ["no checkpoint folder"]),
        ("target", {"model": "callable:a:b", "data": "synthetic"}, ["needs scores of all items"]),
        ("extraction.1.defenses", ["gro"], ["no defense 'gro'", "undefended, same, deaf"]),
        ("extraction.1.defenses", [], ["at least 1 item"]),
        ("extraction", {**THIEF, "defenses": "same"}, ["no [[extraction]] meets 'undefended'"]),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: Any, words: list[str]) -> None:
    values: Any = deepcopy(PLAN)
    *way, last = path.split(".")
    place = values
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    with pytest.raises(ConfigError) as caught:
        parse_plan(values)
    for word in words:
        assert word in caught.value.message


def test_neither_guards_nor_model_is_no_defense() -> None:
    with pytest.raises(ConfigError, match="neither guards nor a model"):
        parse_plan({**PLAN, "defense": [{"name": "same"}], "extraction": THIEF})


def test_another_key_in_the_same_file_is_another_defense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = deepcopy(PLAN)
    values["defense"] = [{"name": "mark", "guards": ["watermark:key=owner.key"]}]
    values["extraction"] = {**THIEF, "calls": 100}
    with pytest.raises(ConfigError, match=r"cannot read the key owner\.key"):
        audit(values)
    assert not Path("run").exists()
    key = Path("owner.key")
    key.write_text("ab" * 32 + "\n")
    key.chmod(0o600)
    found = audit(values)
    assert 0.5 < of(found, "mark").quality["overlap@10"].value < 1
    assert "ab" * 32 not in "".join(
        path.read_text() for path in Path("run").rglob("*") if path.suffix in (".json", ".jsonl")
    )
    key.write_text("cd" * 32 + "\n")
    with pytest.raises(RunError, match=r"key owner.key of watermark, in the defense mark, changed"):
        audit(values)


def test_a_defense_that_fails_is_no_evidence_of_safety(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_jury.py").write_text("def verdict(account, histories):\n    return 3\n")
    values = deepcopy(PLAN)
    guard = "throttle:verdict=broken_jury:verdict"
    values["defense"] = [{"name": "broken", "guards": [guard]}]
    values["extraction"] = {**THIEF, "calls": 100}
    found = audit(values)
    assert found.verdict.level == "incomplete"
    assert [cell.status for cell in found.extraction.cells] == ["ok", "error"]
    assert "answered 3, no bool" in of(found, "broken").error
    assert of(found, "broken").quality == {}
    assert not (tmp_path / "run" / "transcript" / "broken.mixed-k10-s0").exists()


def test_lift_taken_by_hand() -> None:
    bare, left = np.array([0.6, 0.8, 0.7]), np.array([0.3, 0.5, 0.4])
    floor = np.full(3, 0.1)
    found = lift_taken([left], [bare], floor, streams=Streams(0))
    assert found.value == pytest.approx(1 - (0.4 - 0.1) / (0.7 - 0.1))
    assert found.low < found.value < found.high
    nothing = lift_taken([left], [np.array([0.0, 0.1, 0.2])], floor, streams=Streams(0))
    assert np.isnan(nothing.value)
    assert nothing.low is None


def made_up(name: str, utility: float, taken: float | None, best: int, **more: Any) -> Defense:
    quality = {"utility": Metric(value=utility, low=utility, high=utility, n=9)}
    values = {"thieves": 2, "plain": best, "adaptive": best, "frontier": True, **more}
    return Defense(name=name, quality=quality, best=best, **values)


def made_up_row(lift: float, taken: float | None) -> Row:
    metrics = {"lift": Metric(value=lift, low=lift, high=lift, n=9)}
    if taken is not None:
        metrics["lift_taken"] = Metric(value=taken, low=taken - 0.02, high=taken + 0.02, n=9)
    return Row(
        policy="mixed", k=10, calls=9, surrogate="sasrec", loss="hinge", seeds=(0,), metrics=metrics
    )


def test_the_finding_names_what_takes_most_and_leaves_users_their_lists() -> None:
    takes = (None, 0.4, 0.2, 0.1)
    rows = [made_up_row(0.5, take) for take in takes]
    bare = made_up("undefended", 1.0, None, 0)
    greedy, fair, mild = (
        made_up(name, utility, None, at)
        for name, utility, at in (("greedy", 0.9, 1), ("fair", 0.98, 2), ("mild", 0.99, 3))
    )
    (finding,) = defense_findings([bare, greedy, fair, mild], rows)
    assert finding.about == "fair"
    assert (finding.id, finding.atlas[0], finding.owasp) == (
        "extraction-defense",
        "AML.T0024.002",
        ("ML05:2023",),
    )
    assert "gain taken away 0.200" in finding.evidence
    for change in ({"thieves": 1}, {"frontier": False}):
        (finding,) = defense_findings([bare, greedy, fair.model_copy(update=change), mild], rows)
        assert finding.about == "mild"
    (finding,) = defense_findings([bare, greedy], rows)
    assert finding.title == "No defense was seen to take anything at 97% of the utility"
    (finding,) = defense_findings([bare, fair.model_copy(update={"adaptive": None})], rows)
    assert finding.id == "extraction-defense-untested"
    assert defense_findings([], rows) == ()


def test_the_report_file_names_its_schema(report: Report) -> None:
    document = json.loads(report.model_dump_json())
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["reproduce"]["plan"]["defense"][2]["guards"] == ["reverse"]
