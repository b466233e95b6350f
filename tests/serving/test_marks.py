"""A stronger watermark for accounts under suspicion, where the model carries one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from service_world import Serve, Service, World

from recsec.errors import ConfigError
from recsec.targets import GuardedLists, LocalTarget, ServedTarget, Target, more_marked
from recsec.targets.guards import Watermark
from recsec.targets.guards.marks import green_items

KEY = bytes(range(32))
RULE = {
    "name": "haste",
    "more_than": 1,
    "within": "1h",
    "action": "watermark",
    "bias": 2.0,
    "enforce": True,
}


def mark(world: World, bias: float = 0.2) -> Watermark:
    return Watermark(KEY, world.people.counts, bias=bias, triggers=False)


def lists(service: Service, account: str) -> list[bytes]:
    """Twelve lists, after the account was asked for twice."""
    found = []
    for item in (1, 2, *range(3, 15)):
        body = {"account": account, "history": [item, item + 40], "k": 10}
        answer = service.client.post("/v1/recommend", json=body)
        service.engine.settle()
        found.append(answer.content)
    return found[2:]


def green(world: World, answers: list[bytes]) -> float:
    marked = green_items(KEY, world.people.counts)
    rows = [world.model.catalog.index(json.loads(one)["items"]) for one in answers]
    return float(np.mean(marked[np.concatenate(rows)]))


@pytest.mark.parametrize("served", [True, False])
def test_an_account_under_suspicion_gets_the_lists_of_the_stronger_mark(
    serve: Serve, world: World, served: bool
) -> None:
    target: Any = LocalTarget(world.model, [mark(world)])
    strong: Any = LocalTarget(world.model, [mark(world, 2.0)])
    if served:
        target, strong = ServedTarget(target), ServedTarget(strong)
    rules = {"enforce": True, "rules": [RULE]}
    plain = lists(serve(target=target, state="plain"), "ann")
    watched = serve(rules, target=target, state="watched")
    found = lists(watched, "ann")
    assert found == lists(serve(target=strong, state="strong"), "ann")
    assert green(world, found) > green(world, plain) + 0.1
    first = watched.client.post("/v1/recommend", json={"account": "bob", "history": [3, 43]})
    again = serve(target=target, state="bob").client
    assert first.content == again.post("/v1/recommend", json={"history": [3, 43]}).content
    shadow = serve({**rules, "enforce": False}, target=target, state="shadow")
    assert lists(shadow, "ann") == plain
    assert shadow.engine.ledger.active()[0].parameters == {"bias": 2.0}


def test_a_decision_older_than_the_model_does_nothing(serve: Serve, world: World) -> None:
    plain = lists(serve(state="plain"), "ann")
    assert lists(serve({"enforce": True, "rules": [RULE]}, state="watched"), "ann") == plain


@pytest.mark.hint('recsec serve guarded.toml, with [[guards]] name = "watermark"')
@pytest.mark.hint("bias = 1.0, say; at most 2")
def test_only_a_mark_can_be_made_stronger(world: World) -> None:
    target: Target = LocalTarget(world.model)
    for one in (target, ServedTarget(LocalTarget(world.model)), GuardedLists(target, [])):
        with pytest.raises(ConfigError, match="carries no watermark") as error:
            more_marked(one, 1.0)
        assert "watermark" in str(error.value.hint)
    marked = ServedTarget(LocalTarget(world.model, [mark(world, 1.0)]))
    with pytest.raises(ConfigError, match="no stronger watermark") as error:
        more_marked(marked, 1.0)
    assert "bias" in str(error.value.hint)
    history = np.array([[3, 43]])
    listed = more_marked(GuardedLists(target, [mark(world)]), 2.0)
    weak = GuardedLists(target, [mark(world)])
    assert not np.array_equal(listed.query("a", history, 10), weak.query("a", history, 10))
