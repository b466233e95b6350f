"""Policy: what each rule did, what another threshold would have done, shadow or enforced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from starlette.responses import Response
from tomlkit.exceptions import TOMLKitError

from recsec.errors import ConfigError
from recsec.runs import atomic_write_text
from recsec.serving.dashboard.desk import Call, Desk, No, Route
from recsec.serving.dashboard.views import words
from recsec.serving.evidence import Judged
from recsec.serving.policy import Policy, Rule, read_policy
from recsec.serving.state import Tally

__all__ = ["ROUTES", "WHOLE", "WhatIf", "switched", "what_if"]

DAY = 86_400.0

WHOLE = "the-whole-policy"
"""Stands for the switch at the top of the file."""

SHOWN = 20


@dataclass(frozen=True)
class WhatIf:
    """What a rule about p-values would have done with some level.

    Attributes:
        level: share of honest accounts.
        judged: accounts that were judged in that time.
        reached: of these, those that the rule would have reached.
        chance: of so many honest accounts, at most so many on average.
    """

    level: float
    judged: int
    reached: tuple[str, ...]
    chance: float


def what_if(rule: Rule, looks: Sequence[Judged], level: float) -> WhatIf:
    """Replay the looks that are kept under another level.

    Exact as long as nobody was blocked: of a blocked account there is no later evidence.
    """
    own = [one for one in looks if one.young or rule.scope != "young"]
    found = {one.account: None for one in own if _of(one, rule) <= level * one.share}
    judged = len({one.account for one in own})
    return WhatIf(level, judged, tuple(found), level * judged)


def _of(look: Judged, rule: Rule) -> float:
    """The p-value that a rule asks for; 1 where no rule asked for it at that time."""
    return look.p_values.get(rule.detector, 1.0)


def switched(text: str, name: str, *, enforce: bool) -> str:
    """The text of a policy with one switch set; all else stays as it was written.

    Raises:
        ConfigError: there is no such rule.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"the policy is not TOML: {error}") from error
    rules: Any = document.get("rules", [])
    place: Any = document if name == WHOLE else None
    for rule in rules:
        if rule.get("name") == name:
            place = rule
    if place is None:
        raise ConfigError(f"the policy has no rule {name}")
    if place is document and "enforce" not in document:
        return f"enforce = {str(enforce).lower()}\n{text}"
    place["enforce"] = enforce
    return tomlkit.dumps(document)


def _looks(desk: Desk) -> tuple[tuple[Judged, ...], float]:
    """Looks of the last day, and for how many hours there are any."""
    since = desk.engine.clock() - DAY
    found = desk.ask(lambda evidence: tuple(one for one in evidence.judged if one.at >= since))
    return found, (desk.engine.clock() - found[0].at) / 3600 if found else 0.0


def _tally(desk: Desk) -> dict[tuple[str, bool], Tally]:
    since = desk.engine.clock() - DAY
    return {(one.rule, one.enforced): one for one in desk.engine.store.tallies(since)}


def _rule(desk: Desk, name: str) -> Rule:
    found = next((one for one in desk.engine.policy.rules if one.name == name), None)
    if found is None:
        raise No(404, "there is no such rule")
    return found


def overview(desk: Desk, call: Call) -> Response:
    """All rules."""
    tally, policy = _tally(desk), desk.engine.policy
    rows = [
        {
            "rule": rule,
            "when": words.about_rule(rule),
            "enforced": policy.enforced(rule),
            "shadow": tally.get((rule.name, False)),
            "acted": tally.get((rule.name, True)),
        }
        for rule in policy.rules
    ]
    return desk.page(
        "policy.html",
        call,
        rows=rows,
        policy=policy,
        by_hand=tally.get((words.BY_HAND, True)),
        keys=[one for one in desk.engine.store.known_keys() if one.revoked is None],
        file=desk.place.policy,
        whole=WHOLE,
    )


def rule(desk: Desk, call: Call) -> Response:
    """One rule: its cost, another threshold, the switch."""
    found, policy = _rule(desk, call.path["name"]), desk.engine.policy
    tally = _tally(desk)
    looks, hours = _looks(desk)
    now = what_if(found, looks, found.p_value) if found.alone and found.p_value else None
    other = None
    if found.alone and call.query.get("level"):
        other = what_if(found, looks, _level(call.query["level"]))
    values: dict[str, Any] = {
        "rule": found,
        "now": now,
        "other": other,
        "shown": SHOWN,
        "hours": hours,
    }
    if call.part:
        return desk.pages.page("parts/what_if.html", **values)
    return desk.page(
        "rule.html",
        call,
        **values,
        when=words.about_rule(found),
        enforced=policy.enforced(found),
        whole=policy.enforce,
        shadow=tally.get((found.name, False)),
        acted=tally.get((found.name, True)),
        file=desk.place.policy,
    )


def _level(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise No(422, "a p-value lies between 0 and 1")
    return found


def switch(desk: Desk, call: Call) -> Response:
    """Enforce, or go back to shadow; the file is written, and what is written holds at once."""
    name, wanted, reason = call.path["name"], call.form.get("to"), call.reason()
    if name != WHOLE:
        _rule(desk, name)
    if wanted not in ("enforce", "shadow"):
        raise No(422, "a rule is enforced or in shadow")
    if desk.place.policy is None:
        raise No(409, "the service runs without a policy file")
    enforce = wanted == "enforce"
    _write(desk.place.policy, name, enforce=enforce)
    body = {"name": name, "to": wanted, "reason": reason}
    engine = desk.engine
    engine.store.note(at=engine.clock(), actor=call.somebody.actor, kind="policy", body=body)
    engine.adopt(_with(engine.policy, name, enforce=enforce))
    return desk.go("/policy")


def _with(policy: Policy, name: str, *, enforce: bool) -> Policy:
    """The policy that runs, with that switch."""
    if name == WHOLE:
        return policy.model_copy(update={"enforce": enforce})
    rules = [
        rule.model_copy(update={"enforce": enforce}) if rule.name == name else rule
        for rule in policy.rules
    ]
    return policy.model_copy(update={"rules": tuple(rules)})


def _write(path: Path, name: str, *, enforce: bool) -> None:
    """Set a switch in the file, once it is clear that the result can be read."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        text = switched(path.read_text(encoding="utf-8"), name, enforce=enforce)
        draft.write_text(text, encoding="utf-8")
        read_policy(draft)
        atomic_write_text(path, text)
    except OSError as error:
        raise No(409, f"cannot write the policy: {error.strerror}; change the file") from error
    finally:
        draft.unlink(missing_ok=True)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/policy", "viewer", overview),
    Route("GET", "/policy/{name}", "viewer", rule),
    Route("POST", "/policy/{name}", "admin", switch),
)
