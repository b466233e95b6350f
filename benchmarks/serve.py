"""``recsec serve`` beside the bare model behind FastAPI, on one machine in one run.

All are processes of their own with one worker; the clients are threads of this one and send
growing histories. Rounds alternate, so that what else the machine does hits all. Processor time of
the servers stands beside the clock: on a busy machine it is what can be compared. Bars: at most
10 % added at the median of one client; with 64 clients at least three times the bare throughput;
as a proxy at most 2 ms added at the median.

    python benchmarks/serve.py --model DIR --detectors DIR [--guarded plan.toml]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BARE = """
import sys
import torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from recsec import models
from pathlib import Path

torch.set_num_threads(1)
model = models.load(Path(sys.argv[1]))
app = FastAPI()

class Ask(BaseModel):
    account: str
    history: list[int]
    k: int = 10

@app.post("/v1/recommend")
def recommend(ask: Ask):
    return {"items": model.recommend([ask.history], ask.k)[0]}

@app.get("/readyz")
def ready():
    return {}

uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error")
"""


BARE_NAME = "bare FastAPI + model"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def post(to: http.client.HTTPConnection, account: str, history: list[int]) -> int:
    body = json.dumps({"account": account, "history": history, "k": 10})
    to.request("POST", "/v1/recommend", body, {"Content-Type": "application/json"})
    answer = to.getresponse()
    answer.read()
    return answer.status


def ready(port: int, path: str = "/readyz") -> None:
    for _ in range(1500):
        try:
            to = http.client.HTTPConnection("127.0.0.1", port)
            to.request("GET", path)
            if to.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def load(port: int, items: Sequence[int], clients: int, seconds: float, seed: int) -> list[float]:
    """Seconds of every request that the clients made in so many seconds."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def one(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        to = http.client.HTTPConnection("127.0.0.1", port)
        history: list[int] = []
        while time.perf_counter() < until:
            if len(history) >= 30:
                history = []
            history.append(int(rng.choice(items)))
            began = time.perf_counter()
            if post(to, f"user {seed} {number}", history) != 200:
                raise SystemExit("a request was refused: the policy of a benchmark is in shadow")
            took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


POLICY = """
detectors = "{detectors}"
[[rules]]
name = "thief"
p_value = 0.01
action = "block"
[[rules]]
name = "haste"
more_than = 500
within = "1h"
action = "slow"
"""
TARGET = """
url = "http://127.0.0.1:{port}/v1/recommend"
request = {{ account = "{{account}}", history = "{{history}}", k = "{{k}}" }}
"""
HOUR = 0.05
"""Dollars of an hour of one core, assumed: a small virtual machine of a large provider."""


def worked(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--detectors", type=Path, required=True, help="recsec detect fit --out")
    parser.add_argument("--guarded", help="a plan with a guard, served beside the others")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    import polars as pl

    items = pl.read_parquet(Path(options.model) / "items.parquet")["id"].to_list()
    names = [BARE_NAME, "recsec serve", "recsec serve --upstream"]
    names += ["recsec serve, guarded"] if options.guarded else []
    ports = {name: free_port() for name in names}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = (folder / "log").open("wb")
        policy, target = folder / "policy.toml", folder / "target.toml"
        policy.write_text(POLICY.format(detectors=options.detectors.resolve()))
        target.write_text(TARGET.format(port=ports[BARE_NAME]))
        recsec = [sys.executable, "-m", "recsec", "serve", "--policy", str(policy)]
        words = {
            BARE_NAME: [sys.executable, "-c", BARE, options.model, str(ports[BARE_NAME])],
            "recsec serve": [*recsec, options.model],
            "recsec serve --upstream": [*recsec, "--upstream", str(target)],
            "recsec serve, guarded": [*recsec, str(options.guarded)],
        }
        running = {}
        for at, who in enumerate(names):
            more = ["--port", str(ports[who]), "--state", str(folder / f"state-{at}")]
            command = words[who] + (more if at else [])
            running[who] = subprocess.Popen(command, env=environment, stderr=log)
        try:
            for who, port in ports.items():
                ready(port, "/.recsec/readyz" if "upstream" in who else "/readyz")
                load(port, items, 4, 1.0, 99)
            print(f"# {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            print(f"# model {Path(options.model).name}, detectors on, in shadow, JSON log on")
            for clients in (1, 64):
                measure(clients, ports, running, items, options)
        finally:
            for one in running.values():
                one.terminate()
                one.wait()
            log.close()


def measure(
    clients: int,
    ports: dict[str, int],
    running: dict[str, subprocess.Popen[bytes]],
    items: Sequence[int],
    options: argparse.Namespace,
) -> None:
    found: dict[str, list[list[float]]] = {name: [] for name in ports}
    spent = {name: [0.0, 0.0] for name in ports}
    for number in range(options.rounds):
        for name, port in ports.items():
            before = worked(running[name]), worked(running[BARE_NAME])
            found[name].append(load(port, items, clients, options.seconds, number))
            spent[name][0] += worked(running[name]) - before[0]
            spent[name][1] += worked(running[BARE_NAME]) - before[1]
    print(
        f"{'clients':>7} {'who':<24}{'n':>7}{'/s':>7}{'p50 ms':>8}{'p95':>8}{'p99':>8}"
        f"{'own CPU ms':>12}{'$/million':>11}"
    )
    medians = {}
    for name, rounds in found.items():
        took = np.concatenate([np.array(one) for one in rounds]) * 1000
        rate = len(took) / (options.rounds * options.seconds)
        own = 1000 * spent[name][0] / len(took)
        medians[name] = np.array([1000 * np.median(one) for one in rounds]), rate, own
        p50, p95, p99 = np.percentile(took, [50, 95, 99])
        print(
            f"{clients:>7} {name:<24}{len(took):>7}{rate:>7.0f}{p50:>8.2f}{p95:>8.2f}{p99:>8.2f}"
            f"{own:>12.2f}{own / 1000 * 1e6 / 3600 * HOUR:>11.2f}"
        )
    plain, slow, bare = medians[BARE_NAME]
    for name, (ours, fast, own) in medians.items():
        if name != BARE_NAME:
            added, ratios = ours - plain, ours / plain
            print(
                f"{clients:>7} {name}: median {np.median(ratios):.2f} x bare (rounds "
                f"{ratios.min():.2f} to {ratios.max():.2f}), {np.median(added):+.2f} ms "
                f"({added.min():+.2f} to {added.max():+.2f}); throughput {fast / slow:.2f} x; "
                f"own CPU {own:.2f} ms a request, bare {bare:.2f}"
            )


if __name__ == "__main__":
    main()
