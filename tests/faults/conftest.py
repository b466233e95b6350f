"""An audit of a function that keeps a log of what it is asked, and a way to kill it anywhere."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsec.audit import parse_plan, run_audit

COMMAND = "recsec audit plan.toml --out run"
PLAN: dict[str, Any] = {
    "target": {
        "model": "callable:planted_api:recommend",
        "data": "shop.csv",
        "twins": {"model": "markov"},
    },
    "extraction": {
        "policies": "mixed",
        "calls": [60, 150],
        "seeds": 0,
        "length": 20,
        "sessions": 8,
        "surrogate_settings": {"embedding_dim": 8, "blocks": 1, "max_length": 20, "epochs": 3},
    },
    "evaluation": {"resamples": 100, "recheck": False},  # one copy more; test_runner has it
    "gate": {"fail_at": "never"},
    "engine": {"workers": 1, "device": "cpu"},
}
GUARDED: dict[str, Any] = {
    **PLAN,
    "target": {"train": "markov", "data": "shop.csv", "twins": 0},
    "defense": {"name": "jury", "guards": "throttle:verdict=planted_api:acquitted"},
}
API = '''
"""A recommender that looks at the last item only, and writes down every question."""

import json, os


def recommend(histories, k):
    with open("asked.log", "a") as log:
        for history in histories:
            log.write(json.dumps([history, k]) + "\\n")
    turn = -1 if os.path.exists("other-mood") else 1
    return [_after(history, k)[::turn] for history in histories]


def acquitted(account, histories):
    """A verdict on nobody, which tells what a guard was asked."""
    with open("asked.log", "a") as log:
        for history in histories.tolist():
            log.write(json.dumps([account, [item for item in history if item]]) + "\\n")
    return False


def _after(history, k):
    steps = ((history[-1] * 7 + 11 * step) % 60 + 1 for step in range(60))
    return [item for item in dict.fromkeys(steps) if item not in set(history)][:k]
'''
DRIVER = '''
"""Run the plan, and die as by kill -9 when a file is about to get its name, or a line, for the
n-th time."""

import json, os, signal, sys

part, count = sys.argv[1], int(sys.argv[2])


def deadly(move):
    def moved(source, target, *more, **words):
        global count
        if part in str(target):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return move(source, target, *more, **words)

    return moved


open_, write, names = os.open, os.write, {}


def opened(path, *more, **words):
    handle = open_(path, *more, **words)
    names[handle] = str(path)
    return handle


def written(handle, content):
    deadly(lambda source, target: None)(None, names.get(handle, ""))
    return write(handle, content)


os.replace, os.rename = deadly(os.replace), deadly(os.rename)
os.open, os.write = opened, written

from recsec.audit import parse_plan, run_audit

run_audit(parse_plan(json.loads(sys.argv[3])), "run", command=sys.argv[4])
'''


@dataclass(frozen=True)
class Place:
    """A folder with the function under attack, its log, and a run."""

    folder: Path

    @property
    def asked(self) -> list[str]:
        """Every question the function was asked, by any process."""
        log = self.folder / "asked.log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def report(self) -> bytes:
        """The report as it lies on the disk."""
        return (self.folder / "run" / "report.json").read_bytes()

    def run(self, plan: dict[str, Any] = PLAN) -> None:
        """Run or continue in this process."""
        run_audit(parse_plan(plan), "run", command=COMMAND)

    def killed(self, part: str, count: int, plan: dict[str, Any] = PLAN) -> None:
        """Run in another process until ``part`` is about to be written for the n-th time."""
        import json

        ended = subprocess.run(
            [sys.executable, "-c", DRIVER, part, str(count), json.dumps(plan), COMMAND],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr


def make_place(folder: Path) -> Place:
    (folder / "planted_api.py").write_text(API)
    rows = [
        f"{user},{(10 * user + (3 * step + user) % 10) % 60 + 1},{step}"
        for user in range(40)
        for step in range(10)
    ]
    (folder / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return Place(folder)


def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is imported anew, from the current folder and from its source.

    Not from bytecode: of two sources of one second and size Python takes the older one's.
    """
    monkeypatch.delitem(sys.modules, "planted_api", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "/pytest-" not in path])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    afresh(monkeypatch)
    monkeypatch.syspath_prepend(tmp_path)
    return make_place(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same plan, run from end to end."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("undisturbed")
        patch.chdir(folder)
        afresh(patch)
        place = make_place(folder)
        place.run()
    return place


@pytest.fixture
def plan() -> dict[str, Any]:
    """The plan."""
    return PLAN


@pytest.fixture
def guarded() -> dict[str, Any]:
    """A plan with a guard that writes down what it is asked."""
    return GUARDED
