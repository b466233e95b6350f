"""Rules, evidence, the trail and replay, without a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from service_world import World, thief_log

from recsec.errors import ConfigError
from recsec.serving.engine import open_state
from recsec.serving.evidence import Event, Evidence
from recsec.serving.ledger import Ledger
from recsec.serving.policy import Policy, Rule, read_policy, share
from recsec.serving.replay import replay
from recsec.serving.state import Allowed, Decision, StateLost
from recsec.targets import LocalTarget
from recsec.traffic import QueryLog, click_law, honest_log

BLOCK = {"name": "thief", "p_value": 0.2, "action": "block"}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"name": "a"}, "a rule has p_value, or more_than"),
        ({"name": "a", "more_than": 3}, "more_than and within"),
        ({"name": "a", "p_value": 0.1, "scope": "key"}, "p-values are of accounts"),
        ({"name": "a", "more_than": 3, "within": "soon"}, "expected a time"),
        ({"name": "A b", "more_than": 3, "within": "1m"}, "pattern"),
        ({"name": "a", "more_than": 3, "within": "1m", "action": "maim"}, "action"),
        ({"name": "a", "more_than": 3, "within": "1m", "enforce": "yes"}, "valid boolean"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    tmp_path: Path, rule: dict[str, object], said: str
) -> None:
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in rule.items()]
    path = tmp_path / "policy.toml"
    path.write_text("\n".join(["[[rules]]", *lines]))
    with pytest.raises(ConfigError) as caught:
        read_policy(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(("line", "rule"), [('name = "slow"', "slow"), ("", "2")])
def test_a_rule_at_fault_is_named_and_its_keys_are_shown(
    tmp_path: Path, line: str, rule: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'[[rules]]\nname = "a"\np_value = 0.1\n[[rules]]\n{line}\np_valu = 0.1\n')
    with pytest.raises(ConfigError, match=f"rule {rule}: (p_valu|name): ") as caught:
        read_policy(path)
    assert str(caught.value.hint).startswith("settings are name, scope, p_value")


def test_all_looks_together_spend_the_level_once() -> None:
    spent = [share(queries, (20, 50, 100, 200)) for queries in range(200_000)]
    assert sum(spent) < 1
    assert sum(spent) > 0.99
    assert sum(1 for one in spent if one) == 4 + 9


def decided(world: World, log: QueryLog, folder: Path, size: int) -> list[tuple[str, str, int]]:
    _, store = open_state(folder)
    policy = Policy.model_validate({"detectors": "x", "period": "90s", "rules": [BLOCK]})
    ledger = Ledger(store, policy, clock=lambda: 0.0)
    evidence = Evidence(policy, ledger, world.fitted, names=np.ndarray.tolist, clock=lambda: 0.0)
    items, offsets = log.histories(np.arange(len(log)))
    events = [
        Event(
            log.calls.account[row],
            "",
            float(row),
            items[offsets[row] : offsets[row + 1]],
            log.calls.answers[row].astype(np.int64),
        )
        for row in range(len(log))
    ]
    made: list[Decision] = []
    for start in range(0, len(events), size):
        made += evidence.observe(events[start : start + size])
    store.close()
    return [(one.subject, one.evidence["queries"]) for one in made]


def test_decisions_do_not_depend_on_how_the_stream_is_cut(world: World, tmp_path: Path) -> None:
    log = thief_log(world, 4, 22)
    found = [decided(world, log, tmp_path / str(size), size) for size in (1, 7, len(log))]
    assert found[0] == found[1] == found[2]
    assert found[0]


def test_replay_says_who_would_have_been_reached(world: World) -> None:
    policy = Policy.model_validate({"detectors": "x", "rules": [{**BLOCK, "duration": "1h"}]})
    log = thief_log(world, 6, 25)
    out = replay(policy, log, world.fitted, thieves=[f"thief-{one}" for one in range(6)]).to_json()
    assert out["thieves"]["reached"] >= 5
    assert out["thieves"]["queries_before_reached"] == 20
    assert out["thieves"]["queries_refused"] == 5 * out["thieves"]["reached"]
    people = honest_log(
        LocalTarget(world.model),
        world.people,
        np.arange(200, 300),
        click_law("trivago", 10),
        queries=25,
        k=10,
        rng=np.random.default_rng(1),
    )
    strict = Policy.model_validate({"detectors": "x", "rules": [{**BLOCK, "p_value": 0.05}]})
    honest = replay(strict, people, world.fitted).to_json()
    assert honest["thieves"] is None
    assert honest["honest"]["interval"][0] <= 0.05


def test_the_trail_shows_what_was_changed(tmp_path: Path) -> None:
    _, store = open_state(tmp_path)
    for number in range(3):
        store.allow(Allowed(f"{number}", None, "why"), at=1.0 + number, actor="operator")
    assert store.verify() == []
    with sqlite3.connect(tmp_path / "service.sqlite") as base:
        base.execute("UPDATE trail SET body = replace(body, 'why', 'who') WHERE number = 2")
    base.close()
    assert store.verify() == ["line 2 (allow) was changed after it was written"]
    with sqlite3.connect(tmp_path / "service.sqlite") as base:
        base.execute("DELETE FROM trail WHERE number = 2")
    base.close()
    assert "line 2 is missing" in store.verify()[0]
    store.close()


def test_a_decision_holds_while_the_store_is_lost_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = open_state(tmp_path)
    rule = Rule.model_validate({"name": "a", "more_than": 1, "within": "1m", "enforce": True})
    policy = Policy.model_validate({"enforce": True, "rules": [rule]})
    ledger = Ledger(store, policy)
    kept = store.decide

    def lost(decision: Decision) -> None:
        raise StateLost("gone")

    monkeypatch.setattr(store, "decide", lost)
    made = ledger.decide(rule, "account", "x", {})
    assert made is not None
    assert ledger.treatment("x").enforced == made
    assert not ledger.write()
    assert store.decisions() == []
    monkeypatch.setattr(store, "decide", kept)
    assert ledger.write()
    assert [one.id for one in store.decisions()] == [made.id]
    store.close()
