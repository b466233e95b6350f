"""A small catalog behind functions whose weakness is known."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from recsec.audit import parse_plan, run_audit

COMMAND = "recsec audit plan.toml --out run"
ITEMS = 60
APIS = '''
"""Recommenders with a planted weakness."""

import hashlib
import random


def weak(histories, k):
    """The next items on a ring: nothing but the last item matters."""
    return [_first([(h[-1] + step) % 60 + 1 for step in range(60)], h, k) for h in histories]


def noise(histories, k):
    """An order drawn anew for every history, always the same for the same one."""
    return [_first(_shuffled(h), h, k) for h in histories]


def dying(histories, k):
    """Answers until a session is long."""
    if max(map(len, histories)) == 15:
        raise RuntimeError("the shop is closed")
    return weak(histories, k)


def _shuffled(history):
    items = list(range(1, 61))
    seed = hashlib.sha256(repr(history).encode()).digest()
    random.Random(int.from_bytes(seed[:8], "big")).shuffle(items)
    return items


def _first(items, history, k):
    return [item for item in items if item not in set(history)][:k]
'''


VALUES: dict[str, Any] = {
    "target": {"model": "callable:planted_shop:weak", "data": "shop.csv", "twins": 0},
    "extraction": {
        "policies": "mixed",
        "calls": [200, 1000],
        "seeds": 0,
        "length": 16,
        "sessions": 50,
        "surrogate_settings": {
            "embedding_dim": 16,
            "blocks": 1,
            "max_length": 16,
            "epochs": 8,
            "batch_size": 4,
            "lr": 0.02,
            "dropout": 0.0,
        },
    },
    "evaluation": {"resamples": 200},
    "engine": {"workers": 1, "device": "cpu"},
}


def open_shop(folder: Path) -> Path:
    """Put the functions and a data file of 60 items for 80 users into a folder."""
    (folder / "planted_shop.py").write_text(APIS)
    rows = [
        f"{user},{(7 * user + step * (user % 3 + 1)) % ITEMS + 1},{step}"
        for user in range(80)
        for step in range(9)
    ]
    (folder / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return folder


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the functions and the data, and no run."""
    monkeypatch.chdir(tmp_path)
    return open_shop(tmp_path)


@pytest.fixture
def values() -> dict[str, Any]:
    """A plan of two cells that takes a second or two."""
    return deepcopy(VALUES)


@pytest.fixture(scope="session")
def finished_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of the plan; to be read only."""
    folder = open_shop(tmp_path_factory.mktemp("shop"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_audit(parse_plan(VALUES), "run", command=COMMAND)
    return folder


@pytest.fixture
def finished(finished_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a copy of the finished one."""
    folder = tmp_path / "copy"
    shutil.copytree(finished_shop, folder)
    monkeypatch.chdir(folder)
    return folder
