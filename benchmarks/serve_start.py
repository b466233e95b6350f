"""``recsec serve`` with 100,000 known accounts: how soon it answers, and what it holds.

Each account has a kept history, a query that detectors have seen, and every hundredth a decision.
The state is filled in this process, the service is one of its own. Bar: it answers within 5 s of
its start, the imports of Python and torch included.

    python benchmarks/serve_start.py --model DIR --detectors DIR [--out FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_target import machine
from serve import POLICY, free_port

from recsec.detection import Fitted
from recsec.serving.engine import Engine, open_state
from recsec.serving.evidence import Event
from recsec.serving.policy import read_policy
from recsec.serving.state import Kept

TOGETHER = 2000
"""Accounts that are filled in at once."""


def fill(folder: Path, policy: Path, accounts: int) -> tuple[float, int]:
    """Seconds that it took, and bytes on disk."""
    begun, rules = time.monotonic(), read_policy(policy)
    names, store = open_state(folder)
    assert rules.detectors is not None
    fitted = Fitted.load(rules.detectors)
    engine = Engine(rules, names, store, folder=folder, fitted=fitted)
    rng, items, now = np.random.default_rng(0), len(fitted.catalog), time.time()
    for first in range(0, accounts, TOGETHER):
        known = [names.account(f"user {first + one}") for one in range(TOGETHER)]
        events = [
            Event(who, "", now, rng.integers(1, items + 1, 5), rng.integers(1, items + 1, 10))
            for who in known
        ]
        engine.evidence.observe(events)
        store.keep({who: Kept([1, 2, 3, 4, 5], [now] * 5, now) for who in known})
        for who in known[::100]:
            engine.ledger.decide(rules.rules[0], "account", who, {})
    engine.drain()
    took = time.monotonic() - begun
    return took, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def start(model: str, folder: Path, policy: Path) -> tuple[float, float, int, int]:
    """Seconds until it answers, its processor time, its megabytes, and how many decisions hold."""
    port, log = free_port(), folder / "log"
    words = [sys.executable, "-m", "recsec", "serve", model, "--policy", str(policy)]
    words += ["--state", str(folder / "state"), "--port", str(port)]
    begun = time.monotonic()
    with log.open("wb") as opened:
        running = subprocess.Popen(words, stdout=opened, stderr=opened)
    try:
        while True:
            assert running.poll() is None, log.read_text()
            with contextlib.suppress(OSError, http.client.HTTPException):
                to = http.client.HTTPConnection("127.0.0.1", port)
                to.request("GET", "/readyz")
                answer = to.getresponse()
                answer.read()
                if answer.status == 200:
                    break
            time.sleep(0.01)
        took, place = time.monotonic() - begun, Path(f"/proc/{running.pid}")
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        held = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        time.sleep(1.0)
        to.request("GET", "/metrics")
        told = to.getresponse().read().decode().splitlines()
        active = next(one for one in told if one.startswith("recsec_decisions_active "))
        return took, cpu, held // 2**20, int(float(active.split()[1]))
    finally:
        running.terminate()
        running.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--detectors", type=Path, required=True, help="recsec detect fit --out")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    lines = [machine()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = folder / "policy.toml"
        policy.write_text(POLICY.format(detectors=options.detectors.resolve()))
        for accounts in (0, options.accounts):
            if accounts:
                took, size = fill(folder / "state", policy, accounts)
                lines.append(
                    f"filled    {accounts:,} accounts in {took:.0f} s, {size / 1e6:.0f} MB"
                )
            found = [start(options.model, folder, policy) for _ in range(options.starts)]
            waits = np.array([one[0] for one in found])
            _, cpu, held, active = found[-1]
            spread = f"{waits.min():.1f} to {waits.max():.1f}, {len(waits)} starts"
            lines.append(
                f"{accounts:>7,} accounts: answers after {np.median(waits):.1f} s ({spread}), "
                f"processor time {cpu:.1f} s, "
                f"{held} MB, {active} decisions hold"
            )
    holds = "holds" if float(np.median(waits)) < 5 else "does not hold"
    lines.append(f"bar: with {accounts:,} accounts it answers within 5 s: {holds}")
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
