"""A real nginx that asks with ``auth_request``, and other gateways' ways of asking."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from service_world import Serve
from starlette.responses import PlainTextResponse
from waiting import until

from recsec.serving.running import listen

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
{recipe}
}}
"""
DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "serve.md"
RULE = {"name": "haste", "more_than": 3, "within": "1h", "action": "block", "duration": "1h"}


def served(app: object) -> tuple[uvicorn.Server, threading.Thread, int]:
    opened = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    return server, thread, int(opened.getsockname()[1])


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(recipe: str) -> None:
        (tmp_path / "nginx.conf").write_text(CONFIG.format(folder=tmp_path, recipe=recipe))
        words = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        running.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))

    yield start  # type: ignore[misc]
    for one in running:
        one.terminate()
        one.wait()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def recipe() -> str:
    """The recipe of the docs."""
    text = DOCS.read_text(encoding="utf-8")
    return text.partition("```nginx\n")[2].partition("```")[0]


@pytest.mark.program("nginx")
def test_nginx_blocks_whom_the_service_blocks_and_outlives_it(serve: Serve, nginx: object) -> None:
    service = serve({"enforce": True, "rules": [{**RULE, "enforce": True}]})
    guard, thread, port = served(service.app)
    shop, other, behind = served(PlainTextResponse("a list"))
    with socket.create_server(("127.0.0.1", 0)) as opened:
        front = opened.getsockname()[1]
    text = recipe().replace("listen 80", f"listen 127.0.0.1:{front}")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    nginx(text.replace("127.0.0.1:9000", f"127.0.0.1:{behind}"))  # type: ignore[operator]
    url = f"http://127.0.0.1:{front}/recommend"
    until(lambda: listens(front), "the start of nginx")

    def ask(account: str) -> httpx.Response:
        return httpx.get(url, headers={"x-user": account} if account else {})

    try:
        for _ in range(4):
            assert ask("mallory").text == "a list"
            service.engine.settle()
        blocked = ask("mallory")
        assert blocked.status_code == 403
        assert blocked.headers["x-recsec-decision"].startswith("d-")
        assert ask("ann").text == "a list"
        assert ask("").text == "a list", "who cannot be named passes"
        guard.should_exit = True
        thread.join()
        assert ask("mallory").text == "a list", "without the service everybody passes"
    finally:
        for server, one in ((guard, thread), (shop, other)):
            server.should_exit = True
            one.join()


def test_other_gateways_tell_who_asks_in_their_own_ways(serve: Serve) -> None:
    places = {"path": "/recommend", "account": "query:user"}
    service = serve({"enforce": True, "rules": [{**RULE, "enforce": True}], "traffic": places})
    client = service.client
    for _ in range(4):
        traefik = {"x-forwarded-uri": "/recommend?user=mallory&k=5", "x-forwarded-method": "POST"}
        assert client.get("/v1/check", headers=traefik).status_code == 204
        service.engine.settle()
    assert client.get("/v1/check", headers=traefik).status_code == 403
    assert client.post("/v1/check/recommend?user=mallory").status_code == 403, "as Envoy asks"
    assert client.get("/v1/check/recommend?user=ann&account=mallory").status_code == 204
    nobody = client.get("/v1/check", headers={"x-recsec-account": "mallory"})
    assert nobody.headers["x-recsec-action"] == "unknown", "[traffic] decides where it stands"
