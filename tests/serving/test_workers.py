"""Two processes behind one port, over a real Redis and a real PostgreSQL, killed under load."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from backends import Server, new_database
from service_process import Process, start
from service_world import World
from waiting import until

POLICY = """
enforce = true
grace = "10m"
[[rules]]
name = "haste"
more_than = 3
within = "1h"
action = "block"
duration = "1h"
enforce = true
"""


def metric(service: Process, name: str) -> float:
    found = re.findall(rf"^{name} (\S+)$", httpx.get(f"{service.url}/metrics").text, re.MULTILINE)
    return sum(map(float, found))


class Load:
    """Asks without end, each time as another account; counts what came back."""

    def __init__(self, service: Process) -> None:
        self.service, self.codes, self.over = service, Counter[int](), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        with httpx.Client() as client:
            while not self.over.is_set():
                body = {"account": f"a{self.codes.total()}", "history": [3], "k": 5}
                try:
                    answer = client.post(f"{self.service.url}/v1/recommend", json=body)
                    self.codes[answer.status_code] += 1
                except httpx.TransportError:
                    self.codes[0] += 1

    def end(self) -> Counter[int]:
        self.over.set()
        self.thread.join()
        return self.codes


def children(service: Process) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(service.running.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(one) for one in found.stdout.split()]


@pytest.fixture
def service(world: World, tmp_path: Path, redis: Server, postgres: Server) -> Iterator[Process]:
    for server in (redis, postgres):
        if server.running is None:
            server.start()
    (tmp_path / "policy.toml").write_text(POLICY)
    state = new_database(postgres)
    live = f"redis://127.0.0.1:{redis.port}"
    words = ["--workers", "2", "--live", live, "--state", state]
    env = {"RECSEC_SECRET": str(tmp_path / "secret.key")}
    process = start(world.folder / "markov", tmp_path, *words, env=env)
    yield process
    if process.running.poll() is None:
        process.running.kill()
        process.running.wait()


@pytest.mark.slow
@pytest.mark.hostile(kind="service", what="kill -9 of a worker, of Redis and of PostgreSQL")
def test_workers_redis_and_postgres_are_killed_under_load(
    service: Process, redis: Server, postgres: Server, tmp_path: Path
) -> None:
    assert "2 workers" in service.words
    log = tmp_path / "stderr.txt"
    until(lambda: log.read_text().count('"ready"') == 2, "two workers")
    load = Load(service)
    until(lambda: load.codes[200] > 50, "answers")

    # one is killed: the port stays open, it is started again, and the counters go on
    victim = children(service)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: log.read_text().count('"ready"') == 3, "a new one")
    assert len(set(children(service)) - {victim}) == 2
    seen = load.codes[200]
    until(lambda: load.codes[200] > seen + 50, "answers after a worker was killed")

    # Redis is killed: what is counted meanwhile is merged when it is back
    redis.kill()
    until(lambda: metric(service, 'recsec_backend_up{backend="live"}') == 0, "the loss is seen")
    seen = load.codes[200]
    until(lambda: load.codes[200] > seen + 50, "answers without Redis")
    redis.start()
    until(lambda: metric(service, 'recsec_backend_up{backend="live"}') == 1, "Redis is back")

    # PostgreSQL is killed: a decision made meanwhile holds, and is written when it is back
    postgres.kill()
    until(lambda: metric(service, 'recsec_backend_up{backend="state"}') == 0, "the loss is seen")
    until(lambda: service.ask("mallory").status_code == 429, "a decision without PostgreSQL")
    postgres.start()
    until(lambda: metric(service, 'recsec_backend_up{backend="state"}') == 1, "it is back")
    for _ in range(20):
        assert service.ask("mallory").status_code == 429 or time.sleep(0.05) is None
    codes = load.end()
    assert set(codes) <= {200, 0}, codes
    assert codes[0] <= 4, "only what a killed worker had in hand is lost"
    assert metric(service, 'recsec_backend_fallbacks_total{backend="live"}') > 0
    assert metric(service, 'recsec_backend_fallbacks_total{backend="state"}') > 0
    count = 'recsec_requests_total{code="200",route="/v1/recommend"}'
    assert codes[200] <= metric(service, count) <= codes[200] + 40

    # one policy: both workers take a changed one, and none a broken one
    (tmp_path / "policy.toml").write_text("enforce = maybe")
    service.running.send_signal(signal.SIGHUP)
    until(lambda: log.read_text().count('"policy refused"') == 2, "both refuse")
    assert service.ask("mallory").status_code == 429
    (tmp_path / "policy.toml").write_text(POLICY.replace("enforce = true\ngrace", "grace"))
    until(lambda: log.read_text().count('"policy taken"') == 2, "both take it")
    assert {service.ask("mallory").status_code for _ in range(6)} == {200}
    workers = children(service)
    service.running.send_signal(signal.SIGTERM)
    assert service.running.wait(timeout=60) == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.hint("add --live redis://localhost:6379")
def test_workers_that_would_not_know_of_each_other_are_refused(
    world: World, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "recsec", "serve", str(world.folder / "markov"), "--workers"]
    ended = subprocess.run(
        [*words, "2", "--state", str(tmp_path), "--bound"], capture_output=True, check=False
    )
    assert ended.returncode == 2
    assert b"keep histories, together in Redis" in ended.stderr
    assert b"add --live" in ended.stderr
