"""``recsec evade``: one photo, sampled pairs, a killed run, and bad words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recsec.cli.main import main
from recsec.data import load_photos, split_photos
from recsec.models import EncoderConfig, Training, train_encoder

PHOTOS = "photos:items=90,categories=3,seed=2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder of synthetic photos."""
    folder = tmp_path_factory.mktemp("encoder")
    split = split_photos(load_photos(PHOTOS))
    config = EncoderConfig(size=16, widths=(8, 16), epochs=2, batch_size=16)
    train_encoder(
        split, config, seed=0, training=Training(out=folder, device="cpu"), data={"name": PHOTOS}
    )
    return str(folder)


def evade(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    assert main(["evade", *words, "--data", PHOTOS, "--json", "-q", "--device", "cpu"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_one_photo(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "one"
    words = ["--model", model, "--item", "10003", "--target-item", "10040", "--attack", "apgd-8"]
    found = evade(capsys, *words, "--eps", "0.05", "--out", str(out))
    assert {"rank_before", "rank_after", "linf", "cosine_before", "cosine_after"} <= set(found)
    assert found["rank_after"] <= found["rank_before"]  # type: ignore[operator]
    change = np.abs(pixels(out / "adversarial.png") - pixels(out / "original.png"))
    assert change.max() / 255 == pytest.approx(found["linf"])
    assert change.max() <= 12
    assert pixels(out / "difference.png").shape == (16, 16, 3)
    assert pixels(out / "panel.png").shape[1] > 600


def test_no_budget_and_native_pixels(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--attack", "mi-3", "--n", "2", "--stage", "valid"]
    nothing = evade(capsys, *words, "--eps", "0", "--out", str(tmp_path / "none"))
    assert nothing["rank_after"] == nothing["rank_before"]
    assert nothing["linf"] == 0
    out = tmp_path / "native"
    native = evade(capsys, *words, "--eps", "0.05", "--pixels", "native", "--out", str(out))
    assert native["cosine_after"] > native["cosine_before"]  # type: ignore[operator]
    for path in (out / "images").rglob("*.png"):
        assert pixels(path).shape == (224, 224, 3)


def test_sampled_pairs_over_budgets_and_after_a_kill(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.attacks.evasion.pair_run.PART", 4)
    words = ["--model", model, "--n", "10", "--attack", "mi-4", "--eps", "0.05", "--eps", "0.02"]
    out = tmp_path / "run"
    found = evade(capsys, *words, "--out", str(out))
    assert found["pairs"] == 10
    low, high = found["budgets"]  # type: ignore[misc]
    assert (low["eps"], high["eps"]) == (0.02, 0.05)
    assert low["success@10"]["value"] <= high["success@10"]["value"]
    assert set(low["clean"]) == set(low["noise"])
    table = pl.read_parquet(out / "pairs.parquet")
    for line in table.to_dicts():
        path = out / "images" / f"eps-{line['eps']:g}" / f"{line['item']}--{line['target']}.png"
        assert path.is_file()
        assert line["linf"] <= line["eps"]
    # a process that died before the last part: the same command does that part only
    before = json.loads((out / "cells" / "part-0000.json").read_text())
    (out / "cells" / "part-0002.json").unlink()
    (out / "pairs.parquet").unlink()
    before["pairs"][0]["rank_after"] = 77  # would be overwritten if it were attacked again
    (out / "cells" / "part-0000.json").write_text(json.dumps(before))
    evade(capsys, *words, "--out", str(out))
    again = pl.read_parquet(out / "pairs.parquet")
    assert again["rank_after"][0] == 77
    assert again[1:].equals(table[1:])


def test_pairs_of_the_user(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("item,target\n10001,10050\n10002,10060\n")
    words = ["--model", model, "--attack", "fgsm", "--pairs", str(path)]
    found = evade(capsys, *words, "--out", str(tmp_path / "csv"))
    assert found["pairs"] == 2
    path.write_text("item,target\n10001,10001\n")
    broken = evade(capsys, *words, "--out", str(tmp_path / "self"), code=2)
    assert "the target is the item itself" in str(broken)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--item", "10003"], 2, "belong together"),
        (["--item", "10003", "--target-item", "10003"], 2, "the target is the item itself"),
        (["--item", "10003", "--target-item", "1"], 3, "is not among the 90 photos"),
        (["--eps", "1.5"], 2, "expected a number from 0 to 1"),
        (["--attack", "nothing"], 2, "no attacks called"),
        (["--attack", "mi", "--set", "step=3"], 2, "step: extra inputs"),
        (["--attack", "transfer"], 2, "needs surrogates"),
        (["--pairs", "some"], 2, "--pairs some"),
        (["--n", "100000"], 3, "expected 100000"),
    ],
)
def test_wrong_words(
    words: list[str],
    code: int,
    said: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = evade(capsys, "--model", model, "--out", str(tmp_path / "out"), *words, code=code)
    assert said in str(found["error"])
