"""A model that was trained on the test items is noticed; honest ones are not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_plan import AUDIT

from recsec.audit.extraction.part import _seen
from recsec.cli.main import main
from recsec.data import Sequences, Split, load
from recsec.evaluation import against_markov, compare_hits, evaluate
from recsec.models import Markov, MarkovConfig, Training, save_checkpoint, train

DATA = "synthetic:users=300,items=400,length=14,chain=0.1,popularity=0.2,seed=3"


class Leak(Split):
    """A split that holds nothing out."""

    @property
    def train(self) -> Sequences:
        return self.full


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``honest`` counted the training items; ``leaky`` also the last two of everybody."""
    folder = tmp_path_factory.mktemp("seen")
    split = load(DATA).split()
    train("markov", split, seed=0, training=Training(out=folder / "honest", device="cpu"))
    everything = Leak(split.full)
    leaky = Markov.fit(everything, MarkovConfig(smoothing=0.01), seed=0, training=Training())
    save_checkpoint(leaky, folder / "leaky", {})
    return folder


@pytest.mark.parametrize("model", ["honest", "leaky"])
def test_evaluate_notices_it(models: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--model", str(models / model), "--data", DATA, "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)["seen_test_items"]
    assert found["suspicious"] == (model == "leaky")
    said = f"warning: HR@10 {found['hit_rate']:.3f}, where markov reaches {found['reference']:.3f}"
    assert (said in err) == (model == "leaky")


def test_a_report_notices_it(models: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    model = models / "leaky"
    text = f"""[target]
model = "{model}"
data = "{DATA}"
twins = 0
{AUDIT}"""
    plan.write_text(text)
    assert main(["audit", str(plan), "--out", str(tmp_path / "run"), "-q"]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    found = {one["id"]: one for one in report["findings"]}
    assert "where markov reaches" in found["extraction-seen-test"]["evidence"]


def test_a_twin_is_the_better_reference() -> None:
    """A strong architecture is far ahead of a chain over items, and not of its like."""

    def answers(name: str) -> SimpleNamespace:
        return SimpleNamespace(quality={"hr@10": hits[name]})

    hits = {"target": np.ones(200), "a": np.ones(200), "b": np.zeros(200)}
    chain = compare_hits(np.ones(200), np.zeros(200), name="markov", places=10)
    found = SimpleNamespace(twins=["a"], target=SimpleNamespace(seen=chain))
    desk: Any = SimpleNamespace(found=found, target=answers("target"), answers=answers)
    assert not _seen(desk).suspicious
    found.twins = ["b"]
    assert "an independently trained twin reaches 0.000" in _seen(desk).said()
    found.twins = []
    assert _seen(desk) is chain


def test_the_rule() -> None:
    ones, zeros = np.ones(400), np.zeros(400)
    half = np.tile([1.0, 0.0], 200)
    assert compare_hits(ones, half, name="m", places=10).suspicious
    assert not compare_hits(half, half, name="m", places=10).suspicious
    assert not compare_hits(zeros, half, name="m", places=10).suspicious
    assert not compare_hits(ones[:3], np.array([0.0, 1.0, 1.0]), name="m", places=10).suspicious
    a_little = np.where(np.arange(400) < 240, 1.0, half)  # 0.8 against 0.6, a third more
    assert not compare_hits(a_little, np.tile([1, 1, 1, 0, 0], 80), name="m", places=10).suspicious


def test_the_chain_itself_is_not_ahead_of_itself() -> None:
    split = load(DATA).split()
    chain = Markov.fit(split, MarkovConfig(), seed=0, training=Training())
    found = against_markov(evaluate(chain, split))
    assert found.hit_rate == found.reference
    assert found.users == len(split.full)
