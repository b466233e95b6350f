"""Watch: traffic, looks at accounts, who is suspicious and why, and one account's last queries."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from recsec.detection.detectors.transition import Transition
from recsec.serving.dashboard.desk import Call, Desk, No, Route
from recsec.serving.dashboard.pages import HEADERS
from recsec.serving.dashboard.seen import Seen, portray
from recsec.serving.dashboard.views import words
from recsec.serving.evidence import Asked
from recsec.serving.state import Decision

__all__ = ["ROUTES", "live"]

DECISIONS, ACTS = 20, 12
"""Decisions and lines of the trail that are shown."""

SHOWN, TAIL = 10, 5
"""Items of a list, and newest items of a history, that are shown."""

SURPRISE = 0.99
"""A step is marked if the last step of so many honest accounts is less surprising, on average."""


def watch(desk: Desk, call: Call) -> Response:
    """The page."""
    return desk.page("watch.html", call, **_values(desk), trail=_trail(desk))


def live(desk: Desk) -> dict[str, str]:
    """The parts of the page that change, by event."""
    values = _values(desk)
    parts = {
        name: desk.pages.text(f"parts/{name}.html", **values)
        for name in ("tiles", "accounts", "clusters", "decisions")
    }
    return parts | {"pulse": json.dumps(_pulse(desk, values["seen"]))}


def pulse(desk: Desk, call: Call) -> Response:
    """What the two charts draw."""
    return JSONResponse(_pulse(desk, desk.seen()), headers=HEADERS)


def _values(desk: Desk) -> dict[str, Any]:
    engine, seen = desk.engine, desk.seen()
    active = engine.ledger.active()
    beats = desk.pulse.beats()
    rows = [
        {
            "suspect": one,
            "why": words.why(one, seen.first),
            "decision": _hardest(desk, one.account),
            "allowed": engine.ledger.allows(one.account),
        }
        for one in seen.suspects
    ]
    return {
        "seen": seen,
        "rows": rows,
        "beat": beats[-1] if beats else None,
        "active": len(active),
        "enforced": sum(one.enforced for one in active),
        "decisions": [
            {"one": one, "why": words.about_decision(one)} for one in active[: -DECISIONS - 1 : -1]
        ],
        "state_up": bool(
            engine.metrics.registry.get_sample_value("recsec_backend_up", {"backend": "state"})
        ),
        "detectors": engine.fitted is not None,
        "pooled": words.about_pool(seen.pool.found.apart) if seen.pool else "",
    }


def _hardest(desk: Desk, account: str) -> Decision | None:
    found = desk.engine.ledger.treatment(account)
    return found.enforced or found.shadow


def _pulse(desk: Desk, seen: Seen) -> dict[str, Any]:
    rules = [
        {"name": one.name, "level": one.p_value} for one in desk.engine.policy.rules if one.alone
    ]
    return {
        "beats": [[one.at, one.rate, one.median, one.slow] for one in desk.pulse.beats()],
        "looks": [
            [
                round(one.at, 1),
                one.p_values["combined"],
                any(
                    one.p_values.get(rule.detector, 1.0) <= (rule.p_value or 0.0) * one.share
                    for rule in desk.engine.policy.rules
                    if rule.alone
                ),
            ]
            for one in seen.looks
        ],
        "rules": rules,
    }


def _trail(desk: Desk) -> list[dict[str, Any]]:
    return [
        {"entry": one, "told": _told(one.kind, json.loads(one.body))}
        for one in desk.engine.store.last_entries(ACTS)
    ]


def _told(kind: str, body: dict[str, Any]) -> str:
    """A line of the trail in words."""
    parts = [str(body[name]) for name in ("id", "name", "account") if name in body]
    for name in ("rule", "action", "grade", "role", "reason"):
        if body.get(name):
            parts.append(f"{name} {body[name]}")
    if "enforced" in body:
        parts.append("enforced" if body["enforced"] else "in shadow")
    return ", ".join(parts)


def find(desk: Desk, call: Call) -> Response:
    """From the name that people know to the one that is kept."""
    text = call.form.get("account", "").strip()
    if not 1 <= len(text) <= 200:
        raise No(422, "the name of an account has 1 to 200 characters")
    return desk.go(f"/accounts/{desk.engine.names.known_as(text)}")


def account(desk: Desk, call: Call) -> Response:
    """One account."""
    name, engine = call.path["name"], desk.engine
    if len(name) != 32 or set(name) - set("0123456789abcdef"):
        raise No(404, "there is no such account")
    now = engine.clock()
    portrait = desk.ask(lambda evidence: portray(evidence, name, now))
    fitted = engine.fitted
    first = 0 if fitted is None else int(fitted.calibrations["combined"].checkpoints[0])
    decisions = engine.store.about(name)
    allowed = next((one for one in engine.store.allowed() if one.account == name), None)
    suspect = portrait.suspect
    return desk.page(
        "account.html",
        call,
        name=name,
        portrait=portrait,
        suspect=suspect,
        views=[(view, words.about_view(view)) for view in suspect.views] if suspect else [],
        why=words.why(suspect, first) if suspect else "",
        first=first,
        steps=_steps(desk, portrait.asked),
        decisions=[
            {"one": one, "why": words.about_decision(one), "holds": one.active(now)}
            for one in reversed(decisions)
            if one.scope == "account"
        ],
        allowed=allowed if allowed and engine.ledger.allows(name) else None,
        looks=portrait.looks[::-1],
    )


def _steps(desk: Desk, asked: tuple[Asked, ...]) -> list[dict[str, Any]]:
    """Queries, the newest first, with titles, places in the list before, and what is odd."""
    title, odd = desk.place.title, _surprising(desk, asked)
    out = []
    for one, surprising in zip(asked, odd, strict=True):
        rank = {0: "not on the list before", -1: ""}.get(
            one.rank, f"no. {one.rank} of the list before"
        )
        out.append(
            {
                "at": one.at,
                "kind": words.KINDS[one.kind],
                "history": [title(item) for item in one.history[-TAIL:].tolist()],
                "earlier": len(one.history) > TAIL,
                "list": [title(item) for item in one.answer[:SHOWN].tolist()],
                "more": max(0, len(one.answer) - SHOWN),
                "rank": rank,
                "odd": words.about_query(one, surprising=surprising),
            }
        )
    return out[::-1]


def _surprising(desk: Desk, asked: tuple[Asked, ...]) -> list[bool]:
    """Whether the newest item follows the one before it as hardly ever with people.

    Measured against the mean surprise of honest accounts: its 99th percentile after the first
    queries, which scatter most.
    """
    fitted = desk.engine.fitted
    detectors = {} if fitted is None else fitted.detectors
    found = next(((name, one) for name, one in detectors.items() if type(one) is Transition), None)
    if fitted is None or found is None:
        return [False] * len(asked)
    label, detector = found
    honest = fitted.calibrations[label].scores[0]
    line = float(np.quantile(honest, SURPRISE)) if len(honest) else np.inf
    out = []
    for one in asked:
        items, before = one.history[-1:], one.history[-2:-1]
        known = len(before) > 0 and one.kind != 2
        out.append(bool(known and detector.surprise(items, before)[0] > line))
    return out


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "viewer", watch),
    Route("GET", "/pulse", "viewer", pulse),
    Route("POST", "/accounts", "viewer", find),
    Route("GET", "/accounts/{name}", "viewer", account),
)
