"""The service as a process of its own: a real socket, hostile bytes, kill -9, SIGTERM."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from service_process import Process, start
from service_world import World
from waiting import until

POLICY = """
enforce = true
[[rules]]
name = "haste"
more_than = 3
within = "1h"
action = "block"
duration = "1h"
enforce = true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process")
    (folder / "policy.toml").write_text(POLICY)
    return folder


@pytest.fixture(scope="module")
def service(world: World, folder: Path) -> Iterator[Process]:
    process = start(world.folder / "markov", folder)
    yield process
    if process.running.poll() is None:
        process.running.kill()
        process.running.wait()


def send(service: Process, content: bytes) -> bytes:
    """Raw bytes on a connection of their own; what comes back until it is closed."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as opened:
        found = b""
        with suppress(OSError):  # it hangs up on a body or head that is too large
            opened.sendall(content)
            opened.shutdown(socket.SHUT_WR)
            while part := opened.recv(65536):
                found += part
        return found


def posted(body: bytes, path: bytes = b"/v1/recommend", more: bytes = b"") -> bytes:
    size = str(len(body)).encode()
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: " + size + b"\r\n" + more + b"\r\n" + body
    )


ASK = b'{"account": "%s", "history": %s, "k": %s}'
HOSTILE = {
    "text that is not UTF-8": posted(ASK % (b"\xff\xfe", b"[3]", b"5")),
    "half of a surrogate pair": posted(ASK % (b"\\ud800", b"[3]", b"5")),
    "k below zero": posted(ASK % (b"a", b"[3]", b"-5")),
    "a huge k": posted(ASK % (b"a", b"[3]", b"9" * 4000)),
    "k that is no number": posted(ASK % (b"a", b"[3]", b"NaN")),
    "an unknown item": posted(ASK % (b"a", b"[99999]", b"5")),
    "an item beyond 64 bits": posted(ASK % (b"a", b"[%s]" % (b"9" * 40), b"5")),
    "a nested history": posted(b"[" * 100_000),
    "too many items": posted(ASK % (b"a", b"[" + b"3," * 20_000 + b"3]", b"5")),
    "a body without end": posted(b" " * 300_000),
    "a length that lies": posted(b"{}").replace(b"Length: 2", b"Length: 99999999999999999999"),
    "a path with dots": b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "an account with a slash": b"GET /v1/recommend/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n",
    "a flood of headers": posted(b"{}", more=b"".join(b"X-%d: y\r\n" % n for n in range(20_000))),
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00" * 20 + b"\r\n\r\n",
    "a long account": posted(ASK % (b"a" * 5000, b"[3]", b"5")),
    "a key twice": posted(b'{"account": "a", "account": 7, "history": [3], "k": 5}'),
    "compressed": posted(b"\x1f\x8b\x08" + bytes(50), more=b"Content-Encoding: gzip\r\n"),
}


@pytest.mark.hostile(kind="service", what="requests of hostile clients")
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_request_is_refused_and_nobody_is_charged(service: Process, what: str) -> None:
    answer = send(service, HOSTILE[what])
    if answer:
        assert re.match(rb"HTTP/1.1 4[0-9][0-9] ", answer), answer[:300]
        assert b"Traceback" not in answer
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    assert service.running.poll() is None


def test_it_says_what_it_enforces(service: Process) -> None:
    assert "ENFORCED: haste (block)" in service.words
    assert service.ask("honest").status_code == 200


@pytest.mark.hostile(kind="service", what="kill -9, and then SIGTERM")
def test_decisions_outlive_kill_9_and_sigterm_ends_well(
    service: Process, world: World, folder: Path
) -> None:
    first = httpx.post(f"{service.url}/v1/events", json={"account": "ann", "item": 3})
    assert first.status_code == 200
    until(lambda: service.ask("mallory").status_code == 429)
    blocked = service.ask("mallory")
    metrics = httpx.get(f"{service.url}/metrics").text
    assert 'recsec_requests_total{code="429",route="/v1/recommend"}' in metrics
    assert "mallory" not in metrics
    service.running.kill()
    service.running.wait()
    again = start(world.folder / "markov", folder)
    try:
        answer = again.ask("mallory")
        assert answer.status_code == 429
        assert answer.json()["decision"] == blocked.json()["decision"]
        assert again.ask("ann").status_code == 200
    finally:
        again.running.send_signal(signal.SIGTERM)
        assert again.running.wait(timeout=120) == 0
    assert "draining" in (folder / "stderr.txt").read_text(encoding="utf-8")


@pytest.mark.hostile(kind="service", what="a configuration that does not fit")
def test_a_wrong_configuration_ends_before_the_port_opens(world: World, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[[rules]]\nname = "x"\np_value = 0.01\n')
    words = [str(world.folder / "markov"), "--policy", str(tmp_path / "policy.toml")]
    ended = subprocess.run(
        [sys.executable, "-m", "recsec", "serve", *words, "--state", str(tmp_path / "s")],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 2
    assert b"p_value needs detectors" in ended.stderr
    assert b"serving" not in ended.stderr
