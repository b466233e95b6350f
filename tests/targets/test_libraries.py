"""Models of implicit and RecTools, in an environment of their own, are audited, guarded, watched.

``RECSEC_LIBRARIES`` names a Python that has RecTools; without it RecTools is installed, which
brings implicit (as pm-implicit), and where no index answers the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsec.cli.main import main

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "libraries"


MODULES = {"als_of_implicit": "ALS_MODEL", "ease_of_rectools": "EASE_MODEL"}
"""Each example, and the variable that names its file."""
FAST = [
    *("--surrogate", "meanpool", "--set", "length=10", "--set", "sessions=20"),
    *("--set", "surrogate_settings.epochs=1", "--device", "cpu"),
]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **threads}
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has RecTools and implicit, and nothing of recsec."""
    found = os.environ.get("RECSEC_LIBRARIES")
    if found:
        return found
    folder = tmp_path_factory.mktemp("libraries")
    assert run(sys.executable, "-m", "venv", str(folder)).returncode == 0
    python = str(folder / "bin" / "python")
    installed = run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--retries",
        "0",
        "--timeout",
        "15",
        "rectools==0.19.0",
    )
    if installed.returncode:
        reason = (installed.stderr.strip().splitlines() or ["no reason"])[-1]
        if "libraries" in os.environ.get("RECSEC_REQUIRE", "").split(","):
            pytest.fail(f"RECSEC_REQUIRE=libraries, but they cannot be installed: {reason}")
        pytest.skip(f"RecTools cannot be installed here: {reason}")
    return python


@pytest.fixture(scope="module")
def shop(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, a log, and what they learned from it."""
    folder = tmp_path_factory.mktemp("shop")
    log = folder / "log.csv"
    assert main(["data", "synthetic", "--users", "400", "--items", "120", "--out", str(log)]) == 0
    for module in MODULES:
        file = folder / f"{module}.py"
        file.write_bytes((EXAMPLES / file.name).read_bytes())
        trained = run(python, str(file), str(log), str(folder / f"{module}.npz"))
        assert trained.returncode == 0, trained.stderr
    return folder


@pytest.fixture(params=MODULES)
def model(
    request: pytest.FixtureRequest, python: str, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.chdir(shop)
    monkeypatch.setenv(MODULES[request.param], f"{request.param}.npz")
    return f"python:{python}:{{}}:{request.param}:{{}}"


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lists_and_scores_are_the_same_recommender(model, capsys):
    found = [
        answer(capsys, "evaluate", "--model", model.format(*form), "--data", "log.csv")
        for form in (("callable", "recommend"), ("scores", "scores"))
    ]
    theirs = ("model", "target", "protocol", "unknown_ids")
    same = [key for key in found[0] if key not in theirs and key in found[1]]
    assert {key: found[0][key] for key in same} == {key: found[1][key] for key in same}
    assert "hr@10" in str(same).lower() or "hr@10" in json.dumps(found[0]).lower()


def test_it_is_audited(model, capsys, tmp_path):
    words = ["--calls", "120", "--k", "5", "--out", str(tmp_path / "run"), *FAST]
    source = model.format("callable", "recommend")
    assert main(["extract", "--model", source, "--data", "log.csv", *words]) == 0


def test_it_is_guarded_and_watched(model, capsys, tmp_path):
    guarded = tmp_path / "guarded.toml"
    source = json.dumps(model.format("scores", "scores"))
    guarded.write_text(f'model = {source}\n[[guards]]\nname = "truncate"\nlength = 5\n')
    traffic = tmp_path / "traffic.parquet"
    words = ["--model", str(guarded), "--out", str(traffic), "--users", "50", "--k", "5"]
    assert main(["data", "traffic", "log.csv", *words]) == 0
    detectors = tmp_path / "detectors"
    fit = ["detect", "fit", "--model", model.format("scores", "scores"), "--data", "log.csv"]
    fit += ["--out", str(detectors), "--k", "5", "--queries", "10", "--users", "40"]
    assert main(fit) == 0
    found = answer(capsys, "detect", "log", str(traffic), "--detectors", str(detectors))
    assert found
