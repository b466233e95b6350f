"""``recsec harden``, ``screen`` and ``certify``: what they print and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recsec.cli.main import main
from recsec.data import load_photos

PHOTOS = "photos:items=180,categories=4,seed=3"
SIZE = ["--set", "size=16", "--set", "stem=8", "--set", "widths=[16, 32]", "--set", "epochs=4"]


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("harden") / "encoder"
    words = ["train", "encoder", "--data", PHOTOS, "--out", str(out), *SIZE, "--device", "cpu"]
    assert main([*words, "--quiet"]) == 0
    return out


def harden(encoder: Path, out: Path, *more: str, method: str = "target") -> list[str]:
    words = ["harden", "--method", method, "--model", str(encoder), "--data", PHOTOS]
    return [*words, "--out", str(out), "--device", "cpu", *more]


def test_harden_writes_a_checkpoint_and_tells_quality_and_cost(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hard"
    few = ["--set", "epochs=2", "--set", "batch_size=32"]
    assert main(harden(encoder, out, *few, "--json", "--quiet")) == 0
    found = result(capsys)
    for name in ("precision@10", "accuracy"):
        for when in ("before", "after"):
            assert set(found[when][name]) == {"value", "low", "high", "n"}
    cost = found["cost"]
    assert cost["clean_epochs"] == pytest.approx(cost["seconds"] / cost["clean_epoch_seconds"])
    assert cost["clean_trainings"] == pytest.approx(cost["clean_epochs"] / 4)
    assert found["start"] == "checkpoint"
    config = json.loads((out / "config.json").read_text())
    assert config["hardening"]["method"] == "target"
    assert "clean_epochs" not in json.dumps(config), "times are no part of a checkpoint"
    evaluated = ["evaluate", "--model", str(out), "--data", PHOTOS, "--json", "--quiet"]
    assert main(evaluated) == 0
    assert result(capsys)["precision@10"]["value"] == found["after"]["precision@10"]["value"]

    before = (out / "model.safetensors").stat().st_mtime_ns
    assert main(harden(encoder, out, *few, "--json", "--quiet")) == 0
    assert result(capsys)["cost"]["clean_epochs"] is None, "nothing was trained the second time"
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_harden_refuses_what_does_not_fit(
    encoder: Path, tmp_path: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(harden(encoder, tmp_path, method="hope")) == 2
    assert main(harden(encoder, tmp_path, "--set", "eps=2")) == 2
    assert main(harden(encoder, encoder)) == 3
    assert "another recipe" in capsys.readouterr().err
    assert main(harden(checkpoints / "markov", tmp_path)) == 3
    assert "an encoder of photos was expected" in " ".join(capsys.readouterr().err.split())


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The photo of the first item as a file, and its id."""
    photos = load_photos(PHOTOS)
    path = tmp_path_factory.mktemp("upload") / "photo.png"
    Image.fromarray(photos.pixels([0], 16)[0].transpose(1, 2, 0)).save(path)
    return path, str(photos.ids[0])


def screen(image: Path, listing: str, encoder: Path, *more: str) -> list[str]:
    words = ["screen", str(image), "--listing", listing, "--model", str(encoder)]
    return [*words, "--data", PHOTOS, *more]


def test_screen_lets_the_listed_photo_pass_and_flags_another_ones(
    encoder: Path,
    photo: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, listing = photo
    assert main(screen(path, listing, encoder, "--json", "--quiet")) == 0
    found = result(capsys)
    scores = {entry["screen"]: entry for entry in found["screens"]}
    assert set(scores) == {"consistency", "hubs", "neighbors", "relisting"}
    assert scores["relisting"]["score"] == pytest.approx(0, abs=1e-5)
    assert found["flagged"] == {"0.01": False, "0.001": False}
    assert set(found["panel"]["at"]["0.01"]["false_positive_rate"]) == {"value", "low", "high", "n"}
    assert found["fitted_on"] + found["measured_on"] == 36

    photos = load_photos(PHOTOS)
    category = photos.table["category"]
    other = int(np.flatnonzero((category != category[0]).to_numpy())[0])
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.fromarray(photos.pixels([other], 16)[0].transpose(1, 2, 0)).save(tmp_path / "b.png")
    assert main(screen(tmp_path / "noise.png", listing, encoder, "--json", "--quiet")) == 0
    noisy = result(capsys)
    assert noisy["panel"]["score"] > found["panel"]["score"]
    assert main(screen(tmp_path / "b.png", listing, encoder)) == 0
    said = capsys.readouterr()
    assert "declared category" in said.out
    assert "cannot vouch" in said.err


def test_screen_refuses_what_is_no_photo_or_no_item(
    encoder: Path, photo: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = photo
    (tmp_path / "text.png").write_text("no photo")
    assert main(screen(tmp_path / "text.png", photo[1], encoder)) == 3
    assert main(screen(tmp_path / "absent.png", photo[1], encoder)) == 3
    assert main(screen(path, "77", encoder)) == 3
    assert "77" in capsys.readouterr().err


def test_certify_tells_radii_in_both_norms(
    encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["certify", "--model", str(encoder), "--data", PHOTOS, "--pairs", "4"]
    assert main([*words, "--draws", "100", "--sigma", "0.05", "--json", "--quiet"]) == 0
    found = result(capsys)
    assert found["pixel_values"] == 3 * 16 * 16
    for row in found["pairs"]:
        assert row["similarity"] < row["upper_bound"] <= 1
        assert row["linf_radius"] == pytest.approx(row["l2_radius"] / (3 * 16 * 16) ** 0.5)
        assert (row["l2_radius"] > 0) == (row["upper_bound"] < row["threshold"])
    assert main([*words, "--draws", "1"]) == 2
