"""Evidence in words: what detectors see, what queries do, what rules ask for."""

from __future__ import annotations

from typing import Any

from recsec.serving.dashboard.seen import Suspect, View
from recsec.serving.evidence import Asked
from recsec.serving.policy import Rule
from recsec.serving.state import Decision
from recsec.traffic import BRANCHES, EXTENDS, REPEATS, STARTS

__all__ = [
    "BY_HAND",
    "KINDS",
    "about_decision",
    "about_pool",
    "about_query",
    "about_rule",
    "about_view",
    "why",
]

WORDS = {
    "accepted-rank": "takes other places of the lists than people do",
    "asking": "asks in a way that no honest account of the fit did",
    "continuity": "jumps between histories instead of going on with one",
    "hoda": "asks about histories that are unusually hard, or easy, for the model",
    "off-list": "goes on to items that were not shown, and that people rarely choose then",
    "prada": "keeps its distance from its own earlier queries, as a search does",
    "seat": "asks many near copies of its earlier queries",
    "transition": "puts items together that people rarely choose one after the other",
}
KINDS = {
    STARTS: "starts a history",
    EXTENDS: "goes on",
    REPEATS: "asks again",
    BRANCHES: "branches off",
}
CLEAR = 0.05

BY_HAND = "by hand"
"""Stands for the rule where a person decided; no rule can be called that."""


def about_view(view: View) -> str:
    """What a detector sees."""
    return WORDS.get(view.label, f"stands out for {view.label}")


def why(suspect: Suspect, first: int) -> str:
    """Why an account stands where it stands, in one clause."""
    if not suspect.views:
        return f"not judged before {first:,} queries"
    odd = [view for view in suspect.views if view.combined and view.score > view.top]
    if not odd:
        return "like most people so far" if suspect.p_value > CLEAR else "a little odd in all views"
    return "; ".join(about_view(view) for view in odd[:2])


def about_query(asked: Asked, *, surprising: bool) -> tuple[str, ...]:
    """What is odd about one query; nothing about most."""
    found = []
    if asked.kind == BRANCHES:
        found.append("goes back to an earlier history and leaves it in another way")
    if surprising:
        found.append("few people go on so from the item before")
    return tuple(found)


def about_pool(apart: dict[str, float]) -> str:
    """In which way young accounts differ most from people."""
    label, far = max(apart.items(), key=lambda pair: abs(pair[1]))
    words = WORDS.get(label, f"stands out for {label}")
    return f"on average one {words}" if far > 0 else f"for {label} they are too much alike people"


def about_rule(rule: Rule) -> str:
    """When a rule decides."""
    who = {"account": "an account", "young": "a young account", "key": "a key", "all": "everybody"}
    if rule.evidence == "cluster":
        return f"accounts that ask alike, their p-value together at most {rule.p_value:g}"
    if rule.evidence == "screen":
        rate = 100 * (rule.p_value or 0.0)
        return f"an account uploads a photo that screens flag at {rate:g} % of honest ones"
    if rule.evidence == "pooled":
        return f"young accounts together, p-value at most {rule.p_value:g}"
    if rule.p_value is not None:
        seen = "all detectors together" if rule.detector == "combined" else rule.detector
        return f"{who[rule.scope]}, p-value of {seen} at most {rule.p_value:g}"
    return f"{who[rule.scope]}, more than {rule.more_than:,} requests within {rule.within:g} s"


def about_decision(decision: Decision) -> str:
    """What led to a decision."""
    evidence: dict[str, Any] = dict(decision.evidence)
    if "rate" in evidence:
        rate = evidence["rate"]
        return f"{rate['requests']:g} requests within {rate['within']:g} s"
    if "screen" in evidence:
        screen = evidence["screen"]
        return (
            f"a photo that screens flag: {screen['scores']['panel']:.3g}, above "
            f"{screen['threshold']:.3g}; file {screen['sha256'][:12]}"
        )
    if "cluster" in evidence:
        alike = evidence["cluster"]
        return (
            f"one of {alike['accounts']:,} accounts that ask alike, {alike['odd']:,} of them odd: "
            f"p-value together {alike['p_value']:.3g}; threshold {alike['threshold']:.3g}"
        )
    if "pooled" in evidence:
        pooled = evidence["pooled"]
        return (
            f"{pooled['accounts']:,} young accounts together: p-value {pooled['p_value']:.3g}; "
            f"threshold {pooled['threshold']:.3g}; {about_pool(pooled['apart'])}"
        )
    if "p_values" in evidence:
        p_value = evidence["p_values"][evidence["detector"]]
        return (
            f"p-value {p_value:.3g} after {evidence['queries']:,} queries; "
            f"threshold {evidence['threshold']:.3g}"
        )
    return str(evidence.get("reason", ""))
