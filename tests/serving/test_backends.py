"""What is done while the state is lost, a policy that changes, and a clock that is set back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_world import Serve, Service

from recsec.errors import ConfigError
from recsec.serving.clock import Steady
from recsec.serving.engine import Engine, open_state
from recsec.serving.evidence import Event, Evidence
from recsec.serving.ledger import Ledger
from recsec.serving.live.rates import moved
from recsec.serving.loss import Loss
from recsec.serving.policy import Policy, Rule, read_policy
from recsec.serving.source import Source
from recsec.serving.state import StateLost

HASTE = {"name": "haste", "more_than": 2, "within": "1h", "action": "block", "enforce": True}


def ask(service: Service, account: str) -> int:
    body = {"account": account, "history": [3], "k": 5}
    return int(service.client.post("/v1/recommend", json=body).status_code)


@pytest.mark.parametrize(
    ("mode", "enforce", "blocked", "other"),
    [
        ("open", True, 200, 200),
        ("closed", True, 429, 429),
        ("closed", False, 200, 200),
        ("last-known", True, 429, 200),
    ],
)
def test_what_is_done_while_the_state_is_lost(
    serve: Serve, mode: str, enforce: bool, blocked: int, other: int
) -> None:
    policy = {"enforce": enforce, "on_backend_loss": mode, "grace": "30s", "rules": [HASTE]}
    service = serve(policy)
    engine = service.engine
    now = [0.0]
    engine.loss = Loss(clock=lambda: now[0])
    for _ in range(3):
        assert ask(service, "mallory") == 200
        engine.settle()
    in_force = 429 if enforce else 200
    assert ask(service, "mallory") == in_force
    engine.loss.note("state", whole=False)
    now[0] = 29.0
    assert (ask(service, "mallory"), ask(service, "ann")) == (in_force, 200), "there is a grace"
    now[0] = 31.0
    assert (ask(service, "mallory"), ask(service, "ann")) == (blocked, other)
    engine.loss.note("state", whole=True)
    assert (ask(service, "mallory"), ask(service, "ann")) == (in_force, 200)


def test_a_full_disk_is_told_and_what_was_decided_is_written_later(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve({"enforce": True, "rules": [HASTE]}, bound=True)
    engine = service.engine
    full = StateLost("database or disk is full")

    def fails(*_: object, **__: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        for name in ("decide", "keep", "used_keys"):
            patch.setattr(engine.store, name, fails)
        sent = service.client.post("/v1/events", json={"account": "ann", "item": 3})
        assert sent.status_code == 200
        for _ in range(4):
            service.client.get("/v1/recommend/mallory")
            engine.settle()
        assert service.client.get("/v1/recommend/mallory").status_code == 429
        engine._ticked = float("inf")  # its own thread does not write
        engine._write(last=False)
        assert b'recsec_backend_up{backend="state"} 0' in engine.metrics.text()
        assert engine.store.decisions() == []
    engine._write(last=False)
    assert b'recsec_backend_up{backend="state"} 1' in engine.metrics.text()
    assert len(engine.store.decisions()) == 1
    assert engine.store.kept(engine.names.account("ann")) is not None
    assert {"backend is lost", "backend is back"} <= {one["event"] for one in service.logged}


def test_two_who_decide_at_once_under_two_policies_agree(tmp_path: Path) -> None:
    """A shadow decision does not keep an enforced one away; two of one kind are one."""
    _, store = open_state(tmp_path)
    rule = Rule.model_validate(HASTE)
    acting = Policy.model_validate({"enforce": True, "rules": [HASTE]})
    shadow = Policy.model_validate({"rules": [HASTE]})
    ledgers = [Ledger(store, policy) for policy in (acting, acting, shadow)]
    first = ledgers[0].decide(rule, "account", "x", {})
    assert first is not None
    assert ledgers[1].decide(rule, "account", "x", {}) is None
    assert ledgers[1].treatment("x").enforced == store.decision(first.id)
    quiet = ledgers[2].decide(rule, "account", "x", {})
    assert quiet is not None
    assert not quiet.enforced
    for one in ledgers:
        one.reload()
    assert ledgers[0].treatment("y").enforced is None
    assert ledgers[2].treatment("x").enforced is None, "under its policy nothing acts"
    store.close()


def test_a_changed_policy_is_taken_whole_or_not_at_all(serve: Serve, tmp_path: Path) -> None:
    service = serve({"enforce": True, "rules": [HASTE]})
    engine, path = service.engine, tmp_path / "policy.toml"
    text = 'enforce = {}\n[[rules]]\nname = "haste"\nmore_than = 2\nwithin = "1h"\n'
    text += 'action = "block"\nenforce = true\n'
    path.write_text(text.format("true"))
    engine._ticked = float("inf")  # its own thread does not look
    engine._source = Source(path, read_policy(path), lambda policy: None)
    for _ in range(4):
        ask(service, "mallory")
        engine.settle()
    assert ask(service, "mallory") == 429
    path.write_text("enforce = perhaps")
    for _ in range(3):
        engine._read_policy()
    assert ask(service, "mallory") == 429, "a broken one changes nothing"
    path.write_text(text.format("false"))
    engine._read_policy()
    assert engine.policy.enforce, "it may be half written: it is looked at twice"
    engine._read_policy()
    assert not engine.policy.enforce
    assert ask(service, "mallory") == 200, "what was decided acts no more"
    path.write_text(text.format("true"))
    engine.reload()
    engine._read_policy()
    assert ask(service, "mallory") == 429
    told = engine.metrics.text()
    assert b'recsec_policy_reloads_total{result="refused"} 1.0' in told
    assert b'recsec_policy_reloads_total{result="taken"} 2.0' in told


def test_a_policy_that_asks_for_what_is_not_there_is_refused(tmp_path: Path) -> None:
    _, store = open_state(tmp_path)
    policy = Policy.model_validate({})
    evidence = Evidence(policy, Ledger(store, policy), None, names=np.ndarray.tolist)
    rules = [{"name": "a", "p_value": 0.1}]
    with pytest.raises(ConfigError, match="asks for the detector combined"):
        evidence.anew(Policy.model_validate({"detectors": "x", "rules": rules}), None)
    assert evidence.policy == policy
    store.close()


def test_an_appeal_brings_probation(tmp_path: Path) -> None:
    _, store = open_state(tmp_path)
    now = [100.0]
    policy = Policy.model_validate({"enforce": True, "probation": "2h", "rules": [HASTE]})
    ledger, rule = Ledger(store, policy, clock=lambda: now[0]), policy.rules[0]
    made = ledger.decide(rule, "account", "x", {})
    assert made is not None
    assert ledger.appeal(made.id, actor="ann", reason="a partner")
    assert not ledger.appeal(made.id, actor="ann", reason="a partner")
    assert ledger.allows("x")
    assert ledger.decide(rule, "account", "x", {}) is None
    now[0] += 7201
    again = ledger.decide(rule, "account", "x", {})
    assert again is not None
    assert again.number == 1, "what was taken back does not count"
    assert [one.kind for one in store.trail()] == ["decision", "lift", "allow", "decision"]
    store.close()


def test_time_goes_on_when_the_clock_is_set_back() -> None:
    wall, since = [1000.0], [5.0]
    clock = Steady(wall=lambda: wall[0], since=lambda: since[0])
    assert clock() == 1000
    wall[0], since[0] = 1010.0, 15.0
    assert clock() == 1010
    wall[0], since[0] = 10.0, 16.0  # set back to long ago
    assert clock() == 1011
    wall[0], since[0] = 11.0, 17.0
    assert clock() == 1012
    wall[0], since[0] = 5000.0, 18.0  # set right again
    assert clock() == 5000
    wall[0], since[0] = 5000.5, 20.0  # slowed down
    assert clock() == 5000.5


def test_rates_and_periods_bear_a_clock_that_is_set_back(tmp_path: Path) -> None:
    assert moved((7, 3, 4), 8) == (8, 4, 1)
    assert moved((7, 3, 4), 6) == (7, 4, 4), "a little: the window before"
    assert moved((7, 3, 4), 2) == (2, 0, 1), "far: anew"
    _, store = open_state(tmp_path)
    policy = Policy.model_validate({"rules": [HASTE]})
    evidence = Evidence(policy, Ledger(store, policy), None, names=np.ndarray.tolist)
    at = [10_000.0, 9_999.0, 9_998.0]
    assert len(evidence.observe([Event("x", "", one) for one in at])) == 1
    store.close()


def test_an_engine_refuses_an_address_that_is_none(tmp_path: Path) -> None:
    names, store = open_state(tmp_path)
    with pytest.raises(ConfigError, match="no address of Redis"):
        Engine(Policy.model_validate({}), names, store, live="http://localhost")
    store.close()
