"""People and thieves at the live service, over loopback, beside the same thieves without recsec.

    python benchmarks/live_theft.py --model runs/ml1m/sasrec --out runs/live

The service is a process of its own behind a real socket; only its clock is ours: it stands still
until the next request is due, so days pass in seconds and every request is served in its order.
People are users whom the detectors never saw; they choose by the law of the trivago sample and
pause as its visitors do. Thieves go on with a new account when one is blocked. A list is right if
it is the recommender's for the history that was asked about. ``--out`` keeps the detectors.
"""

from __future__ import annotations

import argparse
import heapq
import json
import mmap
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import torch
from serve import BARE, free_port, ready

from recsec.attacks.extraction import ExtractionConfig, collect
from recsec.data import load
from recsec.detection import FitConfig, fit_detectors
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.stats import wilson
from recsec.targets import Budget, LocalTarget, MeteredTarget, PartialAnswer
from recsec.targets.bounded import DAY, HOTELS, Sybils
from recsec.targets.http.client import HttpTarget
from recsec.targets.http.config import HttpConfig
from recsec.traffic import click_law

RESULTS = Path(__file__).parent / "results" / "live_theft"
K = 10
LEVEL = 0.01
BELOW = 19
"""Calls of a thief who knows that accounts are judged after 20."""
SIDE_BY_SIDE = 10
MOST = 261
"""Requests a day that 99.5 % of the trivago sample's visitors keep (theft_cost.txt)."""
POLICY = """
detectors = "{detectors}"
enforce = true
[[rules]]
name = "thief"
p_value = {level}
action = "block"
duration = "1d"
enforce = true
[[rules]]
name = "haste"
more_than = {most}
within = "1d"
action = "block"
duration = "1d"
enforce = true
"""
MODES = ("without recsec", "recsec, histories sent", "recsec, histories bound")
THIEVES: dict[str, dict[str, Any]] = {
    "mixed": {"policy": "mixed", "length": 60},
    "sybils of 19 calls": {"policy": "mixed", "length": BELOW},
    "rank-law": {"policy": "rank-law", "length": 60},
}


class Clock:
    """The service's time, in a file that it maps."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("d", 1e9))
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 8)

    def __call__(self) -> float:
        return float(struct.unpack("d", self._map[:8])[0])

    def advance(self, to: float) -> None:
        self._map[:8] = struct.pack("d", max(self(), to))


def child(model: str, folder: Path, policy: str, port: int, bound: bool) -> int:
    """The service: as ``recsec serve`` puts it together, with the clock of the benchmark."""
    import asyncio

    from starlette.responses import Response

    from recsec.serving.answering import Answering
    from recsec.serving.api import create_app
    from recsec.serving.engine import Engine, open_state
    from recsec.serving.policy import read_policy
    from recsec.serving.running import listen, run

    torch.set_num_threads(1)
    target = LocalTarget(load_model(Path(model)))
    names, store = open_state(folder / "state")
    engine = Engine(
        read_policy(Path(policy)),
        names,
        store,
        external=target.catalog.external,
        pace=HOTELS if bound else None,
        clock=Clock(folder / "clock"),
    )
    app = create_app(Answering(engine, target, bound=bound), open_to_all=True)

    async def settle(_: Any) -> Response:
        await asyncio.to_thread(engine.settle)
        return Response()

    app.add_route("/settle", settle)
    return run(app, engine, listen("127.0.0.1", port))


class Server:
    """One way of being asked: address, clock, and what was decided."""

    def __init__(self, url: str, clock: Clock, *, watched: bool, bound: bool) -> None:
        self.url, self.clock, self.watched, self.bound = url, clock, watched, bound
        self.http = httpx.Client(base_url=url, timeout=60)
        self.pool = ThreadPoolExecutor(16)

    def settle(self) -> None:
        """Wait until the service has looked at everything that it answered."""
        if self.watched:
            self.http.get("/settle").raise_for_status()

    def decisions(self) -> list[dict[str, Any]]:
        return self.http.get("/v1/decisions").json()["new"] if self.watched else []

    def act(self, account: str, item: int) -> float:
        """An event; returns how many seconds later it counts."""
        sent = self.http.post("/v1/events", json={"account": account, "item": item})
        return float(sent.raise_for_status().json()["counts_in"])

    def ask(self, account: str, history: Sequence[int]) -> list[int] | None:
        """A list; None if the account is blocked. A busy service is asked again."""
        body = {"account": account, "history": list(history), "k": K}
        while True:
            if self.bound:
                answer = self.http.get(f"/v1/recommend/{account}", params={"k": K})
            else:
                answer = self.http.post("/v1/recommend", json=body)
            if answer.status_code == 429:
                return None
            if answer.status_code != 503:
                return list(answer.raise_for_status().json()["items"])
            time.sleep(0.5)


@contextmanager
def served(mode: str, chosen: argparse.Namespace) -> Iterator[Server]:
    bound, watched = "bound" in mode, "without" not in mode
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = Clock(folder / "clock")
        policy = folder / "policy.toml"
        policy.write_text(
            POLICY.format(detectors=(chosen.out / "detectors").resolve(), level=LEVEL, most=MOST)
        )
        told = [chosen.model, str(folder), str(policy), str(port), str(int(bound))]
        words = [__file__, "--child", *told] if watched else ["-c", BARE, chosen.model, str(port)]
        running = subprocess.Popen([sys.executable, *words])
        try:
            ready(port)
            yield Server(f"http://127.0.0.1:{port}", clock, watched=watched, bound=bound)
        finally:
            running.terminate()
            running.wait()


def pauses(count: int, rng: np.random.Generator) -> np.ndarray:
    """``(A, count)`` seconds between requests of the visitors of trivago who made so many."""
    path = Path(os.environ["RECSEC_MIRROR"]) / "trivago-2019-sample.parquet"
    log = pl.read_parquet(path).sort("user_id", "timestamp", "step")
    rows = log.group_by("user_id", maintain_order=True).agg("timestamp")["timestamp"]
    long = [np.diff(row.to_numpy()[: count + 1]) for row in rows if len(row) > count]
    return rng.permutation(np.array(long, dtype=np.float64))


def people(server: Server, model: Any, chosen: argparse.Namespace, test: np.ndarray) -> dict:
    """Replay people; returns how many there were, and how many were touched."""
    rng = Streams(0).child("live theft").numpy("people")
    law, full = click_law("trivago", K), load(chosen.data).split().full
    users = rng.permutation(test[full.lengths[test] >= chosen.queries])[: chosen.people]
    gaps = pauses(chosen.queries, rng)
    external = model.catalog.external
    own = {
        user: list(external(full.items[full.offsets[user] : full.offsets[user + 1]]))
        for user in users.tolist()
    }
    histories: dict[int, list[int]] = {user: [] for user in own}
    lists: dict[int, list[int]] = {}
    began, queries, blocked = server.clock(), 0, set()
    due = [(began + float(rng.uniform(0, DAY)), user) for user in own]
    heapq.heapify(due)

    def step(user: int, item: int) -> list[int] | None:
        if server.bound:
            server.act(f"user-{user}", item)
        return server.ask(f"user-{user}", histories[user])

    while due:
        wave = [heapq.heappop(due) for _ in range(min(16, len(due)))]
        server.clock.advance(wave[0][0])
        items = []
        for _, user in wave:
            item = own[user][0]
            if lists.get(user) and rng.random() < law.acceptance:
                row = np.array([lists[user]], dtype=np.int64)
                item = int(law.draw(row, rng)[0]) or item
            own[user] = [one for one in own[user] if one != item]
            histories[user].append(item)
            items.append(item)
        found = list(server.pool.map(step, [user for _, user in wave], items))
        for (at, user), answer in zip(wave, found, strict=True):
            queries += 1
            lists[user] = answer or []
            blocked |= {user} if answer is None else set()
            done = len(histories[user])
            if done < chosen.queries and own[user]:
                pause = gaps[users.tolist().index(user) % len(gaps)][done - 1]
                heapq.heappush(due, (at + float(pause), user))
    server.settle()
    found = server.decisions()
    return {
        "people": len(users),
        "queries": queries,
        "days": (server.clock() - began) / DAY,
        "decided": wilson(len({one["subject"] for one in found}), len(users)).to_json(),
        "refused": wilson(len(blocked), len(users)).to_json(),
        "rules": sorted(one["rule"] for one in found),
    }


class Accounts:
    """A thief who sends histories: with one account until it is blocked, or for ``most`` calls."""

    def __init__(self, server: Server, catalog: Any, name: str, most: int | None) -> None:
        told = {"account": "{account}", "history": "{history}", "k": "{k}"}
        url = f"{server.url}/v1/recommend"
        config = HttpConfig(url=url, request=told, timeout=60, concurrency=SIDE_BY_SIDE)
        self.catalog, self.chunk = catalog, SIDE_BY_SIDE
        self._http, self._server, self._most = HttpTarget(config, catalog), server, most
        self.used: dict[str, int] = {}
        self._name, self._number = name, 0

    def query(self, account: str, histories: np.ndarray, k: int) -> np.ndarray:
        lists = np.zeros((len(histories), k), dtype=np.int64)
        left = np.arange(len(histories))
        while len(left):
            name = f"{self._name} {self._number}"
            room = len(left) if self._most is None else self._most - self.used.get(name, 0)
            now = left[:room]
            try:
                lists[now], good = self._http.query(name, histories[now], k), now
            except PartialAnswer as error:
                good = now[error.answered]
                lists[good] = error.lists[error.answered]
            self.used[name] = self.used.get(name, 0) + len(good)
            if len(good) < len(now) or self.used[name] == self._most:
                self._number += 1
            left = np.setdiff1d(left, good)
            self._server.clock.advance(self._server.clock() + len(good))
            self._server.settle()
        return lists

    @property
    def account_days(self) -> int:
        """Every account was used for less than a day."""
        return sum(count > 0 for count in self.used.values())


class Remote:
    """A bound service as ``Sybils`` asks it; a blocked account is replaced by a new one."""

    def __init__(self, server: Server, catalog: Any, name: str) -> None:
        self.catalog, self.chunk = catalog, SIDE_BY_SIDE
        self._server, self._name = server, name
        self._items: dict[str, list[int]] = {}
        self._real: dict[str, str] = {}
        self._opened: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self.used: dict[str, int] = {}

    def act(self, name: str, item: int, *, at: float) -> float:
        """See ``BoundedTarget.act``; time is the service's."""
        if name not in self._real:
            self._open(name)
        self._items.setdefault(name, []).append(int(self.catalog.external(np.array([item]))[0]))
        return self._act(name, self._items[name][-1])

    def _open(self, name: str) -> None:
        self._real[name] = real = f"{self._name} {len(self._opened)}"
        self._opened[real] = self._server.clock()

    def _act(self, name: str, item: int) -> float:
        real, now = self._real[name], self._server.clock()
        self._due[real] = now + self._server.act(real, item)
        return self._due[real] - self._opened[real]

    def look(self, names: Sequence[str], k: int, *, at: float) -> np.ndarray:
        """See ``BoundedTarget.look``; waits until all that was done counts."""
        lists = np.zeros((len(names), k), dtype=np.int64)
        left = list(range(len(names)))
        while left:
            self._server.clock.advance(max(self._due[self._real[names[row]]] for row in left))
            reals = [self._real[names[row]] for row in left]
            found = list(self._server.pool.map(lambda real: self._server.ask(real, ()), reals))
            self._server.settle()
            again = []
            for row, real, answer in zip(left, reals, found, strict=True):
                if answer is None:
                    self._open(names[row])
                    for item in self._items[names[row]]:
                        self._act(names[row], item)
                    again.append(row)
                else:
                    self.used[real] = self.used.get(real, 0) + 1
                    lists[row, : len(answer)] = self.catalog.index(answer)
            left = again
        return lists

    @property
    def account_days(self) -> int:
        """The first day of each account whole."""
        return sum(int((self._due[one] - since) // DAY) + 1 for one, since in self._opened.items())


class Checked:
    """Counts the lists that are the recommender's."""

    def __init__(self, asked: Any, model: Any) -> None:
        self.catalog, self.chunk = asked.catalog, asked.chunk
        self._asked, self._true = asked, LocalTarget(model)
        self.right = self.calls = 0

    def query(self, account: str, histories: np.ndarray, k: int) -> np.ndarray:
        lists = self._asked.query(account, histories, k)
        truth = self._true.query("truth", histories, k)
        self.right += int((lists == truth).all(axis=1).sum())
        self.calls += len(lists)
        return np.asarray(lists)


def thief(server: Server, name: str, model: Any, chosen: argparse.Namespace) -> dict[str, Any]:
    settings = THIEVES[name]
    before = {one["id"] for one in server.decisions()}
    if server.bound:
        asked: Any = Remote(server, model.catalog, name)
        checked = Checked(Sybils(asked), model)
    else:
        most = BELOW if settings["length"] == BELOW and server.watched else None
        asked = Accounts(server, model.catalog, name, most)
        checked = Checked(asked, model)
    config = ExtractionConfig(
        policy=settings["policy"], sessions=SIDE_BY_SIDE, length=settings["length"]
    )
    began = server.clock()
    with tempfile.TemporaryDirectory() as folder:
        budget = Budget(calls=chosen.calls)
        with MeteredTarget(checked, budget=budget, folder=Path(folder)) as meter:
            streams = Streams(0).child("live theft").child(name)
            collect(meter, config, calls=chosen.calls, k=K, streams=streams)
    server.settle()
    new = [one for one in server.decisions() if one["id"] not in before]
    accounts = sum(count > 0 for count in asked.used.values())
    return {
        "calls": checked.calls,
        "right": checked.right,
        "accounts": accounts,
        "account_days": asked.account_days,
        "days": (server.clock() - began) / DAY,
        "lists_per_account_day": checked.right / asked.account_days,
        "decided": wilson(len({one["subject"] for one in new}), accounts).to_json()
        if server.watched
        else None,
    }


def detectors(model: Any, chosen: argparse.Namespace) -> np.ndarray:
    """Fit them once; returns the users that they never saw."""
    kept = chosen.out / "test-users.npy"
    if not kept.exists():
        config = FitConfig(queries=50, users=chosen.fitted, patterns={})
        data = load(chosen.data)
        fitted, _, groups = fit_detectors(model, data.sequences(), config, streams=Streams(0))
        fitted.save(chosen.out / "detectors")
        np.save(kept, groups.test)
    return np.load(kept)


def span(share: dict[str, Any] | None) -> str:
    if share is None:
        return "-"
    value, low, high = (100 * share[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}] %"


def text(found: dict[str, Any]) -> str:
    lines = [
        f"# benchmarks/live_theft.py; {found['machine']}",
        f"{found['data']}, {found['model']}, k = {K}; blocks at p <= {LEVEL:g} a day and after "
        f"{MOST} requests a day; judged after 20 and 50 queries and at doublings",
        "",
        f"{'people':28}{'n':>5}{'queries':>9}{'decided about':>26}{'refused a request':>26}",
    ]
    for mode, row in found["people"].items():
        lines.append(
            f"{mode:28}{row['people']:>5}{row['queries']:>9}{span(row['decided']):>26}"
            f"{span(row['refused']):>26}"
        )
    lines += [
        "",
        f"{'thief':30}{'how':28}{'calls':>6}{'right':>7}{'accounts':>10}{'acc. x days':>12}"
        f"{'lists/acc. x day':>18}{'accounts decided about':>26}",
    ]
    for name, rows in found["thieves"].items():
        for mode, row in rows.items():
            lines.append(
                f"{name:30}{mode:28}{row['calls']:>6}{row['right']:>7}{row['accounts']:>10}"
                f"{row['account_days']:>12}{row['lists_per_account_day']:>18.1f}"
                f"{span(row['decided']):>26}"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        model, folder, policy, port, bound = sys.argv[2:]
        raise SystemExit(child(model, Path(folder), policy, int(port), bound == "1"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--queries", type=int, default=30, help="of one person, at most")
    parser.add_argument("--calls", type=int, default=600, help="of one thief")
    parser.add_argument("--fitted", type=int, default=400, help="users in each group of the fit")
    parser.add_argument("--results", type=Path, default=RESULTS, help="without .json and .txt")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = load_model(Path(chosen.model))
    test = detectors(model, chosen)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    found: dict[str, Any] = {"machine": machine, "data": chosen.data}
    found |= {"model": Path(chosen.model).name, "people": {}, "thieves": {}}
    for mode in MODES:
        with served(mode, chosen) as server:
            if server.watched:
                found["people"][mode] = people(server, model, chosen, test)
                print(mode, found["people"][mode], flush=True)
            for name in THIEVES:
                row = thief(server, name, model, chosen)
                found["thieves"].setdefault(name, {})[mode] = row
                print(mode, name, row, flush=True)
    chosen.results.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    chosen.results.with_suffix(".txt").write_text(text(found))
    print(text(found))


if __name__ == "__main__":
    main()
