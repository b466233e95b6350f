"""Audits on a Ray cluster whose parts are killed at random, each finished by the same command.

A cluster of two nodes on this machine, one core each. First the plan is done undisturbed on this
machine. Then, ``--kills`` times, the same plan is begun on the cluster and at a random moment one
of these is killed as by kill -9: whoever started the audit, a worker of Ray, or the second node
with all that runs there. The same command goes on, as often as it says that evidence is missing.
Compared are the bytes of ``report.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recsec.audit.engines.ray import QUIET

PLAN = """
[target]
train = "markov"
data = "synthetic:users=60,items=40"
twins = 0
[[extraction]]
policies = ["mixed", "random"]
calls = 60
seeds = 0
length = 15
surrogate_settings = { embedding_dim = 8, blocks = 1, max_length = 15, epochs = 2 }
[evaluation]
resamples = 100
recheck = false
[engine]
device = "cpu"
"""
MEMORY = 100 * 2**20
ATTEMPTS = 6


def begin(folder: Path, *before: str) -> subprocess.Popen[bytes]:
    """The command, in a folder that holds the plan, behind the words that say where."""
    words = [*before, sys.executable, "-m", "recsec", "audit", "plan.toml", "--out", "run"]
    words.append("--quiet")
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)


def workers() -> list[int]:
    """Processes of Ray on this machine that do our work."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::run_elsewhere"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def killed(what: str, driver: subprocess.Popen[bytes], cluster: Any) -> bool:
    """Kill it; whether there was something to kill."""
    if what == "driver":
        if driver.poll() is not None:
            return False
        driver.kill()
        driver.wait()
        return True
    if what == "node":
        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        return True
    mine = workers()
    for number in mine[:1]:
        os.kill(number, signal.SIGKILL)
    return bool(mine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    os.environ |= QUIET
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    rng = random.Random(0)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        (whole / "plan.toml").write_text(PLAN)
        begun = time.monotonic()
        begin(whole).wait()
        wanted, took = (whole / "run" / "report.json").read_bytes(), time.monotonic() - begun
        while len(rows) < options.kills:
            folder, what = Path(place) / str(len(rows)), rng.choice(["driver", "worker", "node"])
            folder.mkdir()
            (folder / "plan.toml").write_text(
                f'{PLAN}kind = "ray"\naddress = "{cluster.address}"\n'
            )
            driver, wait = begin(folder), rng.uniform(0.2, 1.0) * took
            while what == "worker" and driver.poll() is None and not workers():
                time.sleep(0.05)
            time.sleep(0.0 if what == "worker" else wait)
            hit, again = killed(what, driver, cluster), 0
            codes = [driver.wait()]
            while codes[-1] not in (0, 1) and again < ATTEMPTS:
                again += 1
                codes.append(begin(folder).wait())
            report = folder / "run" / "report.json"
            same = report.exists() and report.read_bytes() == wanted
            rows.append({"killed": what, "hit": hit, "exits": codes, "same report": same})
            print(json.dumps(rows[-1]), flush=True)
    cluster.shutdown()
    hits = [row for row in rows if row["hit"]]
    lines = [f"{len(rows)} audits begun on a Ray cluster of two nodes, one part killed in each"]
    for what in ("driver", "worker", "node"):
        mine = [row for row in hits if row["killed"] == what]
        count = sum(row["same report"] for row in mine)
        lines.append(f"{what:8}{len(mine):>4} killed, {count} ended with the same report.json")
    lines.append(
        f"commands for an audit, the killed one included: {[len(r['exits']) for r in rows]}"
    )
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
