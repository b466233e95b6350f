"""The example plugin is installed as a package, appears everywhere and keeps the contracts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "examples" / "plugin"
PAGE = ROOT / "docs" / "how-to" / "write-your-own.md"
KINDS = {
    "models": "damped",
    "encoders": "tiny",
    "policies": "second",
    "attacks": "brighten",
    "guards": "swap",
    "detectors": "repeats",
}

PROOF = """
import json, sys
import numpy as np, torch
from recsec.attacks.evasion import open_attack
from recsec.attacks.extraction import Policy
from recsec.data import Catalog, Sequences, leave_one_out, pad
from recsec.detection import CONTRACT as DETECTOR
from recsec.models import Training, train
from recsec.models.sequential.contract import CONTRACT as MODEL
from recsec.registry import registry
from recsec.targets import CONTRACT as TARGET
from recsec.targets.guards import GUARD_CONTRACT as GUARD, Surroundings
from recsec.traffic import Follower, Query
from shop_plugin.target import Alphabet

rng = np.random.default_rng(0)
catalog = Catalog.from_ids(range(100, 140))
rows = [(rng.permutation(40)[: 5 + at % 6] + 1).tolist() for at in range(30)]
split = leave_one_out(Sequences.from_lists(catalog, rows))
histories = pad([rng.permutation(40)[:length] + 1 for length in (9, 4, 7, 6)])
model = train("damped", split, seed=0, training=Training())
done = {name: 0 for name in ("model", "guard", "target", "detector")}
for check in MODEL:
    check(model, histories); done["model"] += 1
scores = model.scores(histories)
scores.scatter_(1, torch.from_numpy(histories), float("-inf"))
scores[:, 0] = float("-inf")
guard = registry("guards").get("swap").build(None, Surroundings(model))
for check in GUARD:
    check(guard, histories, scores); done["guard"] += 1
target = Alphabet(catalog)
for check in TARGET:
    check(target, histories); done["target"] += 1
detector = registry("detectors").get("repeats").fit(type("Data", (), {"catalog": catalog}), None)
follower = Follower()
p = registry("policies").get("second")
policy = p(p.config_class(), items=40)
assert isinstance(policy, Policy)
chosen = policy.next(histories, target.query("a", histories, 5), rng)
assert chosen.shape == (4,) and chosen.min() >= 1
each = [
    follower.follow_one("ab"[at % 2], Query(histories[at % 3, : 3 + at % 2], histories[3, :2]))
    for at in range(8)
]
for check in DETECTOR:
    for steps in each:
        check(detector, steps)
    done["detector"] += 1
assert registry("encoders").get("tiny").config_class().widths == (16, 32, 64)
assert open_attack("brighten", {}).name == "brighten"
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the plugin."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(PLUGIN, source)
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
            "--no-build-isolation", "--target", str(folder / "site"), str(source),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "OMP_NUM_THREADS": "1"}


LIST = """
import sys
from recsec.cli.main import main
for kind in sys.argv[1:]:
    assert main(["list", kind, "--json"]) == 0
"""


def test_it_is_listed(installed: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST, *KINDS],
        env=installed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for key, line in zip(KINDS.values(), done.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert found["broken"] == {}
        assert found["components"][key]["summary"]


def test_it_keeps_the_contracts_of_the_installed_package(installed: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROOF], env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["model"] >= 8
    assert counted["guard"] >= 5
    assert counted["target"] >= 8
    assert counted["detector"] >= 5


def test_the_page_shows_the_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    files = [path.read_text() for path in (PLUGIN / "shop_plugin").glob("[a-z]*.py")]
    assert sorted(shown) == sorted(files)
    assert all(len(code.splitlines()) <= 22 for code in shown)
