"""HODA: hardness over snapshots, never-stable hardest, Pearson distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detection_world import followed

from recsec.data import load
from recsec.detection import FitConfig, Hoda, fit_detectors, hardness
from recsec.detection.watch import Fitted
from recsec.errors import ConfigError
from recsec.models import SasRecConfig, Training, train
from recsec.rng import Streams
from recsec.targets import LocalTarget
from recsec.traffic import ClickLaw, Steps, honest_log


def test_hardness_by_hand() -> None:
    answers = np.array(
        [
            [4, 4, 4, 4],  # never changed
            [1, 4, 4, 4],
            [4, 1, 4, 4],  # settled at the third, although the first was the same
            [4, 4, 4, 1],  # changed at the very end: hardest, not easiest
            [1, 2, 3, 4],  # never stable
        ]
    )
    assert hardness(answers).tolist() == [0, 1, 2, 3, 3]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Steps]:
    folder = tmp_path_factory.mktemp("model")
    data = load("synthetic:users=200,items=80,length=20,seed=1")
    config = SasRecConfig(embedding_dim=8, blocks=1, heads=1, max_length=20, epochs=4)
    training = Training(out=folder, device="cpu", snapshots=4)
    model = train("sasrec", data.split(), config, seed=0, training=training)
    paths = sorted((folder / "snapshots").glob("*.safetensors"))
    assert len(paths) == 4
    plan = FitConfig(
        queries=20,
        users=20,
        detectors={"hoda": {}, "hoda-raw": {"snapshots": 3}},
        combined=("hoda",),
    )
    people = data.sequences()
    found, _, groups = fit_detectors(model, people, plan, streams=Streams(0), snapshots=paths)
    log = honest_log(
        LocalTarget(model), people, groups.test[:5], ClickLaw(), queries=20, k=5,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return found, followed(log)


def test_snapshots_travel_with_the_detectors(fitted: tuple[Fitted, Steps], tmp_path: Path) -> None:
    found, steps = fitted
    found.save(tmp_path / "D")
    again = Fitted.load(tmp_path / "D")
    for label in ("hoda", "hoda-raw"):
        np.testing.assert_array_equal(
            again.detectors[label].fresh().observe(steps),
            found.detectors[label].fresh().observe(steps),
        )
    assert found.detectors["hoda"].state()[1]["counts"].shape[1] == 4


def test_sessions_count_once_and_raw_queries_each(fitted: tuple[Fitted, Steps]) -> None:
    found, steps = fitted
    for label, expected in (("hoda", steps.kind == 0), ("hoda-raw", steps.kind >= 0)):
        one = found.detectors[label].fresh()
        one.observe(steps)
        assert one.state()[1]["counts"].sum() == expected.sum()


def test_distance_from_the_normal_histogram(fitted: tuple[Fitted, Steps]) -> None:
    detector = fitted[0].detectors["hoda"]
    assert isinstance(detector, Hoda)
    normal = np.array([6, 3, 1, 0])
    detector = Hoda(detector.config, {**detector.fitted, "normal": normal / 10}, detector.catalog)
    rows = np.array([normal * 7, normal[::-1], [1, 1, 1, 1]])
    expected = [1 - np.corrcoef(normal, row)[0, 1] for row in rows[:2]]
    np.testing.assert_allclose(detector.score(rows), [*expected, 1.0], atol=1e-12)


def test_without_snapshots(fitted: tuple[Fitted, Steps]) -> None:
    from recsec.data.sequences import Sequences
    from recsec.detection import FitData, HodaConfig

    catalog = fitted[0].catalog
    data = FitData(catalog, Sequences.from_lists(catalog, [[1]]), (), Streams(0))
    with pytest.raises(ConfigError, match="found 0"):
        Hoda.fit(data, HodaConfig())
