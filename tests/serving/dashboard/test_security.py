"""Who may do what on the dashboard, and what hostile names, forms and cookies cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from dashboard_world import PASSWORD, PROOF, Board, OpenBoard

from recsec.serving.dashboard import LIVE, PREFIX, ROUTES, Route
from recsec.serving.dashboard import sessions as entered
from recsec.serving.dashboard.views.policies import WHOLE
from recsec.serving.state import GRADES, Operator, new_operator, new_password

POSTS = [route for route in ROUTES if route.method == "POST"]
KEPT = "0" * 32
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e'


def path_of(route: Route) -> str:
    path = route.path.replace("{id}", "d-0").replace("{path:path}", "index.html")
    name = {"/static/{name}": "dash.css", "/policy/{name}": WHOLE}.get(route.path, KEPT)
    return path.replace("{name}", name)


def ask(board: Board, route: Route, name: str) -> Any:
    if route.method == "GET":
        return board.get(path_of(route), name)
    return board.post(path_of(route), {"name": "nobody"}, name)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_asks_for_its_role(board: OpenBoard, route: Route) -> None:
    opened = board()
    for place, grade in enumerate(("", *GRADES)):
        if route.path == "/logout" and grade:
            continue
        answer = ask(opened, route, grade)
        wrong_password = route.path == "/login" and answer.status_code == 401
        refused = answer.status_code in (401, 403) and not wrong_password
        needed = 0 if route.grade is None else 1 + GRADES.index(route.grade)
        assert refused is (place < needed), (grade, answer.status_code, answer.text[-300:])
        assert "script-src 'self'" in answer.headers["content-security-policy"] or (
            "style-src 'unsafe-inline'" in answer.headers["content-security-policy"]
        )
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_route_is_outside_of_the_list(board: OpenBoard) -> None:
    opened = board()
    there = {
        (method, route.path.removeprefix(PREFIX))
        for route in opened.service.app.routes
        if getattr(route, "path", "").startswith(PREFIX)
        for method in getattr(route, "methods", ())
    }
    assert there == {(route.method, route.path) for route in ROUTES} | {("GET", LIVE), ("GET", "")}
    assert opened.get(LIVE, "").status_code == 401


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.path)
def test_forms_of_other_sites_do_nothing(board: OpenBoard, route: Route) -> None:
    opened, path = board(), path_of(route)
    before = opened.service.engine.store.last_entries(1)[0].number
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        assert opened.post(path, name="admin", **headers).status_code == 403
    if route.grade is not None:
        for mark in ("", "x", opened.mark("viewer"), "\u00e9"):
            assert opened.post(path, {"mark": mark}, "admin").status_code == 403
    sent = opened.service.client.post(PREFIX + path, json={"mark": opened.mark("admin")})
    assert sent.status_code == 415
    assert opened.service.engine.store.last_entries(1)[0].number == before


@pytest.mark.hostile(kind="service", what="a cookie that was planted before the login")
def test_a_session_is_new_with_each_login_and_ends_everywhere(board: OpenBoard) -> None:
    opened = board()
    store = opened.service.engine.store
    opened.cookies["admin"] = "planted"
    assert opened.get("/", "admin").status_code == 401
    answer = opened.service.client.post(
        f"{PREFIX}/login",
        data={"name": "admin", "password": PASSWORD},
        headers={"cookie": "recsec_dashboard=planted", "x-forwarded-proto": "https"},
        follow_redirects=False,
    )
    cookie = answer.headers["set-cookie"]
    assert "planted" not in cookie
    for flag in ("HttpOnly", "SameSite=strict", "Path=/dashboard", "Secure"):
        assert flag in cookie
    first = opened.cookies["operator"]
    assert "Secure" not in opened.login("operator").headers["set-cookie"]
    assert opened.cookies["operator"] != first
    assert opened.post("/logout", name="operator").status_code == 303
    assert opened.get("/", "operator").status_code == 401
    opened.cookies["operator"] = first
    assert opened.get("/", "operator").status_code == 200
    new_password(store, "operator", "another long password")
    assert opened.get("/", "operator").status_code == 401
    assert opened.login("operator").status_code == 401
    store.remove_operator("viewer", actor="test")
    assert opened.get("/", "viewer").status_code == 401


def test_a_session_ends_by_itself(board: OpenBoard) -> None:
    opened = board()
    engine, now = opened.service.engine, opened.service.engine.clock()
    engine.clock = lambda: now + 3 * 3600
    assert opened.get("/proof").status_code == 401
    for hour in range(12):
        engine.clock = lambda hour=hour: now + hour * 3600
        assert opened.get("/proof").status_code == 200
    engine.clock = lambda: now + 12.1 * 3600
    assert opened.get("/proof").status_code == 401


@pytest.mark.hostile(kind="service", what="passwords that are guessed")
def test_guessing_is_limited_by_name_and_by_address(board: OpenBoard) -> None:
    opened = board()
    assert [opened.login("admin", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
    right = opened.login("admin")
    assert right.status_code == 429
    assert 0 < int(right.headers["retry-after"]) <= 900
    codes = [opened.login(f"guess {place}").status_code for place in range(30)]
    assert set(codes) == {401, 429}
    assert codes[-1] == 429
    assert not [one for one in opened.service.logged if "wrong" in json.dumps(one)]


@pytest.mark.hostile(kind="service", what="a name that somebody locks for others")
def test_whoever_guesses_locks_the_name_for_his_network_only(
    board: OpenBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = entered.Sessions(board().service.engine)
    right = Operator(name="admin", grade="admin", hash="", created=0.0)
    monkeypatch.setattr(
        entered, "known_operator", lambda store, name, said: right if said == "right" else None
    )

    def log_in(place: str, said: str = "wrong", name: str = "admin") -> str:
        try:
            return "in" if sessions.login(name, said, place) else "refused"
        except entered.TooOften:
            return "too often"

    for place, neighbor, other in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.9", "::ffff:192.0.2.9", "::ffff:192.0.2.8"),
    ):
        assert [log_in(place) for _ in range(6)] == ["refused"] * 5 + ["too often"]
        assert log_in(neighbor, "right") == "too often"
        assert log_in(other, "right") == "in"
    names = [log_in("198.51.100.1", name=f"a{number}") for number in range(31)]
    assert names == ["refused"] * 30 + ["too often"], "a network guesses 30 times"
    for number in range(1000):
        log_in(f"203.0.{number // 5 // 250}.{number // 5 % 250}", name="bound")
    assert log_in("203.1.0.1", "right", name="bound") == "too often", "there is an end to it"


@pytest.mark.hostile(kind="service", what="names, titles and reasons with markup in them")
def test_hostile_names_are_text(board: OpenBoard) -> None:
    opened = board(title=lambda item: HOSTILE)
    name = opened.steal(HOSTILE)
    new_operator(opened.service.engine.store, HOSTILE[:39], "admin", PASSWORD)
    hostile = opened.login(HOSTILE[:39])
    assert hostile.status_code == 303
    done = opened.post(
        f"/accounts/{name}/act",
        {"action": "tag", "reason": HOSTILE, "lasts": "1h"},
        HOSTILE[:39],
    )
    assert done.status_code == 303
    proof = PROOF | dict.fromkeys(("suspect", "key", "verdict"), HOSTILE)
    proof |= {"controls": {HOSTILE: {"p_value": 1.0}}}
    (opened.folder / "proofs").mkdir()
    (opened.folder / "proofs" / "a.json").write_text(json.dumps(proof))
    (opened.folder / "proofs" / "<i>.json").write_text("[]")
    decision = opened.service.engine.store.about(name)[-1].id
    pages = ("/", f"/accounts/{name}", f"/decisions/{decision}", "/proof", "/policy", "/audits")
    seen = [opened.get(path, HOSTILE[:39]) for path in pages]
    wrong = opened.post("/accounts", {"account": "x" * 201})
    for answer in (*seen, wrong):
        text = re.sub(r"<script src=\"/dashboard/static/[\w.]+\" defer></script>", "", answer.text)
        assert "<script" not in text
        assert "<img" not in text
        assert "<i>" not in text
        assert "\u202e" not in text
    assert "&lt;script&gt;" in seen[1].text
    assert "&lt;script&gt;" in seen[3].text
    assert "&lt;script&gt;" in seen[0].text


def test_no_page_and_no_log_shows_a_secret(board: OpenBoard) -> None:
    opened = board()
    name = opened.steal("mallory")
    opened.get("/")
    assert opened.post("/accounts", {"account": "mallory"}).headers["location"].endswith(name)
    store = opened.service.engine.store
    hidden = {one.hash for one in store.operators()} | {PASSWORD, "mallory"}
    hidden |= set(opened.cookies.values())
    pages = ("/", f"/accounts/{name}", "/proof", "/policy", "/policy/thief", "/audits", "/pulse")
    for path in pages:
        text = opened.get(path).text
        assert [one for one in hidden if one in text] == []
    for line in (json.dumps(one) for one in opened.service.logged):
        assert [one for one in hidden if one in line] == []
    kept = (store.path).read_bytes()  # type: ignore[attr-defined]
    assert not [one for one in opened.cookies.values() if one.encode() in kept]


@pytest.mark.hostile(kind="service", what="paths that lead out of a folder", cases=6)
@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2f__init__.py",
        "/static/vendored.toml",
        "/audits/site/../policy.toml",
        "/audits/site/..%2fpolicy.toml",
        "/audits/site/%2fetc%2fpasswd",
        "/audits/site/a.html%00",
    ],
)
def test_no_path_leads_out(board: OpenBoard, path: str) -> None:
    opened = board()
    site = opened.folder / "audits-site"
    site.mkdir()
    (site / "link.html").symlink_to(opened.folder / "policy.toml")
    assert opened.get(path).status_code in (404, 400)
    assert opened.get("/audits/site/link.html").status_code == 404


def test_without_operators_there_is_nothing(board: OpenBoard) -> None:
    opened = board()
    for grade in GRADES:
        opened.service.engine.store.remove_operator(grade, actor="test")
    for path in ("/", "/login", "/static/dash.css", LIVE):
        assert opened.get(path).status_code == 404


def test_the_vendored_files_are_those_that_were_taken() -> None:
    import hashlib
    import tomllib

    from recsec.serving import dashboard

    folder = Path(str(dashboard.__file__)).parent / "static"
    listed = tomllib.loads((folder / "vendored.toml").read_text())
    assert {path.name for path in folder.glob("*.min.*")} == set(listed)
    for name, told in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told["sha256"]
        assert f"{told['package']} {told['version']}" in (folder / "LICENSES.txt").read_text()
