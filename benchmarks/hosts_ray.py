"""Audits on a Ray cluster of two hosts, one with the link between them cut.

A host is a network namespace of this machine; a third one is the switch between them. It needs root
and ``ip`` (iproute2). The head has no core to give, so every cell is done on the other host; both
see the same folder. The plan is done undisturbed on this machine, then on the cluster, then on the
cluster with the link taken down while the other host asks its target. That worker waits until the
same command was begun again (which finds no node), then asks on and would write. The link comes
up, a node joins anew, and the same command goes on. Compared are the bytes of ``report.json``, the
files that the late worker changed, and what the target was asked, which the target itself notes.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex

from bench_target import machine
from kills_ray import ATTEMPTS, MEMORY, PLAN, begin, workers

from recsec.audit.engines.ray import QUIET

HOSTS = {"recsec-a": "10.99.0.1", "recsec-b": "10.99.0.2"}
HEAD, NODE = HOSTS
SWITCH = "recsec-switch"
PORT = 6399
PATIENCE = {
    "RAY_health_check_period_ms": "1000",  # the head gives a silent node up after some seconds,
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",  # the node never gives up the head
}
CALLS = 6000
RECORDED = 4096
"""Calls after which a meter records what a recommender in its process answered."""
TARGET = f"""
import os, time
from pathlib import Path
from recsec.models.sequential.markov import Markov

class Noted(Markov):
    name = "noted"
    asked = 0

    def scores(self, histories):
        Noted.asked += len(histories)
        with open("asked", "a") as notes:
            notes.write(f"{{os.getpid()}} {{len(histories)}}\\n")
        while Noted.asked > {RECORDED + 300} and Path("wait").exists():
            time.sleep(0.1)
        return super().scores(histories)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def two_hosts() -> Iterator[None]:
    """Two namespaces on one switch; gone at the end with all that runs there."""
    made: list[str] = []
    try:
        for name in (SWITCH, *HOSTS):
            ip("netns", "add", name)
            made.append(name)
        ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            ends = ("port", "netns", host, "type", "veth", "peer", "name", host, "netns", SWITCH)
            ip("link", "add", *ends)
            ip("-n", SWITCH, "link", "set", host, "master", "bridge", "up")
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "port")
            for one in ("lo", "port"):
                ip("-n", host, "link", "set", one, "up")
            ip("-n", host, "route", "add", "default", "dev", "port")  # by it Ray finds its address
        yield
    finally:
        for name in made:
            for number in running(name):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            ip("netns", "del", name)


def on(host: str) -> tuple[str, ...]:
    """What stands before a command that a host runs."""
    return "ip", "netns", "exec", host


def running(host: str) -> set[int]:
    """Processes of a host."""
    words = ["ip", "netns", "pids", host]
    found = subprocess.run(words, check=False, capture_output=True, text=True).stdout
    return {int(number) for number in found.split()}


def join(host: str, place: Path) -> None:
    """Ray on a host: the head without a core, or a node of one core."""
    where = ["--address", f"{HOSTS[HEAD]}:{PORT}", "--num-cpus", "1"]
    if host == HEAD:
        where = ["--head", "--port", str(PORT), "--num-cpus", "0", "--temp-dir", str(place)]
        where += ["--include-dashboard", "false"]
    words = [*on(host), sys.executable, "-m", "ray.scripts.scripts", "start", *where]
    words += ["--node-ip-address", HOSTS[host], "--object-store-memory", str(MEMORY)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def wait_for(what: Callable[[], object]) -> None:
    """Wait, five minutes at most.

    Raises:
        TimeoutError: it is not so yet.
    """
    end = time.monotonic() + 300
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("nothing happens any more: see said.txt and the logs of Ray")
        time.sleep(0.1)


def finish(folder: Path, *before: str) -> list[int]:
    """Exit codes of the same command until it finds all evidence."""
    codes: list[int] = []
    while len(codes) < ATTEMPTS and (not codes or codes[-1] not in (0, 1)):
        codes.append(begin(folder, *before).wait())
    return codes


def asked(folder: Path) -> Counter[int]:
    """Histories that the target was asked, by process."""
    count: Counter[int] = Counter()
    for line in (folder / "asked").read_text().splitlines():
        process, histories = line.split()
        count[int(process)] += int(histories)
    return count


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of all files of the run."""
    found = [path for path in (folder / "run").rglob("*") if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def cut(folder: Path, place: Path) -> tuple[list[int], list[str]]:
    """The audit whose link is cut: exit codes, and what was seen."""
    (folder / "wait").touch()
    first = begin(folder, *on(HEAD))
    wait_for(lambda: list(folder.glob("run/transcript/*/calls-*")))
    ip("-n", SWITCH, "link", "set", NODE, "down")
    went = time.monotonic()
    codes = [first.wait()]
    seen = [f"the first command ended {time.monotonic() - went:.0f} s after the cut"]
    codes.append(begin(folder, *on(HEAD)).wait())
    (late,) = running(NODE) & set(workers())
    taken, before = files(folder), asked(folder)[late]
    (folder / "wait").unlink()
    wait_for(lambda: late not in workers())
    changed = [path for path, told in files(folder).items() if taken.get(path) != told]
    seen += [
        f"histories that the cut-off worker asked after the second command: "
        f"{asked(folder)[late] - before:,}",
        f"files of the run that it changed since: {len(changed)}",
    ]
    ip("-n", SWITCH, "link", "set", NODE, "up")
    join(NODE, place)
    return codes + finish(folder, *on(HEAD)), seen


def prepared(folder: Path, where: str) -> Path:
    """A folder with the plan and the package of the target."""
    package = folder / "noted-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: noted\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[recsec.models]\nnoted = noted:Noted\n")
    (folder / "noted.py").write_text(TARGET)
    plan = PLAN.replace('"markov"', '"noted"').replace("calls = 60", f"calls = {CALLS}")
    (folder / "plan.toml").write_text(f"{plan}{where}\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    os.environ |= {**QUIET, **PATIENCE, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
    cluster = f'kind = "ray"\naddress = "{HOSTS[HEAD]}:{PORT}"'
    lines = [
        "A Ray cluster of two hosts (network namespaces behind a switch), all cells on the second",
        f"{'':10} {'exits':12} {'asked':>7}  the same report.json",
    ]
    with tempfile.TemporaryDirectory() as name, two_hosts():
        place, whole, seen = Path(name), b"", []
        for what in ("alone", "two hosts", "link cut"):
            folder = prepared(place / what, "workers = 1" if what == "alone" else cluster)
            if what == "alone":
                codes = finish(folder)
            elif what == "two hosts":
                join(HEAD, place / "ray")
                join(NODE, place / "ray")
                codes = finish(folder, *on(HEAD))
            else:
                codes, seen = cut(folder, place / "ray")
            report = (folder / "run" / "report.json").read_bytes()
            whole = whole or report
            calls = asked(folder).total()
            lines.append(f"{what:10} {codes!s:12} {calls:>7,}  {report == whole}")
            print(lines[-1], flush=True)
        said = (folder / "said.txt").read_text().splitlines()
    errors = [line for line in said if line.startswith(("error", "next"))]
    lines += ["", *seen, "", "what the commands said:", *errors]
    lines += ["", machine(), f"ray {version('ray')}"]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
