"""The detectors that ship keep the contract; a detector that breaks it is caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detection_world import followed

from recsec.data import load
from recsec.detection import CONTRACT, Continuity, Detector, DetectorConfig, FitData
from recsec.errors import RecsecError
from recsec.models import SasRecConfig, Training, train
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import LocalTarget
from recsec.traffic import ClickLaw, Steps, honest_log
from recsec.types import FloatArray, IntArray

QUICK: dict[str, dict[str, Any]] = {
    "seat": {"steps": 3, "attack_steps": 1},
    "hoda": {"snapshots": 2},
}

RAW = ("hoda-raw", "prada-raw", "seat-raw")

by_name = pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitData, Steps]:
    """What any detector can be fitted on, and queries of others."""
    folder = tmp_path_factory.mktemp("model")
    data = load("synthetic:users=80,items=60,length=15,seed=3")
    settings = SasRecConfig(embedding_dim=8, blocks=1, heads=1, max_length=15, epochs=2)
    training = Training(out=folder, device="cpu", snapshots=2)
    model = train("sasrec", data.split(), settings, seed=0, training=training)
    people = data.sequences()
    logs = [
        honest_log(
            LocalTarget(model), people, users, ClickLaw(acceptance=0.5, restart=0.2),
            queries=25, k=5, rng=np.random.default_rng(0),
        )
        for users in (np.arange(30), np.arange(70, 76))
    ]  # fmt: skip
    paths = tuple(sorted((folder / "snapshots").glob("*.safetensors")))
    fitting = FitData(data.catalog, people, (followed(logs[0]),), Streams(0), model, paths)
    return fitting, followed(logs[1])


@pytest.mark.parametrize("label", [*registry("detectors").keys(), *RAW])
def test_ours(material: tuple[FitData, Steps], label: str) -> None:
    key = label.removesuffix("-raw")
    kind: type[Detector] = registry("detectors").get(key)
    settings = QUICK.get(key, {}) | ({"sessions": False} if label in RAW else {})
    detector = kind.fit(material[0], kind.config_class.model_validate(settings))
    for check in CONTRACT:
        check(detector, material[1])
    assert detector.label == label


class Forgetful(Continuity):
    """Breaks the contract in one way."""

    fault = ""

    def score(self, counts: IntArray) -> FloatArray:
        return counts.sum(axis=1).astype(np.float64)

    def observe(self, steps: Steps) -> FloatArray:
        scores = super().observe(steps)
        return scores + len(steps) if self.fault == "batches" else scores * self.factor

    @property
    def factor(self) -> float:
        return float("nan") if self.fault == "nan" else 1.0

    def restore(self, names: Any, arrays: Any) -> None:
        super().restore(names, arrays)
        if self.fault == "restore":
            self._counts += 1

    def merge(self, other: Any) -> None:
        if self.fault != "merge":
            super().merge(other)


@pytest.mark.parametrize("fault", ["batches", "nan", "restore", "merge"])
def test_a_broken_detector_is_caught(material: tuple[FitData, Steps], fault: str) -> None:
    kind = type("Broken", (Forgetful,), {"fault": fault})
    detector = kind(DetectorConfig(), {}, material[0].catalog)
    with pytest.raises(RecsecError):
        for check in CONTRACT:
            check(detector, material[1])


@by_name
def test_the_check_passes_on_a_good_one(material: tuple[FitData, Steps], check: Any) -> None:
    check(Continuity(DetectorConfig(), {}, material[0].catalog), material[1])
