"""A collection that is killed: what the target counted is what the meter says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


def killed(*options: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", "--calls", "60", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("target", ["http", "callable"])
def test_at_file_system_events_the_meter_knows_every_request(target: str) -> None:
    found = killed("--target", target, "--kills", "12")
    assert found["killed"] == 12
    assert found["asked again at most"] <= found["chunk"]
    assert found["meter less than the target, collections"] == 0
    assert found["meter more than the target, collections"] == 0
    assert found["other answers, collections"] == 0


def test_at_any_moment_the_meter_never_says_less_than_the_target_saw() -> None:
    found = killed("--moments", "--kills", "6")
    assert found["asked again at most"] <= found["chunk"]
    assert found["meter less than the target, collections"] == 0
    assert found["meter more than the target, at most"] <= found["chunk"]
    assert found["other answers, collections"] == 0
