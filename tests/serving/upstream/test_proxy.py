"""The reverse proxy before a real upstream, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_world import World
from waiting import until

from recsec.errors import ConfigError
from recsec.serving.engine import Engine, open_state
from recsec.serving.policy import Policy
from recsec.serving.running import listen
from recsec.serving.upstream import check_actions, create_proxy, places_of, read_upstream
from recsec.serving.upstream.answer import MOST
from recsec.serving.wire import Wire
from recsec.targets.http.config import HttpConfig

TARGET = """
url = "http://127.0.0.1:{port}/lists"
headers = {{ X-User = "{{account}}" }}
request = {{ seen = "{{history}}", k = "{{k}}" }}
response = "$.result[*].id"
"""
RULE = {"name": "haste", "more_than": 3, "within": "1h", "duration": "1h"}


class Shop:
    """An application of raw ASGI that answers what the test tells it to."""

    def __init__(self, world: World) -> None:
        self.model = world.model
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.seen.append({"path": scope["raw_path"], "headers": headers, "body": body})
        how = headers.get("x-how", "plain")
        answer = self.answer(body, int(headers.get("x-size", "0")))
        sent = [(b"x-own", b"a"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        if how == "gzip" and "gzip" in headers.get("accept-encoding", ""):
            answer = gzip.compress(answer, mtime=0)
            sent.append((b"content-encoding", b"gzip"))
        if how == "hops":
            sent += [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=5")]
        if how in ("204", "304"):
            answer = b""
        elif how not in ("chunked", "broken"):
            sent.append((b"content-length", str(len(answer)).encode()))
        status = int(how) if how.isdigit() else 200
        await send({"type": "http.response.start", "status": status, "headers": sent})
        if how in ("chunked", "slow", "broken"):
            step = max(7, len(answer) // 20)
            for at in range(0, len(answer), step):
                part = answer[at : at + step]
                await send({"type": "http.response.body", "body": part, "more_body": True})
                await asyncio.sleep(0.001 if how == "slow" else 0)
                if how == "broken":
                    raise RuntimeError("it ends in the middle")
            answer = b""
        await send({"type": "http.response.body", "body": answer})

    def answer(self, body: bytes, size: int) -> bytes:
        try:
            seen = json.loads(body)["seen"]
            result = self.model.recommend([seen], 5)[0]
        except Exception:  # what a test sends is not always a question
            return b"what?" + b"x" * size
        return json.dumps({"result": [{"id": one} for one in result], "é": "x" * size}).encode()


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Any], str]]:
    """``run(app)`` serves an application and gives its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any, **options: Any) -> str:
        opened = listen("127.0.0.1", 0)
        wires = {"http": "h11", "loop": "asyncio", **options}
        config = uvicorn.Config(app, log_config=None, access_log=False, **wires)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.005)
        return f"http://127.0.0.1:{opened.getsockname()[1]}"

    yield start
    for server, thread in reversed(servers):
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return Shop(world)


@pytest.fixture(scope="module")
def upstream(run: Callable[..., str], shop: Shop) -> str:
    return run(shop, lifespan="off")


Start = Callable[..., tuple[str, Engine]]


@pytest.fixture(scope="module")
def before(
    run: Callable[..., str], upstream: str, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Start:
    """``before(policy)`` starts a proxy and gives its address and engine."""

    def start(policy: dict[str, Any], *, url: str = upstream) -> tuple[str, Engine]:
        folder = tmp_path_factory.mktemp("proxy")
        target = folder / "target.toml"
        target.write_text(TARGET.format(port=url.rpartition(":")[2]))
        rules = Policy.model_validate({"detectors": world.folder / "detectors", **policy})
        place, places = read_upstream(str(target), None)
        check_actions(rules, places)
        names, store = open_state(folder / "state")
        engine = Engine(rules, names, store, fitted=world.fitted)
        app = create_proxy(engine, place, places, open_to_all=True)
        own = {"http": Wire, "loop": "auto", "server_header": False, "date_header": False}
        return run(app, lifespan="on", **own), engine

    return start


@pytest.fixture(scope="module")
def shadow(before: Start) -> tuple[str, Engine]:
    rules = [
        {**RULE, "name": action, "action": action, "enforce": True}
        for action in ("tag", "slow", "shorten", "decoy", "block")
    ]
    return before({"enforce": False, "rules": rules})


def ask(url: str, *, history: Any = (3, 4), how: str = "plain", **headers: str) -> httpx.Response:
    sent = {"x-user": "mallory", "x-how": how, **headers}
    return httpx.post(f"{url}/lists", json={"seen": list(history)}, headers=sent)


def eventually(engine: Engine, holds: Callable[[], bool]) -> None:
    """A proxy notes a request just after its answer went out."""

    def held() -> bool:
        engine.settle()
        return holds()

    until(held)


def raw(url: str, request: bytes) -> bytes:
    """What comes back on a connection of its own, byte by byte."""
    host, port = url.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=5) as opened:
        opened.sendall(request)
        while part := opened.recv(65536):
            found += part
    return found


HOWS = ("plain", "gzip", "chunked", "slow", "hops", "404", "500", "503", "204", "304")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    how=st.sampled_from(HOWS),
    method=st.sampled_from(["POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"]),
    path=st.sampled_from(
        [b"/lists", b"/lists?a=%20b&a=2", b"/other/%2e%2E/x%00", b"//lists", b"/"]
    ),
    body=st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b'{"seen": [3, 4]}', b'{"seen": [3, 9999, "x"]}', b'{"seen": 3}', b"{"]),
    ),
    chunked=st.booleans(),
    accepts=st.sampled_from([b"gzip", b"br", b"identity"]),
    size=st.sampled_from([0, 100, MOST + 10]),
)
def test_in_shadow_every_byte_is_the_upstreams(
    shadow: tuple[str, Engine],
    upstream: str,
    how: str,
    method: str,
    path: bytes,
    body: bytes,
    chunked: bool,
    accepts: bytes,
    size: int,
) -> None:
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
    framing = (
        b"Transfer-Encoding: chunked" if chunked and body else b"Content-Length: %d" % len(body)
    )
    request = (
        b"%s %s HTTP/1.1\r\nHost: shop\r\nX-User: ann\r\nX-How: %s\r\nX-Size: %d\r\n"
        b"Accept-Encoding: %s\r\nConnection: close\r\n%s\r\n\r\n%s"
        % (method.encode(), path, how.encode(), size, accepts, framing, sent)
    )
    direct, passed = raw(upstream, request), raw(shadow[0], request)

    def parts(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        own = (b"date:", b"server:", b"connection:", b"keep-alive:", b"x-hop:")
        own += (b"transfer-encoding:",)
        pairs = [one.partition(b":") for one in headers if not one.lower().startswith(own)]
        kept = [name.lower() + value for name, _, value in pairs]
        return status, kept, whole(content) if b"chunked" in head.lower() else content

    assert parts(direct) == parts(passed)


def whole(chunks: bytes) -> bytes:
    """The content of chunks; the wire may cut it elsewhere."""
    found = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        found += rest[: int(size, 16)]
        chunks = rest[int(size, 16) + 2 :]
    return found


def test_it_sees_what_passes_also_compressed(shadow: tuple[str, Engine]) -> None:
    url, engine = shadow
    engine.settle()
    before = engine.evidence.watch.seen  # type: ignore[union-attr]
    for how in ("plain", "gzip", "chunked"):
        assert ask(url, how=how).status_code == 200
    ask(url, how="500")
    eventually(engine, lambda: engine.evidence.watch.seen == before + 3)  # type: ignore[union-attr]
    for _ in range(4):
        ask(url)
    every = {"tag", "slow", "shorten", "decoy", "block"}
    eventually(engine, lambda: {one.action for one in engine.ledger.active()} == every)
    last = engine.evidence.recent(engine.names.account("mallory"))[-1]
    assert (len(last.history), len(last.answer)) == (2, 5)
    metrics = httpx.get(f"{url}/.recsec/metrics").text
    assert 'recsec_requests_total{code="500",route="upstream"}' in metrics
    assert httpx.get(f"{url}/.recsec/readyz").status_code == 200
    assert httpx.get(f"{url}/.recsec/v1/decisions?shadow=true").json()["new"]


@pytest.mark.parametrize("how", ["plain", "gzip", "chunked"])
@pytest.mark.parametrize("action", ["shorten", "decoy", "block", "tag"])
def test_enforced_it_acts_on_whoever_asks_too_much(
    before: Start, shop: Shop, action: str, how: str
) -> None:
    rule = {**RULE, "action": action, "length": 2, "enforce": True}
    url, engine = before({"enforce": True, "rules": [rule]})
    right = ask(url, how=how).json()
    for _ in range(3):
        ask(url, how=how)
    eventually(engine, lambda: len(engine.ledger.active()) == 1)
    treated = ask(url, how=how)
    if action == "block":
        assert treated.status_code == 429
        assert treated.headers["retry-after"]
    elif action == "tag":
        assert treated.json() == right
        assert treated.headers["x-recsec-decision"].startswith("d-")
    elif action == "shorten":
        assert treated.json() == {**right, "result": right["result"][:2]}
    else:
        found = {one["id"] for one in treated.json()["result"]}
        assert found
        assert not found & {3, 4}
        assert treated.json() != right
        assert json.loads(shop.seen[-1]["body"])["seen"] != [3, 4], "another history was asked"
        assert ask(url, how=how).json() == treated.json()
    assert ask(url, how=how, **{"x-user": "ann"}).json() == right


def test_headers_of_one_connection_end_here(shadow: tuple[str, Engine], shop: Shop) -> None:
    answer = ask(shadow[0], how="hops", **{"connection": "x-mine", "x-mine": "1", "te": "trailers"})
    assert "x-hop" not in answer.headers
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    seen = shop.seen[-1]["headers"]
    assert "x-mine" not in seen
    assert "te" not in seen
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert seen["host"] == shadow[0].removeprefix("http://")


@pytest.mark.hostile(kind="service", what="an upstream that is dead or breaks off")
def test_a_dead_upstream_is_502_and_one_that_breaks_off_is_not_made_whole(
    before: Start, shadow: tuple[str, Engine]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        free = opened.getsockname()[1]
    url, _ = before({}, url=f"http://127.0.0.1:{free}")
    dead = ask(url)
    assert (dead.status_code, dead.headers["content-type"]) == (502, "application/problem+json")
    assert httpx.get(f"{url}/.recsec/readyz").status_code == 503
    assert httpx.get(f"{url}/.recsec/livez").status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        ask(shadow[0], how="broken")


@pytest.mark.hostile(kind="service", what="detours to a watched path")
@pytest.mark.parametrize(
    "path", ["//lists", "/x/../lists", "/./lists", "/x//..//lists", "/%6cists"]
)
def test_no_detour_leads_past_the_watch(shadow: tuple[str, Engine], path: str) -> None:
    url, engine = shadow
    engine.settle()
    assert engine.evidence.watch is not None
    before = engine.evidence.watch.seen
    body = b'{"seen": [5]}'
    raw(
        url,
        b"POST %s HTTP/1.1\r\nHost: a\r\nX-User: carl\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body),
    )
    eventually(engine, lambda: engine.evidence.watch.seen == before + 1)  # type: ignore[union-attr]


def test_a_stream_is_passed_on_part_by_part(before: Start, run: Callable[..., str]) -> None:
    """The first part arrives while the upstream still waits for the client to have it."""
    had, gone = threading.Event(), threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.to_thread(had.wait, 20)
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"x" * 4096, "more_body": True})
            await asyncio.sleep(0)
            if (await _now(receive)) == "http.disconnect":
                gone.set()
                return

    url, _ = before({}, url=run(slow, lifespan="off"))
    with httpx.stream("GET", f"{url}/lists", headers={"x-user": "ann"}) as answer:
        assert next(answer.iter_raw()) == b"first"
        had.set()
    assert gone.wait(20), "whoever leaves is not kept up with"


async def _now(receive: Any) -> str:
    try:
        async with asyncio.timeout(0.001):
            return str((await receive())["type"])
    except TimeoutError:
        return ""


@pytest.mark.parametrize(
    ("told", "places"),
    [
        (
            {"url": "http://h/r/{account}?k={k}", "method": "GET", "request": {"h": "{history}"}},
            ("/r/", "path:1", "query:h"),
        ),
        (
            {"url": "http://h/r", "request": {"who": "{account}", "on": [{"id": "{item}"}]}},
            ("/r", "$['who']", "$['on'][*]['id']"),
        ),
    ],
)
def test_the_file_of_a_target_says_where_things_stand(
    told: dict[str, Any], places: tuple[str, str, str]
) -> None:
    found = places_of(HttpConfig.model_validate(told))
    assert (found.path, found.account, found.history) == places


@pytest.mark.hint('put "{account}" into request, headers or url, or use [traffic] of the policy')
@pytest.mark.hint("give --upstream the TOML file of an HTTP target, or the policy [traffic]")
@pytest.mark.hint("give --upstream the address alone, or leave [traffic] out")
def test_an_api_that_nobody_describes_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target.toml"
    target.write_text('url = "http://127.0.0.1:1/lists"\n')
    with pytest.raises(ConfigError, match="names the account"):
        read_upstream(str(target), None)
    with pytest.raises(ConfigError, match="does not say where"):
        read_upstream("http://127.0.0.1:1", None)
    target.write_text(TARGET.format(port=1))
    url, places = read_upstream(str(target), None)
    assert (url, places.account) == ("http://127.0.0.1:1", "header:X-User")
    with pytest.raises(ConfigError, match="both"):
        read_upstream(str(target), places)
    assert read_upstream("http://127.0.0.1:1/base/", places) == ("http://127.0.0.1:1/base", places)
