"""The service as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Process:
    """A running service."""

    running: subprocess.Popen[bytes]
    url: str
    words: str

    def ask(self, account: str) -> httpx.Response:
        body = {"account": account, "history": [3], "k": 5}
        return httpx.post(f"{self.url}/v1/recommend", json=body)


def start(model: Path, folder: Path, *words: str, env: dict[str, str] | None = None) -> Process:
    log = folder / "stderr.txt"
    with log.open("wb") as stderr:
        running = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "recsec",
                "serve",
                str(model),
                "--port",
                "0",
                "--policy",
                str(folder / "policy.toml"),
                "--state",
                str(folder / "state"),
                *words,
            ],
            stderr=stderr,
            env={**os.environ, "COLUMNS": "300", **(env or {})},
        )
    for _ in range(2400):
        found = re.search(r"at (http://\S+)", log.read_text(encoding="utf-8"))
        if found is not None:
            try:
                if httpx.get(f"{found[1]}/readyz").status_code == 200:
                    return Process(running, found[1], log.read_text(encoding="utf-8"))
            except httpx.TransportError:
                pass
        assert running.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.05)
    running.kill()
    running.wait()
    raise AssertionError("it does not get ready")
