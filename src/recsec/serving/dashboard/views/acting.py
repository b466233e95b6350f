"""What an operator does about an account; each act stands in the trail with name and reason."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from recsec.serving.dashboard.desk import Call, Desk, No, Route
from recsec.serving.dashboard.views.words import BY_HAND, about_decision
from recsec.serving.policy import seconds
from recsec.serving.state import Allowed, Decision

__all__ = ["ROUTES"]

ACTIONS = ("tag", "block")
LONGEST = 30 * 86_400.0


def _lasts(text: str) -> float:
    try:
        found = seconds(text.strip())
    except ValueError as error:
        raise No(422, f"{text!r}: {error}") from error
    if not isinstance(found, float) or not 0 < found <= LONGEST:
        raise No(422, "a time is at most 30d")
    return found


def act(desk: Desk, call: Call) -> Response:
    """Tag or block an account: at once, also where the policy is in shadow."""
    engine, name, action = desk.engine, call.path["name"], call.form.get("action", "")
    if action not in ACTIONS:
        raise No(422, f"an act is one of {', '.join(ACTIONS)}")
    reason, lasts = call.reason(), _lasts(call.form.get("lasts", "1h"))
    if engine.ledger.allows(name):
        raise No(409, "the account is on the allow list: take it off first")
    now = engine.clock()
    former = [one for one in engine.store.about(name, rule=BY_HAND) if one.scope == "account"]
    for one in former:
        if one.active(now):
            engine.ledger.lift(one.id, actor=call.somebody.actor, reason=f"replaced: {reason}")
    decision = Decision(
        id=f"d-{secrets.token_hex(8)}",
        scope="account",
        subject=name,
        rule=BY_HAND,
        action=action,
        enforced=True,
        at=now,
        until=now + lasts,
        number=len(former) + 1,
        evidence={"reason": reason, "operator": call.somebody.name},
    )
    engine.ledger.impose(decision, actor=call.somebody.actor)
    return desk.go(f"/accounts/{name}")


def clear(desk: Desk, call: Call) -> Response:
    """Take a decision back; rules only observe the account for a while then."""
    engine, id, reason = desk.engine, call.path["id"], call.reason()
    found = engine.store.decision(id)
    if found is None:
        raise No(404, "there is no such decision")
    if not engine.ledger.lift(id, actor=call.somebody.actor, reason=reason):
        raise No(409, "the decision holds no longer")
    if found.scope != "account":
        return desk.go("/")
    now = engine.clock()
    if found.rule != BY_HAND:
        until = now + engine.policy.probation
        entry = Allowed(found.subject, until, f"probation after {id}: {reason}")
        _allow(desk, call, entry, now)
    return desk.go(f"/accounts/{found.subject}")


def allow(desk: Desk, call: Call) -> Response:
    """Put an account on the allow list."""
    name, now, text = call.path["name"], desk.engine.clock(), call.form.get("lasts", "").strip()
    until = now + _lasts(text) if text else None
    _allow(desk, call, Allowed(name, until, call.reason()), now)
    return desk.go(f"/accounts/{name}")


def forbid(desk: Desk, call: Call) -> Response:
    """Take an account off the allow list."""
    engine, name = desk.engine, call.path["name"]
    if not engine.store.forbid(name, at=engine.clock(), actor=call.somebody.actor):
        raise No(409, "the account is not on the allow list")
    engine.ledger.reload()
    return desk.go(f"/accounts/{name}")


def _allow(desk: Desk, call: Call, entry: Allowed, now: float) -> None:
    desk.engine.store.allow(entry, at=now, actor=call.somebody.actor)
    desk.engine.ledger.reload()


def decision(desk: Desk, call: Call) -> Response:
    """One decision with its evidence."""
    found = desk.engine.store.decision(call.path["id"])
    if found is None:
        raise No(404, "there is no such decision")
    evidence: dict[str, Any] = dict(found.evidence)
    p_values = sorted(evidence.get("p_values", {}).items(), key=lambda pair: float(pair[1]))
    return desk.page(
        "decision.html",
        call,
        one=found,
        why=about_decision(found),
        holds=found.active(desk.engine.clock()),
        p_values=p_values,
        scores=evidence.get("scores", {}),
        grounds=_grounds(evidence),
        pooled="pooled" in evidence,
        clustered="cluster" in evidence,
        screened="screen" in evidence,
        last=evidence.get("last", [])[::-1],
    )


def _grounds(evidence: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a decision about more than the account's own p-value rests on."""
    kinds = (evidence[kind] for kind in ("pooled", "cluster", "screen") if kind in evidence)
    return next(kinds, evidence)


ROUTES: tuple[Route, ...] = (
    Route("POST", "/accounts/{name}/act", "operator", act),
    Route("POST", "/accounts/{name}/allow", "operator", allow),
    Route("POST", "/accounts/{name}/forbid", "operator", forbid),
    Route("GET", "/decisions/{id}", "viewer", decision),
    Route("POST", "/decisions/{id}/clear", "operator", clear),
)
