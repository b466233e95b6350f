"""The pages below another path: in front of an application of somebody else, and of an API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_world import PASSWORD, cheap_passwords
from fastapi import FastAPI
from starlette.testclient import TestClient

import recsec
from recsec.errors import ConfigError
from recsec.serving.dashboard import PREFIX, Place, add_dashboard
from recsec.serving.engine import Engine, open_state
from recsec.serving.policy import read_policy
from recsec.serving.state import new_operator
from recsec.serving.upstream import OWN, create_proxy

POLICY = """
[traffic]
path = "/lists"
account = "header:x-user"
[[rules]]
name = "haste"
more_than = 2
within = "1h"
"""


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/{path:path}")
    def own(path: str) -> str:
        return f"own {path}"

    return app


def guarded(folder: Path) -> tuple[Any, str]:
    app = application()
    app.add_middleware(
        recsec.Guard, policy=folder / "policy.toml", state=folder / "state", dashboard="/ops/a-b"
    )
    return app, "/ops/a-b"


def proxied(folder: Path) -> tuple[Any, str]:
    rules = read_policy(folder / "policy.toml")
    assert rules.traffic is not None
    names, store = open_state(folder / "state")
    engine = Engine(rules, names, store)
    there = Place(folder / "policy.toml", folder / "state", str, OWN + PREFIX)
    app = create_proxy(
        engine,
        "http://127.0.0.1:9",
        rules.traffic,
        pages=lambda own: add_dashboard(own, engine, there),
    )
    return app, OWN + PREFIX


@pytest.fixture(params=[guarded, proxied])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, str]]:
    cheap_passwords(monkeypatch)
    (tmp_path / "policy.toml").write_text(POLICY)
    app, prefix = request.param(tmp_path)
    with TestClient(app, follow_redirects=False) as client:
        assert client.get(f"{prefix}/").status_code == 404, "nobody may log in"
        _, store = open_state(tmp_path / "state")
        new_operator(store, "ann", "admin", PASSWORD)
        store.close()
        yield client, prefix


def test_the_pages_stand_where_browsers_look_for_them(way: tuple[TestClient, str]) -> None:
    client, prefix = way
    sent = client.get(f"{prefix}/", headers={"accept": "text/html"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"{prefix}/login")
    form = {"name": "ann", "password": PASSWORD}
    entered = client.post(f"{prefix}/login", data=form)
    assert entered.headers["location"] == f"{prefix}/"
    assert f"Path={prefix};" in entered.headers["set-cookie"]
    assert client.get(prefix).headers["location"] == f"{prefix}/"
    links, followed = set[str](), set[str]()
    for path in ("/", "/policy", "/policy/haste", "/audits", "/proof"):
        page = client.get(f"{prefix}{path}")
        assert page.status_code == 200, path
        found = re.findall(r'(?:href|src|action|hx-get|sse-connect)="(/[^"]*)"', page.text)
        links |= set(found)
        followed |= set(re.findall(r'(?:href|src)="(/[^"]*)"', page.text))
    assert links
    assert [one for one in links if not one.startswith(f"{prefix}/")] == []
    for link in followed:
        assert client.get(link).status_code == 200, link
    assert f"{prefix}/live" in links


def test_all_else_is_the_applications_own(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    app, prefix = guarded(tmp_path)
    with TestClient(app) as client:
        for path in ("/dashboard", f"{prefix}x", "/ops", "/lists"):
            answer = client.get(path, headers={"x-user": "ann"})
            assert answer.json() == f"own {path[1:]}"
        layer: Any = app.middleware_stack
        while not isinstance(layer, recsec.Guard):
            layer = layer.app
        layer.engine.settle()
        registry = layer.engine.metrics.registry
        counted = {"route": "guarded", "code": "200"}
        assert registry.get_sample_value("recsec_requests_total", counted) == 1


@pytest.mark.hint('as in dashboard="/recsec"')
@pytest.mark.parametrize("path", ["", "/", "recsec", "/a/", "/a b", "//a"])
def test_a_path_that_is_none_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    with pytest.raises(ConfigError, match="no path for the dashboard") as error:
        recsec.Guard(
            None, policy=tmp_path / "policy.toml", state=tmp_path / "state", dashboard=path
        )
    assert '"/recsec"' in str(error.value.hint)
