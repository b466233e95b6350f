"""Rates, worst cases, checks and verdicts from tables that were written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted_pairs import planted

from recsec.audit import exit_code, gate_policy
from recsec.audit.evasion.evidence.checks import sanity_checks
from recsec.audit.evasion.evidence.rows import (
    base_rates,
    best_ranks,
    evasion_row,
    quantiles,
    worst_cases,
)
from recsec.audit.evasion.gate import judge_evasion
from recsec.audit.gate import worse
from recsec.audit.plan import gate_class
from recsec.reports import SanityCheck, Verdict


def policy(**changes: Any) -> Any:
    return gate_policy(gate_class().model_validate({"evasion": changes} if changes else {}))


def checked(*cells: Any) -> dict[str, SanityCheck]:
    return {check.check: check for check in sanity_checks(cells, ["plain"])}


def test_rates_by_hand_and_photos_outside_the_ball_never_succeed() -> None:
    row = evasion_row(planted([1, 3, 4, 11], inside=[True, False, True, True]))
    assert row.success["success@1"].value == 0.25
    assert row.success["success@3"].value == 0.25
    assert row.success["success@10"].value == 0.5
    assert row.success["success@1000"].value == 0.75
    assert (row.outside, row.pairs, row.missing) == (1, 4, 0)
    assert row.effective_eps == 12 / 255
    low, high = row.success["success@10"].low, row.success["success@10"].high
    assert (low, high) == pytest.approx((0.15, 0.85), abs=0.005)


def test_nothing_of_a_thousand_has_an_upper_bound() -> None:
    found = evasion_row(planted([999] * 1000)).success["success@3"]
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.0038, abs=1e-4)


def test_the_worst_case_is_per_pair_and_smaller_budgets_count() -> None:
    cells = [
        planted([1, 50, 50, 50], attack="mi", eps=0.05),
        planted([50, 2, 50, 50], attack="apgd", eps=0.05),
        planted([50, 50, 3, 50], attack="mi", eps=0.03),
        planted([1, 1, 1, 1], attack="noise", eps=0.05),
        planted([50, 50, 50, 1], attack="mi", eps=0.1),
        planted([1, 1, 1, 1], attack="mi", eps=0.05, model="other"),
    ]
    small, large, wide = worst_cases(cells, ["plain"])
    assert (small.eps, small.success["success@3"].value) == (0.03, 0.25)
    assert (large.eps, large.success["success@3"].value) == (0.05, 0.75)
    assert large.attacks == {"mi": 2, "apgd": 2}  # the fourth pair is a tie, the third is smaller's
    assert wide.success["success@3"].value == 1.0
    assert best_ranks(cells, "plain", 0.05, labels=["apgd"]) == {0: 50, 1: 2, 2: 50, 3: 50}


def test_a_pair_counts_at_a_budget_only_if_it_was_attacked_there() -> None:
    cells = [planted([1] * 4, eps=0.03), planted([9, 9], eps=0.05, pairs=[0, 1])]
    assert [row.pairs for row in worst_cases(cells, ["plain"])] == [4, 2]
    assert best_ranks(cells, "plain", 0.05) == {0: 1, 1: 1}


def test_base_rates_come_from_the_noise_cells() -> None:
    noise = planted([2, 400], attack="noise", before=[3, 500])
    clean, noisy = base_rates([noise], ["plain"])
    assert (clean.kind, clean.eps, clean.success["success@3"].value) == ("clean", 0.0, 0.5)
    assert (noisy.kind, noisy.eps, noisy.success["success@3"].value) == ("noise", 0.05, 0.5)


def test_quantiles_take_the_best_image_of_each_pair() -> None:
    cells = [planted([1, 100], attack="mi"), planted([100, 4], attack="apgd")]
    (row,) = quantiles(cells, ["plain"], 0.05)
    assert (row.after[0], row.after[-1]) == (0.5, 1.0)
    assert list(row.before) == sorted(row.before)


@pytest.mark.parametrize(
    ("solved", "level", "code"), [(180, "high", 1), (8, "moderate", 0), (0, "low", 0)]
)
def test_the_lower_bound_at_the_stated_budget_decides(solved: int, level: str, code: int) -> None:
    cells = [
        planted([2] * solved + [99] * (200 - solved), eps=0.05),
        planted([1] * 100, eps=0.3),
        planted([1] * 100, model="other"),
    ]
    worst = worst_cases(cells, ["plain", "other"])
    verdict = judge_evasion(worst, policy(), "plain")
    assert (verdict.level, exit_code(verdict)) == (level, code)
    assert "0.05" in verdict.statement
    assert f"100 photos so plants {solved // 2} of them (" in verdict.statement
    assert worst[verdict.row or 0].eps == 0.05
    assert judge_evasion(worst, policy(eps=0.5), "plain").level == "high"
    assert judge_evasion(worst, policy(), "other").level == "high"


@pytest.mark.parametrize(
    ("solved", "pairs", "gate", "level", "needed"),
    [
        (0, 5, {}, "weak", "about 35 would"),
        (0, 34, {}, "weak", "about 35 would"),
        (0, 35, {}, "low", ""),
        (0, 35, {"fail_at": "moderate"}, "weak", "about 189 would"),
        (0, 5, {"fail_at": "never"}, "weak", "about 35 would"),
        (1, 5, {}, "weak", "about 35 would"),
        (8, 100, {}, "weak", "about 865 would"),
        (5, 50, {"evasion": {"statistic": "value", "high": 0.2}}, "weak", "about 62 would"),
        (6, 60, {"evasion": {"moderate": 0.1, "high": 0.1}}, "weak", "more would"),
        (40, 200, {}, "high", ""),
    ],
)
def test_pairs_that_do_not_show_that_a_rate_is_below_the_gate_are_too_few(
    solved: int, pairs: int, gate: dict[str, Any], level: str, needed: str
) -> None:
    worst = worst_cases([planted([1] * solved + [99] * (pairs - solved))], ["plain"])
    rules = gate_policy(gate_class().model_validate(gate))
    verdict = judge_evasion(worst, rules, "plain")
    assert (verdict.level, exit_code(verdict)) == (level, {"weak": 4, "low": 0, "high": 1}[level])
    assert verdict.passed is (level == "low")
    assert needed in verdict.statement


def test_an_attack_without_gradients_must_be_shown_to_work_somewhere() -> None:
    def black(solved: int, pairs: int = 50, **where: Any) -> Any:
        ranks = [1] * solved + [99] * (pairs - solved)
        return planted(ranks, **{"attack": "square", "access": "ids", **where})

    def found(*cells: Any) -> tuple[str, str, str]:
        checks = sanity_checks(cells, ["plain"], eps=0.05)
        worst = worst_cases(cells, ["plain"])
        verdict = judge_evasion(worst, policy(), "plain", checks=checks)
        return checks[-1].status, verdict.level, verdict.statement

    status, level, said = found(black(0))
    assert (status, level) == ("failed", "weak")
    assert "square on plain at eps 0.05: 0.0 % of 50, noise 0.0 % of 50" in said
    assert found(black(0, 5))[1] == "weak"
    assert found(black(0), black(5, 10, eps=0.2))[:2] == ("passed", "low")
    assert found(black(0), black(5, 10, model="other"))[:2] == ("passed", "low")
    assert found(black(0), black(4, 10, eps=0.2))[:2] == ("failed", "weak")
    loud = planted([1] * 10, attack="noise", eps=0.2)
    assert found(black(0), black(10, 10, eps=0.2), loud)[:2] == ("failed", "weak")
    assert found(black(0), black(10, 10, eps=0.5))[:2] == ("failed", "weak"), "anything works there"
    assert found(black(0), planted([1] * 9, eps=0.2))[:2] == ("failed", "weak")
    assert found(black(40))[:2] == ("passed", "high")
    assert found(black(0), planted([99] * 50))[:2] == ("not tried", "low"), "gradients were there"


def test_missing_pairs_are_no_verdict() -> None:
    cells = [planted([1, 1], planned=4)]
    assert evasion_row(cells[0]).missing == 2
    verdict = judge_evasion(worst_cases(cells, ["plain"]), policy(), "plain", missing=2)
    assert (verdict.level, exit_code(verdict)) == ("incomplete", 4)
    assert judge_evasion([], policy(), "plain").level == "incomplete"


def control(won: int, tried: int = 20) -> Any:
    """The reference on pairs 180 and above, that no attack reached."""
    found = planted(
        [1] * won + [99] * (tried - won), attack="reference", pairs=range(180, 180 + tried)
    )
    return replace(found, cell=replace(found.cell, control=True))


@pytest.mark.parametrize(
    ("won", "dead", "status", "level", "code"),
    [
        (1, 0, "passed", "low", 0),  # chance
        (18, 0, "failed", "weak", 4),  # a bad schedule
        (0, 9, "passed", "weak", 4),  # masked gradients, which blind the reference as well
    ],
)
def test_a_weak_attack_is_no_strong_encoder(
    won: int, dead: int, status: str, level: str, code: int
) -> None:
    cells = [planted([99] * 200, dead=dead), control(won)]
    checks = sanity_checks(cells, ["plain"])
    assert {check.check: check.status for check in checks}["reference"] == status
    worst = worst_cases(cells, ["plain"])
    assert worst[0].success["success@10"].value == 0, "the control is no part of the worst case"
    verdict = judge_evasion(worst, policy(), "plain", checks=checks)
    assert (verdict.level, exit_code(verdict), verdict.passed) == (level, code, code == 0)
    assert ("weak on this encoder" in verdict.statement) is (level == "weak")


def test_what_is_high_already_stays_high_and_other_models_do_not_matter() -> None:
    cells = [planted([1] * 100 + [99] * 100), control(20)]
    checks = sanity_checks(cells, ["plain"])
    worst = worst_cases(cells, ["plain"])
    assert judge_evasion(worst, policy(), "plain", checks=checks).level == "high"
    quiet = worst_cases([planted([99] * 100, model="other")], ["other"])
    assert judge_evasion(quiet, policy(), "other", checks=checks).level == "low"


def test_the_worse_of_two_threats_counts() -> None:
    def one(level: Any, passed: bool) -> Verdict:
        return Verdict(level=level, passed=passed, rule="r", statement=f"{level}.")

    both = worse([one("low", True), one("high", False)])
    assert (both.level, both.passed, both.statement) == ("high", False, "low. high.")
    assert worse([one("high", False), one("incomplete", False)]).level == "incomplete"
    assert worse([one("moderate", True)]) == one("moderate", True)


def test_success_that_falls_with_more_budget_is_noticed() -> None:
    low, high = [1] * 40 + [99] * 60, [1] * 10 + [99] * 90
    rising = checked(planted(high, eps=0.03), planted(low, eps=0.05))
    assert rising["monotone"].status == "passed"
    falling = checked(planted(low, eps=0.03), planted(high, eps=0.05))
    assert falling["monotone"].status == "failed"
    weak = [planted(low, attack="fgsm", eps=0.03), planted(high, attack="fgsm", eps=0.05)]
    strong = [planted([1] * 100, eps=0.03), planted([1] * 100, eps=0.05)]
    found = checked(*weak, *strong)["monotone"]
    assert found.status == "passed"
    assert "fgsm from eps 0.03 to 0.05: 40.0 %" in found.evidence
    assert checked(planted(low))["monotone"].status == "not tried"


def test_half_of_the_range_breaks_everything_or_something_is_wrong() -> None:
    assert checked(planted([1] * 20, eps=0.5))["whole-range"].status == "passed"
    assert checked(planted([1] * 10 + [99] * 10, eps=0.5))["whole-range"].status == "failed"
    assert checked(planted([1] * 20))["whole-range"].status == "not tried"


def test_an_attacker_who_sees_less_and_does_better_is_noticed() -> None:
    black = planted([1] * 30 + [99] * 70, attack="square", access="scores")
    assert checked(black, planted([99] * 100))["black-box"].status == "failed"
    assert checked(black, planted([1] * 60 + [99] * 40))["black-box"].status == "passed"
    assert checked(planted([1]))["black-box"].status == "not tried"


def test_more_steps_that_still_help_are_noticed() -> None:
    def at(steps: int, solved: int) -> Any:
        ranks = [1] * solved + [99] * (100 - solved)
        return planted(ranks, attack="mi", settings={"steps": steps}, steps=steps)

    assert checked(at(25, 40), at(100, 60), at(400, 61))["plateau"].status == "passed"
    found = checked(at(400, 90), at(25, 40), at(100, 60))["plateau"]
    assert found.status == "failed"
    assert "25 steps 40.0 % of 100, 100 steps 60.0 % of 100, 400 steps" in found.evidence
    assert "together 60.0 % of 100" in found.evidence
    stronger = planted([1] * 90 + [99] * 10, attack="apgd")
    found = checked(at(400, 90), at(25, 40), at(100, 60), stronger)["plateau"]
    assert found.status == "passed", "another attack had found these pairs"
    elsewhere = planted([99] * 10 + [1] * 90, attack="apgd", eps=0.01)
    assert checked(at(400, 90), at(25, 40), at(100, 60), elsewhere)["plateau"].status == "failed"
    assert checked(at(25, 1), at(100, 2))["plateau"].status == "not tried"
    native = at(30, 90)
    native = replace(native, cell=replace(native.cell, size=224))
    found = checked(at(25, 40), at(100, 60), native)["plateau"]
    assert found.status == "not tried", "photos of another size are another attack"


def test_dead_gradients_and_loud_noise_are_noticed() -> None:
    assert checked(planted([9] * 10))["gradients"].status == "passed"
    assert checked(planted([9] * 10, dead=3))["gradients"].status == "failed"
    quiet = planted([500] * 50, attack="noise")
    assert checked(quiet)["noise"].status == "passed"
    assert checked(planted([1] * 50, attack="noise"))["noise"].status == "failed"
