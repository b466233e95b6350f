"""From numbers to a verdict and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsec.audit import exit_code, gate_policy, judge, load_gate
from recsec.audit.plan import gate_class
from recsec.errors import ConfigError
from recsec.reports import Metric, Row


def row(
    low: float | None, *, calls: int = 1000, value: float = 0.5, high: float | None = 0.9
) -> Row:
    lift = Metric(value=value if low is not None else None, low=low, high=high, n=100)
    return Row(
        policy="mixed",
        k=10,
        calls=calls,
        surrogate="sasrec",
        loss="cross-entropy",
        seeds=(0,),
        metrics={"lift": lift, "agr@10": Metric(value=0.5, low=0.4, high=0.6, n=100)},
    )


def policy(**changes: Any) -> Any:
    return gate_policy(gate_class()(**changes))


@pytest.mark.parametrize(
    ("low", "high", "level", "code"),
    [
        (0.3, 0.9, "high", 1),
        (0.2999, 0.9, "weak", 4),
        (0.1, 0.3, "weak", 4),
        (0.1, 0.2999, "moderate", 0),
        (0.0999, 0.2999, "low", 0),
        (0.0999, None, "weak", 4),
    ],
)
def test_the_lower_bound_of_lift_fails_and_the_upper_one_passes(
    low: float, high: float | None, level: str, code: int
) -> None:
    verdict = judge([row(low, high=high), row(-0.1, high=0.0)], policy())
    assert (verdict.level, exit_code(verdict)) == (level, code)
    assert verdict.passed == (code == 0)
    assert verdict.row == 0
    assert "lower bound of the gain" in verdict.rule
    assert "below 0.3 must lie the upper bound" in verdict.rule


def test_every_row_that_counts_must_lie_below() -> None:
    rows = [row(0.2, high=0.25), row(0.1, high=0.4, calls=2000)]
    assert judge(rows, policy()).level == "weak"
    assert judge(rows, policy(max_calls=1000)).level == "moderate"
    assert judge(rows[:1], policy(fail_at="moderate")).level == "moderate"
    assert judge([row(0.05, high=0.15)], policy(fail_at="moderate")).level == "weak"
    assert judge([row(0.05, high=0.09)], policy(fail_at="moderate")).level == "low"


def test_an_interval_across_a_threshold_says_how_many_users_would_decide() -> None:
    """Half of the way from 0.4 to 0.2 is left above 0.3: four times the users."""
    said = judge([row(0.2, value=0.4)], policy()).statement
    assert "100 users do not show that the gain in Agr@10 over the floor is below 0.3" in said
    assert "about 400 would decide" in said
    assert "hardly any number would" in judge([row(0.2, value=0.3)], policy()).statement
    assert "decide" not in judge([row(0.31, value=0.4)], policy()).statement
    said = judge([row(0.05, value=0.15, high=0.2)], policy()).statement
    assert "100 users do not decide whether it is above 0.1" in said


def test_without_a_gate_an_interval_across_a_threshold_is_told_only() -> None:
    verdict = judge([row(0.2, value=0.4)], policy(fail_at="never"))
    assert (verdict.level, verdict.passed) == ("moderate", True)
    assert "do not decide whether it is above 0.3" in verdict.statement
    assert "upper bound" not in verdict.rule


def test_thresholds_are_the_owners() -> None:
    assert exit_code(judge([row(0.2)], policy(fail_at="moderate"))) == 1
    assert exit_code(judge([row(0.9)], policy(fail_at="never"))) == 0
    assert judge([row(0.9, value=0.95)], policy(statistic="value", high=0.96)).level == "moderate"
    assert judge([row(0.2)], policy(metric="agr@10", high=0.4)).level == "high"


def test_rows_beyond_the_budget_do_not_count() -> None:
    rows = [row(0.9, calls=9000), row(0.2, calls=1000, high=0.29)]
    verdict = judge(rows, policy(max_calls=5000))
    assert (verdict.level, verdict.row) == ("moderate", 1)
    assert "at most 5,000 calls" in verdict.rule


def test_of_equal_rows_the_cheaper_decides() -> None:
    assert judge([row(0.5, calls=9000), row(0.5, calls=100)], policy()).row == 1


def test_missing_cells_are_no_verdict_whatever_the_others_say() -> None:
    for low in (0.0, 0.9):
        verdict = judge([row(low)], policy(fail_at="never"), missing=1)
        assert (verdict.level, verdict.passed, exit_code(verdict)) == ("incomplete", False, 4)
    assert exit_code(judge([], policy(), missing=3)) == 4
    assert exit_code(judge([row(None)], policy())) == 4


def test_a_target_that_is_popularity_has_nothing_to_steal() -> None:
    floor = Metric(value=1.0, low=1.0, high=1.0, n=10)
    verdict = judge([row(None)], policy(), floor=floor)
    assert (verdict.level, exit_code(verdict)) == ("low", 0)
    assert "nothing to steal" in verdict.statement


def test_a_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    path.write_text("[gate]\nhigh = 0.2\n")
    assert (load_gate(path).high, load_gate(path).source) == (0.2, "strict.toml")
    path.write_text("high = 0.25\n")
    assert load_gate(path).high == 0.25
    path.write_text("hihg = 0.25\n")
    with pytest.raises(ConfigError, match="hihg") as caught:
        load_gate(path)
    assert "max_calls" in str(caught.value.hint)
    path.write_text("[gate.evasion]\nepz = 0.1\n")
    with pytest.raises(ConfigError, match=r"evasion\.epz") as caught:
        load_gate(path)
    assert "metric, statistic, eps" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="cannot read the policy"):
        load_gate(tmp_path / "none.toml")
