"""Two small checkpoints that commands can open."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsec.data import load
from recsec.models import Training, train

SMALL = "synthetic:users=120,items=60,length=12,seed=4"


@pytest.fixture(scope="session")
def small_data() -> str:
    """A data set that is made in no time, with genres and years."""
    return SMALL


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints ``popularity`` and ``markov`` of the small data."""
    folder = tmp_path_factory.mktemp("checkpoints")
    split = load(SMALL).split()
    for name in ("popularity", "markov"):
        train(name, split, seed=0, training=Training(out=folder / name, device="cpu"))
    return folder


@pytest.fixture(scope="session")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CSV of the user's own: text ids, no genres, no titles."""
    path = tmp_path_factory.mktemp("own") / "shop.csv"
    rows = [f"u{user},item {(user + step) % 12},{step}" for user in range(30) for step in range(6)]
    path.write_text("\n".join(["user,item,time", *rows]) + "\n")
    return str(path)
