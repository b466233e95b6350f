"""What the owner should act on, and the sentences of the report that follow from numbers."""

from __future__ import annotations

from collections.abc import Sequence

from recsec.attacks.extraction import Adaptive
from recsec.audit.verdict import LEVELS
from recsec.evaluation import Seen
from recsec.reports import Finding, Floor, Metrics, Row, ThreatModel, Twin, Verdict
from recsec.reports.document import LABELS
from recsec.targets import Unknown
from recsec.text import counted

__all__ = ["findings", "number", "threat_model"]

ADVICE = {
    "high": (
        "Assume that the model can be copied through this interface. Limit calls per account, "
        "watch for accounts that query as a thief does (recsec detect), put a guard before "
        "the answers (--guard) and audit it. Short lists alone take little from a thief."
    ),
    "moderate": (
        "A thief learns part of the model. Limit calls per account to well below this budget and "
        "audit again with the budget that the limit leaves."
    ),
    "low": "Audit again when the model, the list length or the rate limit changes.",
}

MITIGATIONS = {"high": ("AML.M0004", "AML.M0002"), "moderate": ("AML.M0004",), "low": ()}
"""What the advice is called in MITRE ATLAS."""


def number(metrics: Metrics, name: str) -> str:
    """A metric with its name and interval, in words."""
    metric, label = metrics.get(name), LABELS.get(name, name)
    if metric is None or metric.value is None:
        return f"{label} not defined"
    if metric.low is None or metric.high is None:
        return f"{label} {metric.value:.3f}"
    return f"{label} {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def _row(row: Row) -> str:
    shown = [name for name in ("agr@10", "lift", "hr_ratio") if name in row.metrics]
    numbers = ", ".join(number(row.metrics, name) for name in shown)
    seeds = counted(len(row.seeds), "seed")
    return f"{row.policy}, k = {row.k}, {row.calls:,} calls, {seeds}: {numbers}"


def findings(
    rows: Sequence[Row],
    verdict: Verdict,
    floor: Floor,
    twin: Twin,
    *,
    missing: int,
    defects: Sequence[str],
    unknown: Unknown,
    seen: Seen | None,
) -> tuple[Finding, ...]:
    """What the evidence of extraction says, and what the check of the target found."""
    found = []
    level = next((one for one in LEVELS if one == verdict.level), None)
    if level is not None and verdict.row is not None:
        title = {
            "high": "The recommender can be copied through its top-k API",
            "moderate": "The recommender can be copied in part through its top-k API",
            "low": "The attacks tried did not copy the recommender",
        }[level]
        found.append(
            Finding(
                id="extraction-copyable",
                title=title,
                severity=level,
                evidence=f"{_row(rows[verdict.row])}; floor: {number(floor.metrics, 'agr@10')}",
                advice=ADVICE[level],
                mitigations=MITIGATIONS[level],
            )
        )
    if verdict.level == "weak":
        found.append(
            Finding(
                id="extraction-weak",
                title="The evidence is too weak to decide",
                severity="moderate",
                evidence=verdict.statement,
                advice="Give the plan what is said to be missing; no number here says it is safe.",
            )
        )
    if missing:
        found.append(
            Finding(
                id="extraction-incomplete",
                title="Some attacks could not be measured",
                severity="moderate",
                evidence=f"{counted(missing, 'attack')} failed or were refused: see the end.",
                advice="Remove the cause and run the same command again: only these are repeated.",
            )
        )
    if defects:
        found.append(
            Finding(
                id="extraction-target-defective",
                title="The target does not answer as a sound recommender does",
                severity="moderate",
                evidence=f"{'; '.join(defects)}.",
                advice="Repair the target first: what was measured is about this one.",
            )
        )
    if seen is not None and seen.suspicious:
        found.append(
            Finding(
                id="extraction-seen-test",
                title="The target knows the test items better than an honest model could",
                severity="moderate",
                evidence=f"{seen.said()}",
                advice=(
                    "Train it without each user's last item, or audit on users and times that it "
                    "has not seen: quality, and fidelity beside it, are flattering here."
                ),
            )
        )
    if unknown.grave:
        found.append(
            Finding(
                id="extraction-unknown-items",
                title="The target lists items that the catalog of the audit lacks",
                severity="info",
                evidence=f"{unknown.said()}.",
                advice=(
                    "Name data and filters that hold what the target recommends: --filters "
                    "min_item=1 keeps rare items. Users are not told from such items here."
                ),
            )
        )
    beyond = _beyond_twin(rows, twin)
    if beyond is not None:
        found.append(
            Finding(
                id="extraction-beyond-twin",
                title="The copy is closer to the target than an independently trained model",
                severity="info",
                evidence=f"{_row(beyond)}; twin: {number(twin.metrics or {}, 'agr@10')}",
                advice=(
                    "The copy learned more than your data alone would teach. Agreement still "
                    "proves no theft; a watermark does (recsec verify)."
                ),
            )
        )
    return tuple(found)


def _beyond_twin(rows: Sequence[Row], twin: Twin) -> Row | None:
    """The cheapest row whose interval of Agr@10 lies above the twin's."""
    metric = (twin.metrics or {}).get("agr@10")
    if metric is None or metric.high is None or twin.reason:
        return None
    lows = [(row, row.metrics["agr@10"].low) for row in rows if "agr@10" in row.metrics]
    above = [row for row, low in lows if low is not None and low > metric.high]
    return min(above, key=lambda row: row.calls, default=None)


def threat_model(
    calls: Sequence[int],
    ks: Sequence[int],
    surrogates: Sequence[str],
    switches: Sequence[Adaptive],
    leak: float,
    proxies: Sequence[str],
) -> ThreatModel:
    """A thief behind a top-k API, who may have leaked histories and may know of defenses.

    Args:
        calls: budgets.
        ks: list lengths.
        surrogates: what the thief trains.
        switches: what the thief does about defenses, for each attack.
        leak: the largest share of users whose histories an attack knows.
        proxies: other data sets whose histories attacks know.
    """
    lengths = ", ".join(map(str, sorted(set(ks))))
    words = sorted({word for one in switches for word in one.words()})
    accounts = max(one.accounts for one in switches)
    return ThreatModel(
        goal="A surrogate that answers as the target does, without its data or its training cost.",
        knowledge=(
            "The public catalog: item ids. No popularity, no weights, no scores. "
            + (f"Up to {leak:.1%} of users' histories. " if leak else "No user history. ")
            + (f"Histories of {', '.join(sorted(set(proxies)))}. " if proxies else "")
            + f"The thief trains: {', '.join(sorted(set(surrogates)))}."
            + (f" Some know of defenses and use: {', '.join(words)}." if words else "")
        ),
        access="Ids of the k best items for any history the thief sends, best first.",
        budget=(
            f"{min(calls):,} to {max(calls):,} calls, k = {lengths}, "
            f"{'one account' if accounts == 1 else f'up to {accounts} accounts'}. One call is one "
            "history; every prefix of a session is a call."
        ),
        not_assumed=(
            *(() if leak else ("histories of real users (a leak would help the thief)",)),
            "scores or gradients",
            *(() if words else ("a thief who adapts to a detector or spreads over many accounts",)),
        ),
    )
