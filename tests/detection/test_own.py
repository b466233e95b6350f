"""Fitted to the owner's own log: people it has seen, people with clients it hasn't, thieves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from detection_world import QUERIES, World, joined

from recsec.detection import FitConfig, Fitted, explain, fit_on_log, judge
from recsec.errors import DataError
from recsec.rng import Streams
from recsec.targets import LocalTarget
from recsec.targets.meter.segments import Calls
from recsec.traffic import MEASURED, Pattern, QueryLog, pattern_log

LAW = MEASURED["trivago"].law(10).model_copy(update={"restart": 0.05})


def asked(world: World, pattern: Pattern, users: np.ndarray, seed: int) -> QueryLog:
    return pattern_log(
        LocalTarget(world.model),
        world.people,
        users,
        LAW,
        pattern,
        queries=QUERIES,
        k=10,
        rng=np.random.default_rng(seed),
    )


def backwards(log: QueryLog) -> QueryLog:
    """A client that sends the newest item first."""
    items, offsets = log.histories(np.arange(len(log)))
    turned = np.concatenate([items[a:b][::-1] for a, b in pairwise(offsets)])
    calls = log.calls
    new = Calls(
        call=calls.call,
        account=[f"back-{name}" for name in calls.account],
        parent=np.full(len(log), -1),
        items=turned.astype(np.int32),
        offsets=offsets,
        k=calls.k,
        answers=calls.answers,
    )
    return QueryLog(log.catalog, new)


@pytest.fixture(scope="module")
def own(world: World) -> Fitted:
    users = np.setdiff1d(np.flatnonzero(world.people.lengths >= 35), world.groups.test)
    log = asked(world, Pattern(), users, 1)
    config = FitConfig(queries=QUERIES)
    fitted, table, groups = fit_on_log(world.model, log, config, streams=Streams(0))
    parts = [set(part.tolist()) for part in vars(groups).values()]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert set(table["law"]) == {"own traffic"}
    assert "own log" in fitted.protocol["honest_traffic"]
    return fitted


def judged(fitted: Fitted, log: QueryLog):
    watch = fitted.watch()
    watch.observe_log(log, np.arange(len(log)))
    return judge(watch, log, level=0.05)


def test_people_pass_and_a_planted_thief_is_flagged(world: World, own: Fitted) -> None:
    log = joined(asked(world, Pattern(), world.groups.test, 2), world.thieves("random", 3))
    table = judged(own, log)
    flagged = table.filter("flagged")["id"].to_list()
    assert {f"thief-{one}" for one in range(3)} <= set(flagged)
    assert len(flagged) <= 3 + 2
    assert table["withheld"].null_count() == len(table)


@pytest.mark.parametrize(
    "pattern",
    [Pattern(again=1.0), Pattern(devices=2), Pattern(window=1)],
    ids=["reloads", "two devices", "item pages"],
)
def test_patterns_that_the_fit_never_saw_raise_no_alarm(
    world: World, own: Fitted, pattern: Pattern
) -> None:
    table = judged(own, asked(world, pattern, world.groups.test, 3))
    assert table["flagged"].sum() <= 1


def test_a_client_that_the_fit_does_not_know_is_withheld_and_a_few_thieves_are_not(
    world: World, own: Fitted
) -> None:
    people = asked(world, Pattern(), world.groups.test, 4)
    log = joined(people, backwards(people), world.thieves("random", 3))
    table = judged(own, log)
    strange = table.filter(table["withheld"].is_not_null())
    assert strange["id"].str.starts_with("back-").all()
    told = table.filter(table["id"].str.starts_with("back-") & table["withheld"].is_null())
    assert set(told["p_value"].to_list()) == {1.0}  # fewer than 20 queries that repeat none
    assert len(strange) >= 20
    assert strange["p_value"].null_count() == len(strange)
    assert "accounts ask so" in strange["withheld"][0]
    assert not strange["flagged"].any()
    assert table.filter("flagged")["id"].str.starts_with("thief-").sum() == 3


def test_an_account_is_explained(world: World, own: Fitted) -> None:
    log = joined(asked(world, Pattern(), world.groups.test[:5], 5), world.thieves("random", 1))
    found = explain(own, log, "thief-0")
    assert (found.queries, found.judged, found.checkpoint) == (QUERIES, QUERIES, 50)
    assert found.p_value < 0.01
    assert found.views[0]["score"] > found.views[0]["top"]
    assert [step["step"] for step in found.steps] == ["starts", *["goes on"] * (QUERIES - 1)]
    assert found.steps[0]["rank"] is None
    assert found.asks is None
    with pytest.raises(DataError, match="no account 'nobody'"):
        explain(own, log, "nobody")


def test_too_few_accounts(world: World) -> None:
    log = asked(world, Pattern(), world.groups.test[:30], 6)
    with pytest.raises(DataError, match="three groups need 60"):
        fit_on_log(world.model, log, FitConfig(queries=QUERIES), streams=Streams(0))
