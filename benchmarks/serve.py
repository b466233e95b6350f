"""``recsec serve`` beside the bare model behind FastAPI, on one machine in one run.

All are processes of their own; the clients are sockets of this one, each asks again as soon as its
answer is there, and their histories grow to 30 items. Rounds alternate, so that what else the
machine does hits all; ratios are of pairs of rounds. Processor time of the servers stands beside
the clock: on a busy machine it is what can be compared. The bare server gets the parser and the
loop (httptools, uvloop) that recsec brings. Rules are in shadow, and decide nothing: clients that
draw at random would look like thieves.

    python benchmarks/serve.py --model DIR --detectors DIR [--data NAME] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

BARE = """
import os, socket, sys
port, workers, model = int(sys.argv[2]), int(sys.argv[3]), None
opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
opened.bind(("127.0.0.1", port))
for _ in range(workers - 1):
    if os.fork() == 0:
        break
import torch, uvicorn
from fastapi import FastAPI
from pathlib import Path
from pydantic import BaseModel
from recsec import models

torch.set_num_threads(1)
if sys.argv[1] != "none":
    model = models.load(Path(sys.argv[1]))
app = FastAPI()

class Ask(BaseModel):
    account: str
    history: list[int]
    k: int = 10

@app.post("/v1/recommend")
def recommend(ask: Ask):
    return {"items": model.recommend([ask.history], ask.k)[0] if model else list(range(ask.k))}

@app.get("/readyz")
def ready():
    return {}

config = uvicorn.Config(app, access_log=False, log_level="error")
uvicorn.Server(config).run(sockets=[opened])
"""
POLICY = """
detectors = "{detectors}"
[[rules]]
name = "thief"
p_value = 1e-12
action = "block"
[[rules]]
name = "haste"
more_than = 1000000
within = "1h"
action = "slow"
"""
TARGET = """
url = "http://127.0.0.1:{port}/v1/recommend"
request = {{ account = "{{account}}", history = "{{history}}", k = "{{k}}" }}
"""
GUARDED = """
checkpoint = "{model}"
data = "{data}"
[[guards]]
name = "misinform"
"""
NAME, HTTP, TWICE = "bare FastAPI + model", "bare FastAPI, no model", "bare, 2 workers"
NATIVE, SHARED, PAIR = "recsec serve", "recsec serve, Redis", "recsec serve, Redis, 2 workers"
PROXY, WRONG, NEW = "recsec serve --upstream", "misinform", "misinform, new histories"
LONGEST = 30
HOUR = 0.05
"""Dollars of an hour of one core, assumed: a small virtual machine of a large provider."""
SIZE = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Client(asyncio.Protocol):
    """Asks, waits for the whole answer, and asks again until the time is up."""

    def __init__(self, name: str, items: Sequence[int], until: float, *, fresh: bool) -> None:
        self.name, self.items, self.until, self.fresh = name, items, until, fresh
        self.rng, self.history, self.kept = random.Random(name), [], b""
        self.took: list[float] = []
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if time.perf_counter() >= self.until:
            self.transport.close()
            return
        if self.fresh:
            self.history = self.rng.choices(self.items, k=self.rng.randint(1, LONGEST))
        else:
            kept = self.history if len(self.history) < LONGEST else []
            self.history = [*kept, self.rng.choice(self.items)]
        body = json.dumps({"account": self.name, "history": self.history, "k": 10}).encode()
        self.began = time.perf_counter()
        self.transport.write(
            b"POST /v1/recommend HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self.kept += data
        head, found, body = self.kept.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self.over.set_exception(SystemExit(f"a request was refused: {self.kept[:200]!r}"))
            return
        size = SIZE.search(head + b"\r\n")
        if size is not None and len(body) >= int(size[1]):
            self.took.append(time.perf_counter() - self.began)
            self.kept = b""
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


@dataclass
class Server:
    """One of those that are compared."""

    name: str
    words: list[str]
    port: int
    fresh: bool = False
    others: list[int] = field(default_factory=list)
    running: subprocess.Popen[bytes] | None = None
    took: dict[int, list[list[float]]] = field(default_factory=dict)
    spent: dict[int, float] = field(default_factory=dict)

    def worked(self) -> float:
        """Seconds of processor time, of its workers and its Redis too."""
        pids = [*self.others]
        if self.running is not None:
            pids.append(self.running.pid)
        for pid in pids:
            found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pids += map(int, found)
        ticks = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def load(self, items: Sequence[int], clients: int, seconds: float, seed: int) -> list[float]:
        """Seconds of every request that the clients made in so many seconds."""

        async def run() -> list[float]:
            loop, until = asyncio.get_running_loop(), time.perf_counter() + seconds
            made = [
                await loop.create_connection(
                    lambda name=f"user {seed} {number}": Client(
                        name, items, until, fresh=self.fresh
                    ),
                    "127.0.0.1",
                    self.port,
                )
                for number in range(clients)
            ]
            await asyncio.gather(*(client.over for _, client in made))
            return [one for _, client in made for one in client.took]

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(run())

    def measure(self, items: Sequence[int], clients: int, seconds: float, seed: int) -> None:
        """One round."""
        before = self.worked()
        took = self.load(items, clients, seconds, seed)
        self.spent[clients] = self.spent.get(clients, 0.0) + self.worked() - before
        self.took.setdefault(clients, []).append(took)

    def medians(self, clients: int) -> np.ndarray:
        """Of each round, in milliseconds."""
        return np.array([1000 * float(np.median(one)) for one in self.took[clients]])

    def rates(self, clients: int, seconds: float) -> np.ndarray:
        """Requests a second of each round."""
        return np.array([len(one) / seconds for one in self.took[clients]])

    def own(self, clients: int) -> float:
        """Milliseconds of processor time of a request."""
        return 1000 * self.spent[clients] / sum(map(len, self.took[clients]))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def ready(server: Server) -> None:
    """Wait until it answers; misinform has to be fitted first."""
    path = "/.recsec/readyz" if server.name == PROXY else "/readyz"
    for _ in range(3000):
        with contextlib.suppress(OSError, http.client.HTTPException):
            to = http.client.HTTPConnection("127.0.0.1", server.port)
            to.request("GET", path)
            if to.getresponse().status == 200:
                return
        if server.running is not None and server.running.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"{server.name} does not answer; its log ends with the reason")


def servers(options: argparse.Namespace, folder: Path, redis: tuple[int, int]) -> list[Server]:
    """All that are compared; ``redis`` is a port and a process."""
    policy, target = folder / "policy.toml", folder / "target.toml"
    policy.write_text(POLICY.format(detectors=options.detectors.resolve()))
    ports = {name: free_port() for name in (NAME, HTTP, TWICE, NATIVE, SHARED, PAIR, PROXY, WRONG)}
    target.write_text(TARGET.format(port=ports[NAME]))
    python, model = sys.executable, str(options.model)

    def recsec(name: str, *more: str) -> Server:
        state = ["--port", str(ports[name]), "--state", str(folder / f"state of {name}")]
        words = [python, "-m", "recsec", "serve", "--policy", str(policy), *state, *more]
        return Server(name, words, ports[name])

    def bare(name: str, what: str, workers: int) -> Server:
        return Server(name, [python, "-c", BARE, what, str(ports[name]), str(workers)], ports[name])

    found = [bare(NAME, model, 1), bare(HTTP, "none", 1), bare(TWICE, model, 2)]
    found += [recsec(NATIVE, model), recsec(PROXY, "--upstream", str(target))]
    if redis[1]:
        live = f"redis://127.0.0.1:{redis[0]}"
        found.append(recsec(SHARED, model, "--live", f"{live}/0"))
        found.append(recsec(PAIR, model, "--live", f"{live}/1", "--workers", "2"))
        for one in found[-2:]:
            one.others = [redis[1]]
    if options.data is not None:
        guarded = folder / "guarded.toml"
        guarded.write_text(GUARDED.format(model=options.model.resolve(), data=options.data))
        found.append(recsec(WRONG, str(guarded)))
        found.append(Server(NEW, [], ports[WRONG], fresh=True))
    return found


def table(found: list[Server], clients: int, seconds: float) -> list[str]:
    """What was measured with so many clients; ``x bare`` is throughput in pairs of rounds."""
    lines = [
        f"{'clients':>7} {'who':<30}{'n':>7}{'/s':>6}{'x bare':>8}{'(rounds)':>13}{'p50 ms':>8}"
        f"{'p95':>8}{'p99':>8}{'own CPU ms':>12}{'$/million':>11}"
    ]
    plain = found[0].rates(clients, seconds)
    for one in found:
        if clients not in one.took:
            continue
        took = 1000 * np.concatenate([np.array(part) for part in one.took[clients]])
        p50, p95, p99 = np.percentile(took, [50, 95, 99])
        own, rates = one.own(clients), one.rates(clients, seconds)
        ratios, price = rates / plain, own / 1000 * 1e6 / 3600 * HOUR
        spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
        lines.append(
            f"{clients:>7} {one.name:<30}{len(took):>7}{rates.mean():>6.0f}"
            f"{np.median(ratios):>8.2f}{spread:>13}{p50:>8.2f}{p95:>8.2f}{p99:>8.2f}"
            f"{own:>12.2f}{price:>11.3f}"
        )
    return lines


def bars(found: list[Server], seconds: float) -> list[str]:
    """Each bar, and whether it holds: the median of the rounds, and how far they lie apart."""
    by = {one.name: one for one in found}

    def told(what: str, values: np.ndarray, unit: str, *, holds: bool) -> str:
        verdict = "holds" if holds else "does not hold"
        low, middle, high = values.min(), np.median(values), values.max()
        return f"bar: {what}: {middle:.2f}{unit} (rounds {low:.2f} to {high:.2f}): {verdict}"

    def added(name: str, most: float, what: str) -> str:
        shares = 100 * (by[name].medians(1) / by[NAME].medians(1) - 1)
        return told(what, shares, " %", holds=float(np.median(shares)) <= most)

    lines = [added(NATIVE, 10, "in memory at most 10 % added at the median of one client")]
    if SHARED in by:
        lines.append(added(SHARED, 25, "with Redis at most 25 % added at the median of one client"))
    gaps = by[PROXY].medians(1) - by[NAME].medians(1)
    what = "as a proxy at most 2 ms added at the median of one client"
    lines.append(told(what, gaps, " ms", holds=float(np.median(gaps)) <= 2))
    for name, other, what in ((NATIVE, NAME, "one worker"), (PAIR, TWICE, "two workers each")):
        if name in by:
            ratios = by[name].rates(64, seconds) / by[other].rates(64, seconds)
            words = f"at 64 clients at least 3 x the throughput of the bare server, {what}"
            lines.append(told(words, ratios, " x", holds=float(np.median(ratios)) >= 3))
    if WRONG in by:
        for name, words in ((WRONG, "one history that grows"), (NEW, "its slow path, a new one")):
            live = by[name].medians(1) - by[HTTP].medians(1)
            what = f"misinform with its model under 2 ms at the median, {words}"
            lines.append(told(what, live, " ms", holds=float(np.median(live)) < 2))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--detectors", type=Path, required=True, help="recsec detect fit --out")
    parser.add_argument("--data", help="what the model was trained on: misinform is measured too")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    items = pl.read_parquet(options.model / "items.parquet")["id"].to_list()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        log = stack.enter_context((folder / "log").open("wb"))
        port, pid = free_port(), 0

        def start(words: list[str]) -> subprocess.Popen[bytes]:
            running = subprocess.Popen(
                words, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(running.wait)
            stack.callback(os.killpg, running.pid, signal.SIGTERM)
            return running

        if (program := shutil.which("redis-server")) is not None:
            words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
            pid = start([*words, "--dir", name]).pid
        found = servers(options, folder, (port, pid))
        for one in found:
            if one.words:
                one.running = start(one.words)
        by = {one.name: one for one in found}
        for one in found:
            if one.name == NEW:
                one.running = by[WRONG].running
            ready(one)
            one.load(items, 4, 0.5, 99)
        waited = time.monotonic() - begun
        load = os.getloadavg()[0]
        for number in range(options.rounds):
            for clients in (1, 64):
                for one in found:
                    alone = one.name in (TWICE, PAIR) if clients == 1 else one.name == NEW
                    if not alone:
                        one.measure(items, clients, options.seconds, number)
        took = time.monotonic() - begun
        lines = [
            f"# benchmarks/serve.py --rounds {options.rounds} --seconds {options.seconds:g}: "
            f"{took:.0f} s, {waited:.0f} of them until all answered",
            f"# {platform.machine()}, {os.cpu_count()} cores, which the clients share; load "
            f"{load:.1f} before, {os.getloadavg()[0]:.1f} after",
            f"# model {options.model.name}, one thread; detectors on, in shadow, JSON log on",
            *table(found, 1, options.seconds),
            *table(found, 64, options.seconds),
            *bars(found, options.seconds),
            "# own CPU: processor time of that server a request, with its workers and its Redis; "
            "the proxy's without the server behind it",
            f"# $/million: of requests, at an assumed {HOUR} dollars a core hour",
        ]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
