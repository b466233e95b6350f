"""``recsec.Guard`` in front of somebody's own application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from service_world import World
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

import recsec
from recsec.errors import ConfigError
from recsec.serving.places import Places

TRAFFIC = """
detectors = "{detectors}"
enforce = {enforce}
[traffic]
path = "/lists"
account = "header:x-user"
history = "$.seen"
list = "$.result[*].id"
[[rules]]
name = "haste"
more_than = 2
within = "1h"
action = "{action}"
length = 1
enforce = true
"""


def shop(world: World) -> FastAPI:
    """An application that knows nothing of recsec."""
    app = FastAPI()

    @app.post("/lists")
    def lists(seen: Annotated[list[int], Body(embed=True)]) -> dict[str, Any]:
        return {"result": [{"id": one} for one in world.model.recommend([seen], 5)[0]]}

    @app.get("/other")
    def other() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), media_type="text/plain")

    return app


def guarded(world: World, folder: Path, action: str, *, enforce: bool) -> FastAPI:
    text = TRAFFIC.format(
        detectors=world.folder / "detectors", action=action, enforce=str(enforce).lower()
    )
    policy = folder / "policy.toml"
    policy.write_text(text)
    app = shop(world)
    app.add_middleware(recsec.Guard, policy=policy, state=folder / "state")
    return app


def guard_of(app: FastAPI) -> Any:
    layer: Any = app.middleware_stack
    while not isinstance(layer, recsec.Guard):
        layer = layer.app
    return layer


def ask(client: TestClient) -> Any:
    return client.post("/lists", json={"seen": [3, 4]}, headers={"x-user": "mallory"})


@pytest.mark.parametrize("action", ["block", "shorten", "tag"])
def test_in_shadow_every_byte_is_the_applications_own(
    world: World, tmp_path: Path, action: str
) -> None:
    app = guarded(world, tmp_path, action, enforce=False)
    with TestClient(shop(world)) as plain, TestClient(app) as watched:
        guard = guard_of(app)
        for _ in range(5):
            one, other = ask(plain), ask(watched)
            guard.engine.settle()
            assert (one.status_code, one.content) == (other.status_code, other.content)
            assert one.headers.raw == other.headers.raw
        assert plain.get("/other").content == watched.get("/other").content
        assert (
            plain.post("/lists", content=b"{").content
            == watched.post("/lists", content=b"{", headers={"x-user": "mallory"}).content
        )
        assert len(guard.engine.ledger.active()) == 1
        assert guard.engine.evidence.watch.seen == 5


@pytest.mark.parametrize("action", ["block", "shorten", "tag"])
def test_enforced_it_acts(world: World, tmp_path: Path, action: str) -> None:
    app = guarded(world, tmp_path, action, enforce=True)
    with TestClient(app) as client:
        right = ask(client)
        for _ in range(3):
            ask(client)
            guard_of(app).engine.settle()
        treated = ask(client)
        if action == "block":
            assert treated.status_code == 429
            assert treated.json()["decision"].startswith("d-")
        elif action == "shorten":
            assert treated.json() == {"result": right.json()["result"][:1]}
        else:
            assert treated.json() == right.json()
            assert treated.headers["x-recsec-decision"].startswith("d-")
        without = client.post("/lists", json={"seen": [3, 4]})
        assert without.json() == right.json()


@pytest.mark.hint('[traffic] with path = "/recommend", account = "header:x-user"')
@pytest.mark.hint("name detectors and history, or block or shorten")
@pytest.mark.hint("recsec serve guarded.toml serves a model with a watermark")
def test_a_policy_that_cannot_work_here_is_refused(world: World, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("enforce = false\n")
    with pytest.raises(ConfigError, match="does not say where"):
        recsec.Guard(None, policy=policy, state=tmp_path / "state")
    traffic = '[traffic]\npath = "/recommend"\naccount = "header:x-user"\n'
    rule = '[[rules]]\nname = "a"\nmore_than = 1\nwithin = "1m"\n'
    policy.write_text(traffic + rule + 'action = "decoy"\n')
    with pytest.raises(ConfigError, match="decoys are lists"):
        recsec.Guard(None, policy=policy, state=tmp_path / "state")
    policy.write_text(traffic + rule + 'action = "watermark"\n')
    with pytest.raises(ConfigError, match="other servers make them") as error:
        recsec.Guard(None, policy=policy, state=tmp_path / "state")
    assert "recsec serve guarded.toml" in str(error.value.hint)
    policy.write_text(traffic + rule + 'action = "block"\n')
    recsec.Guard(None, policy=policy, state=tmp_path / "state").engine.store.close()


def test_places_are_found_wherever_they_stand() -> None:
    def seen(account: str, history: str | None = None, body: bytes = b"") -> tuple[Any, Any]:
        places = Places.model_validate({"path": "/r", "account": account, "history": history})
        headers = {"x-user": "ann", "cookie": "a=1; who=bob"}
        found = places.request("/r/carl/x", b"u=dora&h=1,2", headers, body)
        return found.account, found.history

    assert seen("header:X-User", "query:h") == ("ann", ("1", "2"))
    assert seen("cookie:who") == ("bob", None)
    assert seen("path:1") == ("carl", None)
    assert seen("query:u") == ("dora", None)
    assert seen("$.u", "$.h", b'{"u": 7, "h": [1, "b"]}') == ("7", (1, "b"))
    for broken in (b"", b"{", b"[" * 9999, b'{"u": true, "h": [1.5]}', b'{"u": {}, "h": 3}'):
        assert seen("$.u", "$.h", broken) == (None, None)
