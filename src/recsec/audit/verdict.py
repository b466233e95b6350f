"""What the gates of all threats share: levels, words, and the verdict on one number."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from recsec.reports import Verdict

__all__ = ["ENDS", "LEVELS", "Thresholds", "fails", "no_verdict", "to_pass", "verdict_on"]

ENDS: Final = {
    "low": "lower bound of the",
    "value": "point estimate of the",
    "high": "upper bound of the",
}
LEVELS: Final[tuple[Literal["low", "moderate", "high"], ...]] = ("low", "moderate", "high")


class Thresholds(Protocol):
    """From which number on a level is reached."""

    @property
    def moderate(self) -> float: ...  # noqa: D102

    @property
    def high(self) -> float: ...  # noqa: D102


def fails(fail_at: str) -> str:
    """When the gate fails, in words."""
    if fail_at == "never":
        return "the gate never fails"
    return f"the gate fails at {fail_at} and above"


def to_pass(limits: Thresholds, fail_at: str) -> float:
    """Below what the upper bound must lie: where the gate fails, or else where high begins."""
    return limits.moderate if fail_at == "moderate" else limits.high


def verdict_on(
    value: float, limits: Thresholds, fail_at: str, *, rule: str, statement: str, row: int | None
) -> Verdict:
    """The verdict that follows from the deciding number.

    Args:
        value: the end of the interval that is compared.
        limits: thresholds.
        fail_at: level at which the gate fails; ``never``.
        rule: the rule in words.
        statement: what was found.
        row: the row that decided.
    """
    place = 2 if value >= limits.high else int(value >= limits.moderate)
    limit = len(LEVELS) if fail_at == "never" else [*LEVELS].index(fail_at)  # type: ignore[arg-type]
    return Verdict(
        level=LEVELS[place], passed=place < limit, rule=rule, statement=statement, row=row
    )


def no_verdict(
    why: str,
    found: str,
    *,
    rule: str,
    row: int | None,
    level: Literal["incomplete", "weak"] = "incomplete",
) -> Verdict:
    """Evidence is missing, or weak: never passed.

    Args:
        why: what is missing.
        found: what was found all the same.
        rule: the rule in words.
        row: the row that would have decided.
        level: incomplete, or weak where what was measured proves little.
    """
    statement = f"There is no verdict: {why}. {found}".strip()
    return Verdict(level=level, passed=False, rule=rule, statement=statement, row=row)
