"""States of detectors, run directories: taken up, or refused by name; no bit changes a number."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fuzzing import BOUNDED, ends_well, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.cli.main import main
from recsec.detection import Fitted, follow_log
from recsec.runs import RunDirectory
from recsec.traffic import read_log

DATA = "synthetic:users=90,items=40,length=9,seed=2"
PLAN = {"seed": 1, "extraction": {"calls": [10, 20]}}
WORDS = (
    b"null", b"{}", b"[]", b"[" * 2000, b'"plan":', b'"versions": []', b"NaN", b"-Infinity",
    b"1e999", b"9" * 5000, b"\xff\xfe", b"\x00", b'"\\ud800"', b"\n",
    b'{"event": "created", "versions": 7}\n',
)  # fmt: skip


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Detectors, a log, and the state after it."""
    folder = tmp_path_factory.mktemp("watching")
    model, detectors, log = (str(folder / name) for name in ("model", "D", "log.parquet"))
    fit = ["detect", "fit", "--model", model, "--data", DATA, "--out", detectors]
    traffic = ["data", "traffic", DATA, "--model", model, "--out", log, "--users", "10"]
    assert main(["train", "markov", "--data", DATA, "--out", model, "--quiet"]) == 0
    assert main([*fit, "--queries", "5", "--detector", "seat", "--quiet"]) == 0
    assert main([*traffic, "--quiet"]) == 0
    fitted = Fitted.load(folder / "D")
    follow_log(fitted, read_log(folder / "log.parquet", fitted.catalog), state=folder / "state")
    return folder


@pytest.mark.hostile(kind="runs", what="states of detectors, changed (fuzzed)", cases=120)
@given(st.data())
@BOUNDED
def test_changed_states_of_detectors(
    watching: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "watching-changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(watching, folder, ignore=shutil.ignore_patterns("model"))
    path = folder / data.draw(st.sampled_from(["state", "D/detectors.safetensors",
                                               "D/detectors.json"]))  # fmt: skip
    content = bytearray(path.read_bytes())
    sealed = data.draw(st.booleans())
    if not sealed:
        content = content.replace(b"recsec-sha256:", b"nothing-sha25:")  # what is behind the sum
    last = min(len(content), 600) - 1
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([None, None, len(content) // 2, 0]))])

    def taken_up() -> None:
        fitted = Fitted.load(folder / "D")
        log = read_log(folder / "log.parquet", fitted.catalog)
        follow_log(fitted, log, state=folder / "state").accounts()

    ends_well(taken_up)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory in which something was done."""
    folder = tmp_path_factory.mktemp("run")
    with RunDirectory.create_or_resume(folder, "audit", PLAN, threads=1) as made:
        made.finish("cell", {"calls": 20, "share": 0.5})
        made.add_seconds("asking", 1.5)
    return folder


@pytest.mark.hostile(kind="runs", what="files of run directories, changed (fuzzed)", cases=120)
@given(st.data())
@BOUNDED
def test_changed_run_directories(
    run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "run-changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.sampled_from(WORDS))
    path.write_bytes(content[: data.draw(st.sampled_from([None, None, len(content) // 2, 0]))])

    def resumed() -> None:
        with RunDirectory.create_or_resume(folder, "audit", PLAN, threads=1) as again:
            list(again.events())
            again.add_seconds("asking", 1.0)
            found = again.done("cell")
            assert found is None or found == {"calls": 20, "share": 0.5}, "a number changed"

    ends_well(resumed)
    ends_well(lambda: RunDirectory.open(folder))


@given(near("runs", words=WORDS))
@BOUNDED
def test_mutated_descriptions(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[str, bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "described"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_bytes(found[1])
    (folder / "events.jsonl").write_bytes(found[1])
    ends_well(lambda: list(RunDirectory.open(folder).events()))
    assert np.isfinite(len(found[1]))
