"""The native server, from request to decision, through the application without a socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_world import Serve, Service, World

from recsec.serving.api.quick import Quick
from recsec.serving.state import new_key

BLOCK = {"name": "thief", "p_value": 0.2, "action": "block", "duration": "1h"}
HASTE = {"name": "haste", "more_than": 3, "within": "1h", "duration": "10m"}
ENFORCED = {"enforce": True}


def ask(service: Service, account: str, history: list[Any], k: int = 5) -> Any:
    body = {"account": account, "history": history, "k": k}
    answer = service.client.post("/v1/recommend", json=body)
    service.engine.settle()
    return answer


def steal(service: Service, account: str, queries: int, *, seed: int = 0) -> list[int]:
    """Ask after random growing histories; returns the status codes."""
    rng, history, codes = np.random.default_rng(seed), [], []
    for _ in range(queries):
        history.append(int(rng.integers(1, 131)))
        codes.append(ask(service, account, history, 10).status_code)
    return codes


def test_lists_are_those_of_the_recommender(serve: Serve, world: World) -> None:
    service = serve()
    answer = ask(service, "ann", [3, 4], 7)
    assert answer.json() == {"items": world.model.recommend([[3, 4]], 7)[0]}
    assert len(ask(service, "ann", [], 7).json()["items"]) == 7
    found = service.client.get("/v1/items", params={"search": "12"}).json()["items"]
    assert found
    assert all("12" in item["title"] for item in found)


def test_a_thief_is_blocked_with_an_id_that_explains_it(serve: Serve) -> None:
    service = serve({**ENFORCED, "rules": [{**BLOCK, **ENFORCED}]})
    codes = steal(service, "mallory", 25)
    assert codes[:20] == [200] * 20
    assert codes[20:] == [429] * 5
    answer = ask(service, "mallory", [1])
    assert answer.headers["content-type"] == "application/problem+json"
    assert 3000 < int(answer.headers["retry-after"]) <= 3600
    decision = service.engine.store.decision(answer.json()["decision"])
    assert decision is not None
    assert decision.evidence["queries"] == 20
    assert decision.evidence["p_values"]["combined"] <= decision.evidence["threshold"]
    assert len(decision.evidence["last"]) == 20
    assert ask(service, "ann", [1]).status_code == 200
    kept = json.dumps([one for one in service.logged if one["event"] != "request"])
    assert "mallory" not in kept
    assert b"mallory" not in (service.engine.store.path).read_bytes()  # type: ignore[attr-defined]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_shadow_the_bytes_are_those_without_a_policy(
    serve: Serve, data: st.DataObject, tmp_path: Path
) -> None:
    rules = [
        {**BLOCK, "p_value": 0.9},
        {**HASTE, "action": "shorten", "length": 1},
        {**HASTE, "name": "slow", "action": "slow"},
        {**HASTE, "name": "tag", "action": "tag"},
        {**HASTE, "name": "decoy", "scope": "all", "action": "decoy"},
    ]
    switch = data.draw(st.booleans())
    shadow = [{**rule, "enforce": switch} for rule in rules]
    number = len(list(tmp_path.iterdir()))
    plain = serve(state=f"plain-{number}")
    watched = serve({"enforce": False, "rules": shadow}, state=f"watched-{number}")
    asked = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["ann", "bob"]),
                st.lists(st.integers(0, 131), max_size=6),
                st.integers(0, 12),
            ),
            min_size=5,
            max_size=12,
        )
    )
    for account, history, k in asked:
        one, other = (ask(service, account, history, k) for service in (plain, watched))
        assert one.content == other.content
        assert one.status_code == other.status_code
        drop = {"x-request-id"}
        assert [pair for pair in one.headers.items() if pair[0] not in drop] == [
            pair for pair in other.headers.items() if pair[0] not in drop
        ]
    counts = [sum(who == name for who, *_ in asked) for name in ("ann", "bob")]
    if max(counts) > 8:
        assert watched.engine.ledger.active()


BODIES = [
    b'{"account": "ann", "history": [3, 4], "k": 5}',
    b'{"account": "mallory", "history": [], "k": 7}',
    b' {"history":[3]} ',
    b'{"account": "\xc3\xa9 \\ud83d\\ude00", "history": [3]}',
    *(b'{"account": %s, "history": [3]}' % one for one in (b'""', b'"\\ud800"', b"7", b'"\xff"')),
    b'{"account": "' + b"a" * 300 + b'", "history": [3]}',
    *(b'{"history": %s}' % one for one in (b"3", b'"3"', b"[3.0]", b"[true]", b'["3"]', b"[[3]]")),
    *(b'{"history": [%s]}' % one for one in (b"999", b"1e1", b"NaN", b"9" * 40, b"0", b"-1")),
    b'{"history": [' + b"3," * 100 + b"3]}",
    *(b'{"history": [3], "k": %s}' % one for one in (b"0", b"51", b"5.0", b'"5"', b"null", b"1e9")),
    b'{"account": "a", "account": "b", "history": [3]}',
    b'{"history": [3], "more": 1}',
    *(b'{"history": [3], "scores": %s}' % one for one in (b"true", b"false", b"1", b"null")),
    b"",
    b"{",
    b"null",
    b"[" * 2000,
    '{"history": [3]}'.encode("utf-16"),
    b'\xef\xbb\xbf{"history": [3]}',
]


def test_the_short_way_answers_as_the_long_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI alone takes a content type with a parameter."""
    service = serve({**ENFORCED, "rules": [{**HASTE, **ENFORCED, "action": "tag"}]})
    for _ in range(4):
        ask(service, "mallory", [3])
    short: list[bytes] = []
    answers = Quick._answer

    async def counted(self: Quick, request: Any, asked: Any) -> Any:
        short.append(asked)
        return await answers(self, request, asked)

    monkeypatch.setattr(Quick, "_answer", counted)
    codes = []
    for number, body in enumerate(BODIES):
        found = []
        for kind in ("application/json", "application/json; charset=utf-8"):
            answer = service.client.post(
                "/v1/recommend", content=body, headers={"content-type": kind}
            )
            service.engine.settle()
            headers = [pair for pair in answer.headers.items() if pair[0] != "x-request-id"]
            found.append((answer.status_code, headers, answer.content))
        assert found[0] == found[1], body
        codes.append(found[0][0])
        logged = [one for one in service.logged if one["event"] == "request"][-2:]
        same = ("route", "code", "account") if number < 4 else ("code",)
        assert len({tuple(one.get(name) for name in same) for one in logged}) == 1
    assert codes[:4] == [200] * 4
    assert {200, 422} <= set(codes)
    assert len(short) >= codes.count(200)
    assert len(short) < len(BODIES)
    assert b"recsec_inference_passes 0.0" not in service.engine.metrics.text()


@pytest.mark.parametrize("action", ["tag", "slow", "shorten", "decoy"])
def test_each_action_does_what_it_says(serve: Serve, world: World, action: str) -> None:
    rule = {**HASTE, **ENFORCED, "action": action, "length": 2, "delay": 0.01}
    service = serve({**ENFORCED, "rules": [rule]})
    right = world.model.recommend([[3, 4]], 6)[0]
    for _ in range(4):
        assert ask(service, "mallory", [3, 4], 6).json()["items"] == right
    treated = ask(service, "mallory", [3, 4], 6)
    again = ask(service, "mallory", [3, 4], 6)
    assert treated.json() == again.json(), "the same question gets the same answer"
    items = treated.json()["items"]
    assert ("x-recsec-decision" in treated.headers) is (action == "tag")
    if action == "shorten":
        assert items == right[:2]
    elif action == "decoy":
        assert items != right
        assert len(set(items)) == 6
        assert not {3, 4} & set(items)
    else:
        assert items == right
    assert ask(service, "ann", [3, 4], 6).json()["items"] == right


def test_a_challenge_is_asked_for_until_it_is_passed(serve: Serve) -> None:
    rule = {**HASTE, **ENFORCED, "action": "challenge", "challenge": "https://shop.example/?{id}"}
    service = serve({**ENFORCED, "rules": [rule]})
    codes = [ask(service, "ann", [3, 4]).status_code for _ in range(4)]
    refused = ask(service, "ann", [3, 4])
    decision = service.engine.ledger.active()[0].id
    assert [*codes, refused.status_code] == [200] * 4 + [403]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["challenge"] == f"https://shop.example/?{decision}"
    checked = service.client.get("/v1/check?account=ann")
    assert (checked.status_code, checked.headers["x-recsec-decision"]) == (403, decision)
    reason = {"reason": "typed what the picture said"}
    assert service.client.post("/v1/challenges/d-none", json=reason).status_code == 404
    assert service.client.post(f"/v1/challenges/{decision}", json=reason).status_code == 200
    assert [ask(service, "ann", [3, 4]).status_code for _ in range(5)] == [200] * 5
    again = service.client.post(f"/v1/challenges/{decision}", json=reason)
    assert again.status_code == 404, "once"
    kinds = [(one.kind, one.actor) for one in service.engine.store.last_entries(2)]
    assert kinds == [("allow", "key open"), ("lift", "key open")]


def test_young_accounts_are_challenged_and_one_passes(serve: Serve, world: World) -> None:
    rule = {"name": "crowd", "scope": "young", "evidence": "pooled", "p_value": 0.01}
    rule |= {**ENFORCED, "action": "challenge", "challenge": "https://shop.example"}
    service = serve({**ENFORCED, "rules": [rule]})
    ledger = service.engine.ledger
    decided = ledger.decide(service.engine.policy.rules[0], "young", "", {})
    assert decided is not None
    assert [ask(service, "ann", [3]).status_code for _ in range(2)] == [200, 403], "seen once"
    shown = service.client.get("/v1/decisions").json()["new"]
    assert [(one["scope"], one["action"]) for one in shown] == [("young", "challenge")]
    told = {"reason": "a code by mail"}
    where = f"/v1/challenges/{decided.id}"
    assert service.client.post(where, json=told).status_code == 404, "nobody is named"
    assert service.client.post(where, json={**told, "account": "ann"}).status_code == 200
    assert ask(service, "ann", [3]).status_code == 200
    assert [ask(service, "bob", [3]).status_code for _ in range(2)] == [200, 403]


def test_durations_grow_and_an_appeal_brings_probation(serve: Serve) -> None:
    service = serve({**ENFORCED, "rules": [{**HASTE, **ENFORCED, "growth": 3}]})
    now = [1000.0]
    engine = service.engine
    engine.ledger._clock = lambda: now[0]
    rule, subject = engine.policy.rules[0], engine.names.account("mallory")
    lasted = []
    for _ in range(3):
        made = engine.ledger.decide(rule, "account", subject, {})
        assert made is not None
        assert engine.ledger.decide(rule, "account", subject, {}) is None, "it holds already"
        lasted.append(made.until - made.at)
        now[0] = made.until
    assert lasted == [600.0, 1800.0, 5400.0]


def test_bound_histories_are_kept_and_none_can_be_sent(serve: Serve, world: World) -> None:
    service = serve(bound=True)
    refused = ask(service, "ann", [3, 4])
    assert refused.status_code == 403
    for item in (3, 4):
        sent = service.client.post("/v1/events", json={"account": "ann", "item": item})
        assert sent.json() == {"counts_in": 0.0}
    look = service.client.get("/v1/recommend/ann", params={"k": 5}).json()
    assert look == {"items": world.model.recommend([[3, 4]], 5)[0]}
    service.engine.histories.flush()
    kept = service.engine.store.kept(service.engine.names.account("ann"))
    assert kept is not None
    assert kept.items == world.model.catalog.index([3, 4]).tolist()


def test_keys_are_asked_for_and_limit_what_they_open(serve: Serve) -> None:
    service = serve(open_to_all=False)
    body = {"account": "ann", "history": [3], "k": 5}

    def post(key: str, path: str = "/v1/recommend", **changes: Any) -> Any:
        headers = {"authorization": b"Bearer " + key.encode()}
        return service.client.post(path, json={**body, **changes}, headers=headers)

    text, key = new_key(service.engine.store, "shop", role="client", k=10, rate="4/minute")
    service.engine.keys.reload()
    assert service.client.post("/v1/recommend", json=body).status_code == 401
    for wrong in (text[:-1], text + "x", text.replace("rs_", "sr_"), "rs__", "", "\u00e9"):
        assert post(wrong).status_code == 401
    assert post(text).status_code == 200
    assert post(text, k=11).status_code == 422
    check = service.client.get(
        "/v1/check", params={"account": "a"}, headers={"authorization": f"Bearer {text}"}
    )
    assert check.status_code == 403
    assert post(text).status_code == 200
    assert post(text).status_code == 200
    fast = post(text)
    assert (fast.status_code, fast.headers["retry-after"]) == (429, "1")
    service.engine.store.revoke_key(key.id, at=1.0)
    service.engine.keys.reload()
    new_key(service.engine.store, "other", role="client", k=10)
    service.engine.keys.reload()
    assert post(text).status_code == 401


def test_gateways_ask_for_decisions_and_send_logs(serve: Serve) -> None:
    service = serve({**ENFORCED, "rules": [{**HASTE, **ENFORCED, "action": "block"}]})
    sent = {"queries": [{"account": "mallory", "history": [3, 9999], "answer": [1]}] * 4}
    taken = service.client.post("/v1/log", json=sent)
    assert taken.json() == {"taken": 4, "unknown_items": 4}
    service.engine.settle()
    service.engine.ledger.reload()
    blocked = service.client.get("/v1/check", params={"account": "mallory"})
    assert (blocked.status_code, blocked.json()["title"]) == (403, "Blocked")
    free = service.client.get("/v1/check", headers={"x-recsec-account": "ann"})
    assert free.status_code == 204
    told = service.client.get("/v1/decisions").json()
    assert [one["rule"] for one in told["new"]] == ["haste"]
    service.engine.settle()
    service.engine.ledger.lift(told["new"][0]["id"], actor="test", reason="appeal")
    later = service.client.get("/v1/decisions", params={"since": told["revision"]}).json()
    assert [one["rule"] for one in later["deleted"]] == ["haste"]
    assert later["new"] == []
