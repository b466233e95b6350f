"""Audits on a Ray cluster of two hosts: two network namespaces with a cable between them.

Needs root and ``ip`` (iproute2). The head has no core to give, so every cell is done on the other
host; both see the same folder. First the plan is done undisturbed on this machine, then on the
cluster, then on the cluster with the link taken down while the other host works, and up again with
a node that joins anew; the same command goes on, as often as it says that evidence is missing.
Compared are the bytes of ``report.json``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from kills_ray import ATTEMPTS, MEMORY, PLAN

from recsec.audit.engines.ray import QUIET

HOSTS = {"recsec-a": "10.99.0.1", "recsec-b": "10.99.0.2"}
HEAD, NODE = HOSTS
PORT = 6399
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
# without a token a node on another address is refused (Ray 2.60)
NOTICED = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
"""A node that does not answer is given up after some seconds."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def inside(host: str, words: list[str], folder: Path | None = None) -> subprocess.Popen[bytes]:
    """A command on a host."""
    said = subprocess.DEVNULL if folder is None else (folder / "said.txt").open("ab")
    return subprocess.Popen(
        ["ip", "netns", "exec", host, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=said
    )


@contextmanager
def two_hosts() -> Iterator[None]:
    """Two namespaces, joined; gone at the end."""
    made: list[str] = []
    try:
        for host in HOSTS:
            ip("netns", "add", host)
            made.append(host)
        ip("link", "add", "va", "netns", HEAD, "type", "veth", "peer", "name", "vb", "netns", NODE)
        for (host, address), name in zip(HOSTS.items(), ("va", "vb"), strict=True):
            ip("-n", host, "addr", "add", f"{address}/24", "dev", name)
            for one in ("lo", name):
                ip("-n", host, "link", "set", one, "up")
            ip("-n", host, "route", "add", "default", "dev", name)  # by it Ray finds its address
        yield
    finally:
        for host in made:
            found = subprocess.run(
                ["ip", "netns", "pids", host], check=False, capture_output=True, text=True
            )
            for number in found.stdout.split():
                subprocess.run(["kill", "-9", number], check=False)
            subprocess.run(["ip", "netns", "del", host], check=False)


def started(host: str, temporary: Path) -> None:
    """Ray on a host: the head without a core, or a node of one core."""
    where = ["--head", "--port", str(PORT), "--num-cpus", "0", "--temp-dir", str(temporary)]
    if host != HEAD:
        where = ["--address", f"{HOSTS[HEAD]}:{PORT}", "--num-cpus", "1"]
    words = [*where, "--node-ip-address", HOSTS[host], "--object-store-memory", str(MEMORY)]
    if host == HEAD:
        words += ["--include-dashboard", "false"]
    words = ["ip", "netns", "exec", host, *RAY, "start", *words]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ray did not start on {host}:\n{done.stdout}\n{done.stderr}")


def audited(folder: Path, *, cut: Path | None = None) -> list[int]:
    """Exit codes of the same command until it ends; the link is cut once in the first, if asked."""
    words = [sys.executable, "-m", "recsec", "audit", "plan.toml", "--out", "run", "--quiet"]
    codes: list[int] = []
    while len(codes) < ATTEMPTS and (not codes or codes[-1] not in (0, 1)):
        driver = inside(HEAD, words, folder)
        if cut is not None and not codes:
            while driver.poll() is None and not list(folder.glob("run/cells/ask-*")):
                time.sleep(0.02)
            ip("-n", HEAD, "link", "set", "va", "down")
            print("link down", flush=True)
        codes.append(driver.wait())
        if cut is not None and len(codes) == 1:
            ip("-n", HEAD, "link", "set", "va", "up")
            started(NODE, cut)
        print(codes, flush=True)
    return codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    os.environ |= {**QUIET, **NOTICED, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
    with tempfile.TemporaryDirectory(dir="/tmp") as place, two_hosts():
        folders = {}
        for name, where in {
            "alone": "workers = 1",
            "two hosts": f'kind = "ray"\naddress = "{HOSTS[HEAD]}:{PORT}"',
            "link cut": f'kind = "ray"\naddress = "{HOSTS[HEAD]}:{PORT}"',
        }.items():
            folders[name] = Path(place) / name.replace(" ", "-")
            folders[name].mkdir()
            (folders[name] / "plan.toml").write_text(f"{PLAN}{where}\n")
        temporary = Path(place) / "ray"
        codes = {"alone": audited(folders["alone"])}
        started(HEAD, temporary)
        started(NODE, temporary)
        codes["two hosts"] = audited(folders["two hosts"])
        codes["link cut"] = audited(folders["link cut"], cut=temporary)
        reports = {name: folder / "run" / "report.json" for name, folder in folders.items()}
        whole = reports["alone"].read_bytes()
        lines = ["A Ray cluster of two hosts (network namespaces), every cell on the second host"]
        for name, report in reports.items():
            same = report.exists() and report.read_bytes() == whole
            lines.append(f"{name:10} exits {codes[name]}, the same report.json: {same}")
        said = (folders["link cut"] / "said.txt").read_text().splitlines()
        lines += ["", "what the command said when the link was cut:", *said[-12:]]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
