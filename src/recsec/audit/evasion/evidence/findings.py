"""What the owner of a visual recommender should act on, and whom the audit assumed.

Techniques: MITRE ATLAS v5.6.0, OWASP Machine Learning Security Top Ten (2023 draft).
"""

from __future__ import annotations

from collections.abc import Sequence

from recsec.audit.evasion.gate import deciding_row
from recsec.audit.verdict import LEVELS
from recsec.reports import (
    EvasionPolicy,
    EvasionRow,
    Finding,
    Metric,
    SanityCheck,
    ThreatModel,
    Verdict,
    VisualModel,
    WorstCase,
)

__all__ = ["evasion_findings", "evasion_threat"]

EVADE = ("AML.T0015", "AML.T0031")
CRAFT = {"gradients": "AML.T0043.000", "scores": "AML.T0043.001", "ids": "AML.T0043.001"}
REACH = {"gradients": "AML.T0044", "scores": "AML.T0040", "ids": "AML.T0040"}
OWASP = ("ML01:2023",)
MITIGATIONS = {
    "high": ("AML.M0003", "AML.M0015", "AML.M0001"),
    "moderate": ("AML.M0015", "AML.M0003"),
    "low": (),
}
"""What the advice is called in MITRE ATLAS."""
BLIND = "the attacker knows nothing of the encoder, and "
"""How the knowledge of one begins who asks nothing."""
ADVICE = {
    "high": (
        "Harden the encoder (recsec harden), screen photos at upload (recsec screen), keep the "
        "weights and the backbone private, and audit again."
    ),
    "moderate": (
        "A patient seller gets in now and then. Screen photos at upload, harden the encoder, and "
        "audit again."
    ),
    "low": "Audit again when the encoder or the catalog changes; other changes of photos exist.",
}


def _share(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "not measured"
    if metric.low is None or metric.high is None:
        return f"{100 * metric.value:.1f} %"
    return (
        f"{100 * metric.value:.1f} % [{100 * metric.low:.1f}, {100 * metric.high:.1f}], "
        f"n = {metric.n:,}"
    )


def _points(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "not measured"
    text = f"{100 * metric.value:+.1f} points"
    if metric.low is not None and metric.high is not None:
        text += f" [{100 * metric.low:+.1f}, {100 * metric.high:+.1f}]"
    return text


def _best(row: WorstCase) -> str:
    """The attack that most often did best."""
    return max(row.attacks, key=lambda name: row.attacks[name])


def _techniques(rows: Sequence[EvasionRow], decided: WorstCase) -> tuple[str, ...]:
    """What the attack that decided needs: how it crafted the photo, and what it saw."""
    best = _best(decided) if decided.attacks else None
    access = dict.fromkeys(
        row.access for row in rows if row.model == decided.model and row.attack == best
    )
    found = [*EVADE, *(CRAFT[one] for one in access), *(REACH[one] for one in access)]
    return tuple(dict.fromkeys(found))


def evasion_findings(
    verdict: Verdict,
    policy: EvasionPolicy,
    judged: str,
    models: Sequence[VisualModel],
    rows: Sequence[EvasionRow],
    worst: Sequence[WorstCase],
    checks: Sequence[SanityCheck],
    *,
    missing: int,
) -> tuple[Finding, ...]:
    """What the evidence of evasion says."""
    found = []
    names = {model.name: model for model in models}
    level = next((one for one in LEVELS if one == verdict.level), None)
    if level is not None and verdict.row is not None:
        title = {
            "high": "A changed photo often enters the list of a chosen item",
            "moderate": "A changed photo sometimes enters the list of a chosen item",
            "low": "The attacks tried did not bring photos into chosen lists",
        }[level]
        found.append(
            Finding(
                id="evasion-item-to-item",
                title=title,
                about=judged,
                severity=level,
                atlas=_techniques(rows, worst[verdict.row]),
                owasp=OWASP,
                evidence=_evidence(worst[verdict.row], policy),
                advice=ADVICE[level],
                mitigations=MITIGATIONS[level],
            )
        )
    if verdict.level == "weak":
        found.append(
            Finding(
                id="evasion-weak",
                title="The evidence is too weak to decide",
                about=judged,
                severity="moderate",
                atlas=EVADE,
                owasp=OWASP,
                evidence=verdict.statement,
                advice="Give the plan what is said to be missing; no number here says it is safe.",
            )
        )
    for model in models:
        if model.name != judged:
            found += _comparison(model, names[judged], policy, worst, rows)
    for check in checks:
        if check.status == "failed":
            found.append(
                Finding(
                    id=f"evasion-check-{check.check}",
                    title=f"Sanity check failed on {check.model}: {check.title}",
                    about=check.model,
                    severity="moderate",
                    atlas=EVADE,
                    owasp=OWASP,
                    evidence=f"{check.evidence}.",
                    advice="Read the numbers as a lower bound; add stronger or black-box attacks.",
                )
            )
    if missing:
        found.append(
            Finding(
                id="evasion-incomplete",
                title="Some attacks could not be measured",
                severity="moderate",
                atlas=EVADE,
                owasp=OWASP,
                evidence=f"{missing:,} attacks on pairs failed; see the rows that say so.",
                advice="Remove the cause and run the same command again: only these are repeated.",
            )
        )
    return tuple(found)


def _evidence(row: WorstCase, policy: EvasionPolicy) -> str:
    named = [policy.metric, *(name for name in ("success@3",) if name != policy.metric)]
    numbers = ", ".join(f"{name} {_share(row.success[name])}" for name in named)
    return (
        f"Worst case over {len(row.attacks)} attacks on {row.model} at eps {row.eps:g}: {numbers}; "
        f"the attack that most often did best: {_best(row)}."
    )


def _comparison(
    model: VisualModel,
    judged: VisualModel,
    policy: EvasionPolicy,
    worst: Sequence[WorstCase],
    rows: Sequence[EvasionRow],
) -> list[Finding]:
    """What another model of the plan would change."""
    mine = deciding_row(worst, policy, model.name)
    theirs = deciding_row(worst, policy, judged.name)
    if mine is None or theirs is None:
        return []
    price = {name: _points(model.price.get(name)) for name in ("precision@10", "accuracy")}
    return [
        Finding(
            id="evasion-other-model",
            title=f'Model "{model.name}" compared with "{judged.name}"',
            about=model.name,
            severity="info",
            atlas=_techniques(rows, worst[mine]),
            owasp=OWASP,
            evidence=(
                f"Worst-case {policy.metric} at eps {worst[mine].eps:g}: "
                f"{_share(worst[mine].success[policy.metric])}, of {judged.name} "
                f"{_share(worst[theirs].success[policy.metric])}; precision@10 "
                f"{price['precision@10']}, accuracy {price['accuracy']}, both against the first "
                "model."
            ),
        )
    ]


def evasion_threat(rows: Sequence[EvasionRow], policy: str, pixels: int) -> ThreatModel:
    """A seller who may change one photo of their own."""
    sees = {
        "gradients": "the weights of the encoder (white-box; what a stolen or public model gives)",
        "scores": "the cosine of an uploaded photo to an item",
        "ids": "the list of neighbors of an uploaded photo",
    }
    asks = [row for row in rows if not row.knowledge.startswith(BLIND)]
    access = {row.access for row in asks}
    blind = dict.fromkeys(
        f"nothing: {row.knowledge.removeprefix(BLIND)}"
        for row in rows
        if row.knowledge.startswith(BLIND)
    )
    budgets = ", ".join(f"{eps:g}" for eps in sorted({row.eps for row in rows}))
    return ThreatModel(
        goal="The photo of one item enters the neighbor list of another item, chosen beforehand.",
        knowledge=(
            "All photos of the catalog, and how they are made small. Which attack knows more is "
            "said in its row."
        ),
        access="; ".join([*(sees[one] for one in sees if one in access), *blind]) + ".",
        budget=(
            f"L-infinity eps {budgets} of the pixel range, on {pixels} x {pixels} pixels, in a "
            f"file with 8 bits per channel. Pairs: {policy}."
        ),
        not_assumed=(
            "changes that a person would see as such: logos, crops, other photos",
            "several photos or accounts that work together",
            "a screen at upload, which would have to be attacked too",
            "what a shop does to a photo after upload, such as JPEG",
        ),
    )
