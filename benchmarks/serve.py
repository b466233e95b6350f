"""``recsec serve`` beside the bare model behind FastAPI, on one machine in one run.

Both are processes of their own with one worker; the clients are threads of this one and send
growing histories. Rounds alternate, so that what else the machine does hits both. Bars: at most
10 % added at the median of one client; with 64 clients at least three times the bare throughput.

    python benchmarks/serve.py --model DIR [--policy policy.toml]
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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def post(to: http.client.HTTPConnection, account: str, history: list[int]) -> int:
    body = json.dumps({"account": account, "history": history, "k": 10})
    to.request("POST", "/v1/recommend", body, {"Content-Type": "application/json"})
    answer = to.getresponse()
    answer.read()
    return answer.status


def ready(port: int) -> None:
    for _ in range(1500):
        try:
            to = http.client.HTTPConnection("127.0.0.1", port)
            to.request("GET", "/readyz")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--policy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    import polars as pl

    items = pl.read_parquet(Path(options.model) / "items.parquet")["id"].to_list()
    ports = {"bare FastAPI + model": free_port(), "recsec serve": free_port()}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        log = (Path(folder) / "log").open("wb")
        serve = [sys.executable, "-m", "recsec", "serve", options.model, "--state", folder]
        serve += ["--port", str(ports["recsec serve"])]
        serve += ["--policy", options.policy] if options.policy else []
        bare = [sys.executable, "-c", BARE, options.model, str(ports["bare FastAPI + model"])]
        running = [subprocess.Popen(words, env=environment, stderr=log) for words in (bare, serve)]
        try:
            for port in ports.values():
                ready(port)
                load(port, items, 4, 1.0, 99)
            print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            print(f"model {Path(options.model).name}, policy {options.policy or 'none'}")
            for clients in (1, 64):
                found: dict[str, list[list[float]]] = {name: [] for name in ports}
                for number in range(options.rounds):
                    for name, port in ports.items():
                        found[name].append(load(port, items, clients, options.seconds, number))
                medians = {}
                for name, rounds in found.items():
                    all_ = np.concatenate([np.array(one) for one in rounds]) * 1000
                    rate = len(all_) / (options.rounds * options.seconds)
                    p50, p95, p99 = np.percentile(all_, [50, 95, 99])
                    medians[name] = [float(np.median(one)) for one in rounds], rate
                    print(
                        f"{clients:>3} clients  {name:<22} {rate:7.0f}/s   p50 {p50:6.2f} ms   "
                        f"p95 {p95:6.2f} ms   p99 {p99:6.2f} ms   n {len(all_)}"
                    )
                (plain, slow), (ours, fast) = medians.values()
                ratios = np.array(ours) / np.array(plain)
                print(
                    f"{clients:>3} clients  recsec / bare: median {np.median(ratios):.2f} "
                    f"(rounds {ratios.min():.2f} to {ratios.max():.2f}), "
                    f"throughput {fast / slow:.2f}"
                )
        finally:
            for one in running:
                one.terminate()
                one.wait()
            log.close()


if __name__ == "__main__":
    main()
