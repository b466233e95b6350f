"""What all tests share: shape checks, data sets, and a closed door to the network."""

from __future__ import annotations

import gc
import os
import random
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "2")

import hypothesis
import pytest
from jaxtyping import install_import_hook

gc.set_threshold(50_000)  # imports make half a million objects, and none is garbage

# Shapes are checked here and only here: the hook has to be in place before the first import.
install_import_hook(
    ["recsec.metrics", "recsec.models", "recsec.attacks"], typechecker="shape_checks.check"
)

hypothesis.settings.register_profile(
    "recsec", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("recsec")

REQUIRED = frozenset(filter(None, os.environ.get("RECSEC_REQUIRE", "").split(",")))
"""What must not be absent: ``data``, ``chromium``, ``postgres``, ``redis``.

Empty on a user's machine, where tests skip.
"""


DRAWN = random.Random()
"""Where secrets come from in the process of the tests: from the name of the test that runs."""


def known_secret(count: int | None = None) -> bytes:
    """In place of ``secrets.token_bytes``, from which all of that module comes."""
    return DRAWN.randbytes(32 if count is None else count)


secrets.token_bytes = known_secret
os.register_at_fork(after_in_child=DRAWN.seed)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every worker begins with its share of the slow tests: none is alone with one at the end.

    Those of a file stay together, with what they share.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    slow: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow") is not None:
            slow.setdefault(item.path, []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for tests in slow.values():
        min(shares, key=len).extend(tests)
    rest = [item for item in items if item.get_closest_marker("slow") is None]
    for at, share in enumerate(shares):  # xdist cuts the list into equal parts
        size = len(items) * (at + 1) // workers - len(items) * at // workers - len(share)
        share += rest[:size]
        del rest[:size]
    items[:] = [item for share in shares for item in share]


def pytest_collection_finish() -> None:
    """Don't look again at what imports made."""
    gc.freeze()


def absent(kind: str, what: str) -> None:
    """Skip the test and say what it misses, or fail it where ``kind`` is required."""
    if kind in REQUIRED:
        pytest.fail(f"RECSEC_REQUIRE={kind}, but {what}", pytrace=False)
    pytest.skip(what)


def archive(name: str) -> Path:
    """The archive of a data set in ``RECSEC_MIRROR``; skips or fails where it is absent."""
    folder = os.environ.get("RECSEC_MIRROR")
    if folder is None:
        absent("data", f"{name}.zip is needed: set RECSEC_MIRROR to the folder that holds it")
    path = Path(str(folder)) / f"{name}.zip"
    if not path.is_file():
        absent("data", f"{name}.zip is not in the folder that RECSEC_MIRROR names")
    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Secrets follow from the test's name, so that a failure comes again; look for programs.

    ``RECSEC_SECRETS=...`` draws others: a test that holds for one secret only is a defect.
    """
    DRAWN.seed(item.nodeid + os.environ.get("RECSEC_SECRETS", ""))
    for mark in item.iter_markers("data"):
        archive(mark.args[0])
    for mark in item.iter_markers("program"):
        if shutil.which(mark.args[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
            absent(mark.args[0], f"{mark.args[0]} is not installed")
    if item.get_closest_marker("browser") is not None:
        for program in ("chromium", "chromedriver"):
            if shutil.which(program) is None:
                absent("chromium", f"{program} is not installed")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data sets."""
    return archive("ml-1m").parent


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Only loopback may be called: a test that needs the internet is a defect."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in {"localhost", "127.0.0.1", "::1"}:
            raise RuntimeError(f"a test tried to reach {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches and per-user folders of the tests are not those of the user."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RECSEC_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("MPLCONFIGDIR", str(home / "matplotlib"))
        patch.delenv("NO_COLOR", raising=False)
        patch.delenv("FORCE_COLOR", raising=False)
        patch.setenv("COLUMNS", "80")
        yield
