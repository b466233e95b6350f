"""What operators do on the pages, and what the service then does."""

from __future__ import annotations

import io
import json
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from dashboard_world import PROOF, Board, OpenBoard
from PIL import Image
from waiting import until

from recsec.errors import CheckpointError
from recsec.serving.dashboard import PREFIX
from recsec.serving.dashboard.pulse import Pulse
from recsec.serving.dashboard.seen import see
from recsec.serving.dashboard.views.policies import WHOLE, switched, what_if
from recsec.serving.dashboard.views.watching import live
from recsec.serving.looks import Judged, read_looks, write_looks
from recsec.serving.photos import Shop
from recsec.serving.policy import Rule

RUNS = Path(__file__).resolve().parents[3] / "examples" / "runs"


def ask(board: Board, account: str) -> int:
    body = {"account": account, "history": [3], "k": 5}
    return int(board.service.client.post("/v1/recommend", json=body).status_code)


def test_the_watch_shows_the_thief_and_why(board: OpenBoard) -> None:
    opened = board()
    name = opened.steal("mallory")
    page = opened.get("/", "viewer").text
    assert page.index(name[:8]) > 0
    assert "block in shadow" in page
    assert "all in shadow: nothing is enforced" in page
    account = opened.get(f"/accounts/{name}", "viewer").text
    assert "What each detector sees" in account
    assert account.count('<p class="when">') == 20
    assert "item " in account
    assert "/act" not in account, "a viewer looks only"
    decision = opened.service.engine.store.about(name)[0]
    told = opened.get(f"/decisions/{decision.id}", "viewer").text
    assert f"after {decision.evidence['queries']} queries" in told
    assert opened.get(f"/accounts/{'0' * 32}", "viewer").status_code == 200
    assert opened.get("/accounts/ann", "viewer").status_code == 404


def test_after_a_restart_the_watch_shows_what_was_known(board: OpenBoard) -> None:
    before = board()
    name = before.steal("mallory")
    engine = before.service.engine
    assert engine._snapshot is not None
    engine.ask(lambda evidence: evidence.save(engine._snapshot)).result()  # type: ignore[arg-type]
    looks = engine.ask(lambda evidence: list(evidence.judged)).result()
    after = board({"rules": [{"name": "odd", "p_value": 0.3, "detector": "transition"}]})
    kept = after.service.engine.ask(lambda evidence: list(evidence.judged)).result()
    assert kept == looks
    assert len(kept) == 1
    page = after.get("/", "admin").text
    assert name[:8] in page
    assert "block in shadow" in page
    assert json.loads(after.get("/pulse").text)["looks"] == [
        [round(looks[0].at, 1), looks[0].p_values["combined"], False]
    ]
    shown = after.get(f"/accounts/{name}").text
    assert "Looks at it" in shown
    assert "Of 1 accounts that were judged" in after.get("/policy/odd").text


@pytest.mark.hint("delete that file: the pages begin without former looks")
def test_a_broken_file_of_looks_is_named_and_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "looks.safetensors"
    looks = [Judged("ab", 2.5, 20, 0.4, {"combined": 0.1, "seat": 0.2}, True)]
    write_looks(path, [*looks, Judged("c", 3.0, 50, 0.4, {"combined": 0.5}, False)])
    assert read_looks(path) == [*looks, Judged("c", 3.0, 50, 0.4, {"combined": 0.5}, False)]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError) as error:
        read_looks(path)
    assert "delete that file" in str(error.value.hint)
    path.unlink()
    assert read_looks(path) == []
    write_looks(path, [])
    assert read_looks(path) == []


def test_a_flagged_photo_is_shown_with_what_the_screens_said(board: OpenBoard, shop: Shop) -> None:
    rule = {"name": "fake", "evidence": "screen", "p_value": 0.01, "action": "block"}
    opened, noise = board({"rules": [rule]}, shop=shop), io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(noise, "PNG")
    answer = opened.service.client.post(
        "/v1/similar?account=eve", content=noise.getvalue(), headers={"content-type": "image/png"}
    )
    assert answer.status_code == 200
    (decision,) = opened.service.engine.ledger.active()
    told = opened.get(f"/decisions/{decision.id}", "viewer").text
    assert "What the screens said" in told
    assert decision.evidence["screen"]["sha256"] in told
    assert "a photo that screens flag" in opened.get("/", "viewer").text
    assert "flag at 1 % of honest ones" in opened.get("/policy", "viewer").text
    assert "With another threshold" not in opened.get("/policy/fake", "viewer").text


def test_a_block_by_hand_acts_at_once_and_stands_in_the_trail(board: OpenBoard) -> None:
    opened = board()
    store, name = opened.service.engine.store, opened.service.engine.names.account("ann")
    form = {"action": "block", "lasts": "10m", "reason": "a partner's  scraper"}
    for wrong in ({"reason": "x"}, {"lasts": "90d"}, {"lasts": "soon"}, {"action": "decoy"}):
        assert (
            opened.post(f"/accounts/{name}/act", {**form, **wrong}, "operator").status_code == 422
        )
    assert ask(opened, "ann") == 200
    assert opened.post(f"/accounts/{name}/act", form, "operator").status_code == 303
    assert ask(opened, "ann") == 429
    line = store.last_entries(1)[0]
    assert (line.actor, line.kind) == ("operator operator", "decision")
    assert json.loads(line.body)["reason"] == "a partner's scraper"
    assert list(store.verify()) == []
    decision = store.about(name)[0]
    again = opened.post(f"/accounts/{name}/act", {**form, "action": "tag"}, "operator")
    assert again.status_code == 303
    assert ask(opened, "ann") == 200
    cleared = {"reason": "it was a mistake"}
    assert opened.post(f"/decisions/{decision.id}/clear", cleared, "operator").status_code == 409
    tag = store.about(name)[1]
    assert opened.post(f"/decisions/{tag.id}/clear", cleared, "operator").status_code == 303
    assert not opened.service.engine.ledger.allows(name), "no probation after an act by hand"


def test_what_is_cleared_comes_on_probation_and_the_allow_list_frees(board: OpenBoard) -> None:
    opened = board()
    engine, name = opened.service.engine, opened.steal("mallory")
    decision = engine.store.about(name)[0]
    cleared = opened.post(f"/decisions/{decision.id}/clear", {"reason": "an appeal"}, "operator")
    assert cleared.status_code == 303
    assert engine.ledger.allows(name)
    form = {"action": "block", "lasts": "1h", "reason": "all the same"}
    assert opened.post(f"/accounts/{name}/act", form).status_code == 409
    assert opened.post(f"/accounts/{name}/forbid").status_code == 303
    assert not engine.ledger.allows(name)
    assert opened.post(f"/accounts/{name}/forbid").status_code == 409
    assert opened.post(f"/accounts/{name}/allow", {"reason": "a partner"}).status_code == 303
    assert "on the allow list: a partner" in opened.get(f"/accounts/{name}").text
    kinds = [one.kind for one in engine.store.last_entries(4)]
    assert kinds == ["allow", "forbid", "allow", "lift"]
    assert list(engine.store.verify()) == []


def test_a_switch_is_written_into_the_file_and_acts(board: OpenBoard) -> None:
    opened = board()
    file = opened.folder / "policy.toml"
    first = opened.steal("mallory")
    assert ask(opened, "mallory") == 200
    page = opened.get("/policy/thief").text
    assert "1 decisions in shadow about 1" in page
    assert "Of 1 accounts that were judged, 1 were suspicious enough" in page
    form = {"to": "enforce", "reason": "a week went well"}
    assert opened.post("/policy/thief", form).status_code == 303
    assert opened.service.engine.ledger.policy.told().endswith("nothing is enforced")
    assert opened.post(f"/policy/{WHOLE}", form).status_code == 303
    text = file.read_text()
    assert "# this comment stays" in text
    assert tomllib.loads(text)["rules"][0]["enforce"] is True
    assert list(opened.folder.glob(".*draft")) == []
    second = opened.steal("eve")
    assert ask(opened, "eve") == 429
    modes = [opened.service.engine.store.about(one)[0].enforced for one in (first, second)]
    assert modes == [False, True]
    assert opened.post(f"/policy/{WHOLE}", {"to": "shadow", "reason": "rest"}).status_code == 303
    opened.steal("trudy")
    assert ask(opened, "trudy") == 200
    assert opened.post("/policy/nothing", form).status_code == 404
    file.write_text("nonsense = 1")
    assert opened.post(f"/policy/{WHOLE}", form).status_code == 422
    assert file.read_text() == "nonsense = 1"


def test_only_one_switch_changes() -> None:
    text = '# top\n[[rules]]\nname = "a" # x\naction = "tag"\n\n[[rules]]\nname = "b"\n'
    assert switched(text, "b", enforce=True) == text + "enforce = true\n"
    assert switched(text, WHOLE, enforce=True) == "enforce = true\n" + text
    both = switched(switched(text, "a", enforce=True), "a", enforce=False)
    assert tomllib.loads(both)["rules"][0] == {"name": "a", "action": "tag", "enforce": False}


def test_another_threshold_is_replayed_over_the_looks() -> None:
    rule = Rule(name="thief", p_value=0.1, action="block")
    seen = [
        ("a", 0.01, 0.2, True), ("a", 0.5, 0.2, True), ("b", 0.03, 0.2, False),
        ("c", 0.001, 0.1, False), ("d", 0.9, 0.2, False),
    ]  # fmt: skip
    looks = [Judged(who, 0.0, 20, share, {"combined": p}, young) for who, p, share, young in seen]
    assert what_if(rule, looks, 0.1).reached == ("a", "c")
    assert what_if(rule, looks, 0.15).reached == ("a", "b", "c")
    assert what_if(rule, looks, 0.001).reached == ()
    assert (what_if(rule, looks, 0.1).judged, what_if(rule, looks, 0.1).chance) == (4, 0.4)
    young = rule.model_copy(update={"scope": "young"})
    assert what_if(young, looks, 0.9).reached == ("a",)


def test_the_page_asks_for_another_threshold(board: OpenBoard) -> None:
    opened = board()
    opened.steal("mallory")
    part = opened.get("/policy/thief?level=0.5", "viewer", hx_request="true").text
    assert "<html" not in part
    assert "it would have reached <b>1</b> of 1 accounts" in part
    assert opened.get("/policy/thief?level=2", "viewer").status_code == 422


def test_the_copy_agrees_with_the_watch(board: OpenBoard) -> None:
    opened = board()
    names = [opened.steal(f"thief {number}", 20 + number) for number in range(3)]
    engine = opened.service.engine
    seen = engine.ask(lambda evidence: see(evidence, engine.clock())).result(20)
    assert engine.evidence.watch is not None
    table = engine.evidence.watch.accounts()
    told = {one.account: (one.queries, one.p_value) for one in seen.suspects}
    rows = table.select("id", "queries", "p_value").iter_rows()
    assert told == {id: (queries, pytest.approx(p)) for id, queries, p in rows}
    assert set(told) == set(names)
    assert (seen.waiting, len(seen.looks)) == ("3 of 50 young accounts with 10 queries", 3)
    assert all(one.cluster == 1 for one in seen.suspects if one.p_value <= 0.05)


def test_what_changes_is_sent(board: OpenBoard) -> None:
    from recsec.serving.dashboard.desk import Desk, Place

    opened = board()
    name = opened.steal("mallory")
    desk = Desk(opened.service.engine, Place(None, opened.folder, str))
    parts = live(desk)
    assert name[:8] in parts["accounts"]
    assert "block in shadow" in parts["decisions"]
    pulse = json.loads(parts["pulse"])
    assert pulse["rules"] == [{"name": "thief", "level": 0.3}]
    assert [look[2] for look in pulse["looks"]] == [True]
    assert opened.get("/pulse", "viewer").json()["looks"] == pulse["looks"]


def test_the_pulse_counts_requests_but_not_its_own(board: OpenBoard) -> None:
    opened, now = board(), [100.0]
    engine = opened.service.engine
    pulse = Pulse(engine, clock=lambda: now[0])
    for seconds in (0.0005, 0.0015, 0.0015, 0.04):
        engine.metrics.duration.labels("/v1/recommend").observe(seconds)
        engine.metrics.duration.labels(f"{PREFIX}/").observe(5.0)
    now[0] += 2
    beat = pulse.beat()
    assert (beat.at, beat.rate) == (102.0, 2.0)
    assert beat.median == pytest.approx(1.5)
    assert beat.slow == pytest.approx(20 + 30 * 0.8)
    now[0] += 2
    empty = pulse.beat()
    assert (empty.rate, empty.median) == (0.0, None)
    assert pulse.beats(after=103) == [empty]


def test_an_audit_is_started_and_cancelled(board: OpenBoard) -> None:
    opened = board()
    assert opened.post("/audits/cancel", name="operator").status_code == 409
    assert opened.post("/audits/start", name="operator").status_code == 303
    assert "running" in opened.get("/audits").text
    assert opened.post("/audits/start", name="operator").status_code == 409
    assert opened.post("/audits/cancel", name="operator").status_code == 303
    until(lambda: "cancelled" in opened.get("/audits/job", "viewer").text)
    page = opened.get("/audits/job", "viewer").text
    assert "Start the example" not in page, "a viewer starts nothing"
    assert "Start the example" in opened.get("/audits/job", "operator").text
    lines = opened.service.engine.store.last_entries(3)
    assert [json.loads(one.body)["action"] for one in lines[:2]] == ["cancelled", "started"]


def test_runs_and_proofs_that_lie_there_are_shown(board: OpenBoard) -> None:
    opened = board()
    assert "No finished audit" in opened.get("/audits").text
    assert "No proof yet" in opened.get("/proof").text
    shutil.copytree(RUNS, opened.folder / "audits")
    runs = opened.get("/audits").text
    for told in ("before", "after", "made-up data", "Trends, comparisons"):
        assert told in runs
    site = opened.get("/audits/site/index.html", "viewer")
    links = re.findall(r'href="(runs/[^"]+)"', site.text)
    assert {Path(one).name for one in links} >= {"report.html", "diff.html"}
    for link in links:
        assert opened.get(f"/audits/site/{link}", "viewer").status_code == 200
    folder = opened.folder / "proofs"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(PROOF))
    (folder / "two.json").write_text(json.dumps({"suspect": 1}))
    page = opened.get("/proof").text
    for told in ("https://copy.example", "copied", "0.0001", "ab12", "twin p 0.4", "two.json"):
        assert told in page
    assert "lines, unbroken" in page
    store = opened.service.engine.store
    with store._base(write=True) as base:  # type: ignore[attr-defined]
        base.exec_driver_sql("UPDATE trail SET actor = 'nobody' WHERE number = 2")
    assert "line 2 (login) was changed" in opened.get("/proof").text
