"""A plan says what it means or is refused with the key and the words that are allowed."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from recsec.attacks.extraction import Adaptive
from recsec.audit import expand, load_plan, parse_plan
from recsec.audit.extraction.defense_plan import DefensePlan
from recsec.audit.template import template
from recsec.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL: dict[str, Any] = {
    "target": {"train": "sasrec", "data": "synthetic"},
    "extraction": {"calls": 9},
}


def test_every_defense_meets_a_thief_who_knows_it_unless_the_plan_says_who_comes():
    values = {
        "target": {"train": "sasrec", "data": "synthetic:users=50,items=20"},
        "defense": [{"name": "short", "guards": "truncate:length=5"}],
        "extraction": [{"calls": 100}, {"calls": 100, "policies": "mixed"}],
    }
    default, named = parse_plan(values).extraction
    assert default.policies == ("random", "autoregressive", "mixed", "rank-law")
    assert named.policies == ("mixed",)
    bare, _ = parse_plan({key: values[key] for key in ("target", "extraction")}).extraction
    assert "rank-law" not in bare.policies


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(SMALL)
    *tables, last = path.split(".")
    place = values
    for table in tables:
        place = place.setdefault(table, {})
    place[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("extraction.call", 3, ["no key 'extraction.call'", "surrogate_settings"]),
        ("extraction.loss", "mse", ["extraction.loss = 'mse'", "'listmle' or 'hinge'"]),
        ("extraction.calls", 0, ["extraction.calls", "greater than or equal to 1"]),
        ("extraction.calls", [], ["extraction.calls", "at least 1 item"]),
        ("extraction.policies", ["mixd"], ["no policy 'mixd'", "mixed, proxy, random"]),
        ("target.model", "runs/x", ["either model", "or train"]),
        ("target.access", "scores", ["target.access = 'scores'", "'ids'"]),
        ("target.twins", -1, ["target.twins", "greater than or equal to 0"]),
        ("target.twins.kind", "sasrec", ["target.twins.kind", "count, model, settings"]),
        ("gate.moderate", 0.5, ["moderate = 0.5 is above high = 0.3"]),
        ("gate.fail_at", "low", ["gate.fail_at = 'low'", "'moderate', 'high' or 'never'"]),
        ("engin.workers", 2, ["no key 'engin'", "engine"]),
        ("evaluation.depth", 5, ["evaluation.depth = 5"]),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_plan(changed(path, value))
    for word in words:
        assert word in caught.value.message


def test_what_is_missing_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"nothing to attack: give at least one of \[target\], \[visual\]"
    ):
        parse_plan({})


def test_a_file_that_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the plan"):
        load_plan(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[target\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_plan(tmp_path / "broken.toml")


def test_one_value_stands_for_a_list_of_one() -> None:
    plan = parse_plan(SMALL)
    assert plan.extraction[0].calls == (9,)
    assert plan.target.twins.count == 1


def test_thresholds_prices_and_workers_do_not_belong_to_the_evidence() -> None:
    first = parse_plan(SMALL)
    for path, value in [
        ("gate.high", 0.9),
        ("cost.calls_per_second", 1.0),
        ("engine.workers", 7),
        ("title", "T"),
    ]:
        assert parse_plan(changed(path, value)).evidence() == first.evidence()
    for path, value in [("engine.threads", 2), ("evaluation.users", 9), ("extraction.k", 20)]:
        assert parse_plan(changed(path, value)).evidence() != first.evidence()


def test_the_written_plan_is_the_example_and_holds_every_key() -> None:
    assert (EXAMPLES / "both-synthetic.toml").read_text() == template()
    plan = parse_plan(tomllib.loads(template()))
    text = template()
    sections = (plan.target, plan.extraction[0], plan.evaluation, plan.gate, plan.engine)
    photos = (plan.visual, *plan.visual.models[:1], plan.evasion[0], plan.gate.evasion)
    for section in (*sections, *photos):
        for key in type(section).model_fields:
            assert key in text
    commented = text[text.index("# [[defense]]") : text.index("# One cell for")]
    assert all(f"# {key} = " in commented for key in DefensePlan.model_fields)
    shown = tomllib.loads("\n".join(line.removeprefix("# ") for line in commented.splitlines()))
    parse_plan({**SMALL, **shown})
    assert len(expand(plan).cells) == 12


def test_the_frontier_puts_every_defense_before_every_thief() -> None:
    plan = load_plan(EXAMPLES / "defense-frontier.toml")
    grid = expand(plan)
    assert plan.rows == (
        "undefended",
        "truncate",
        "quantize",
        "shuffle",
        "reverse",
        "gro",
        "honeypot",
        "watermark",
        "misinform",
        "best",
    )
    met = {(cell.defense, cell.policy) for cell in grid.cells}
    assert len(met) == len(plan.rows) * len({policy for _, policy in met})
    switches = {
        word.partition("=")[0] for cell in grid.cells for word in cell.config.adaptive.words()
    }
    every = {name.replace("_", "-") for name in Adaptive.model_fields}
    assert switches == every - {"bias"}  # which goes with human-like
    hour = expand(load_plan(EXAMPLES / "defense-frontier-hour.toml"))
    assert {(cell.defense, cell.policy) for cell in hour.cells} < met
    assert {cell.defense for cell in hour.cells} == {*plan.rows}
    fresh = expand(load_plan(EXAMPLES / "defense-frontier-fresh.toml"))
    assert not {cell.seed for cell in fresh.cells} & {cell.seed for cell in grid.cells}
    assert {cell.defense for cell in fresh.cells} == {"undefended", "misinform"}
    assert {(cell.defense, cell.policy) for cell in fresh.cells} < met


def test_the_example_on_real_data_asks_what_the_issue_asks() -> None:
    grid = expand(load_plan(EXAMPLES / "extract-ml1m.toml"))
    budgets = {(cell.policy, cell.k, cell.calls, cell.seed) for cell in grid.cells}
    for policy in ("random", "autoregressive", "mixed"):
        for k in (10, 100):
            for calls in (10_000, 50_000, 200_000):
                assert {(policy, k, calls, seed) for seed in range(3)} <= budgets
            assert (policy, k, 1_000_000, 0) in budgets
