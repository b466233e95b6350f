"""``train encoder``, ``evaluate`` and ``similar`` on made-up photos, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recsec.cli.main import main

DATA = "photos:items=120,categories=3,seed=1"
SETTINGS = ("size=16", "stem=8", "widths=[16, 24]", "shift=2", "attribute_weight=0.1")
SMALL = [word for one in SETTINGS for word in ("--set", one)] + ["--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained encoder."""
    out = tmp_path_factory.mktemp("photos") / "encoder"
    words = ["train", "encoder", "--data", DATA, "--out", str(out), "--set", "epochs=6", *SMALL]
    assert main([*words, "--set", "batch_size=16", "--set", "lr=0.01", "--quiet", "--json"]) == 0
    return out


def test_training_says_what_it_reached_and_continues(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "model.safetensors").stat().st_mtime_ns
    words = ["train", "encoder", "--data", DATA, "--out", str(folder), "--set", "epochs=6", *SMALL]
    assert main([*words, "--set", "batch_size=16", "--set", "lr=0.01"]) == 0
    streams = capsys.readouterr()
    assert "precision@10" in streams.out
    assert f"next: recsec evaluate --model {folder} --data {DATA}" in streams.out.replace("'", "")
    assert "nothing is left to train" in streams.err
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert main([*words, "--seed", "1"]) == 3
    assert "differs in" in capsys.readouterr().err


def test_evaluation_of_held_out_photos(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--model", str(folder), "--data", DATA, "--json"]
    assert main([*words, "--attack", "pgd", "--eps", "0.1", "--steps", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    for key in ("accuracy", "accuracy@5", "precision@1", "precision@5", "precision@10", "map@r"):
        assert found[key]["n"] == 24
        assert 0 <= found[key]["low"] <= found[key]["value"] <= found[key]["high"] <= 1, key
    assert set(found["attribute_precision@1"]) == {"color", "texture"}
    assert found["accuracy"]["value"] > 0.5, "shapes of three kinds are told apart"
    assert found["adversarial_accuracy"]["value"] < found["accuracy"]["value"]
    assert set(found["adversarial_attribute_precision@1"]) == {"color", "texture"}
    assert found["hubness"]["n"] == 120
    assert "effective 25/255" in found["protocol"]
    assert len(list((folder / "embeddings").iterdir())) == 1
    assert main(words) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["precision@10"] == found["precision@10"], "kept embeddings are the same"


def test_evaluation_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--model", str(folder), "--data", DATA, "--stage", "valid"]
    assert main([*words, "--attack", "fgsm", "--eps", "0"]) == 0
    streams = capsys.readouterr()
    assert "mAP" in streams.out.replace("mean average precision", "mAP")
    assert "under the attack" in streams.out
    assert "synthetic" in streams.err


def test_a_contact_sheet_of_neighbors(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["similar", "--model", str(folder), "--data", DATA, "--item", "10003", "--k", "7"]
    assert main([*words, "--out", str(sheet), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    cosines = [entry["cosine"] for entry in found["neighbors"]]
    assert cosines == sorted(cosines, reverse=True)
    assert len({entry["id"] for entry in found["neighbors"]} - {found["query"]["id"]}) == 7
    picture = np.asarray(Image.open(sheet).convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50, "photos are on it"
    assert main([*words, "--out", str(sheet)]) == 0
    assert found["neighbors"][0]["title"][:10] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--item", "no-such"], 3, "no-such"),
        (["--out", "sheet.gif"], 2, "ends in .png"),
        (["--k", "0"], 2, "--k"),
        (["--data", "synthetic:users=30,items=20"], 2, "names interactions"),
        (["--model", "callable:shop:recommend"], 3, "there is no module 'shop'"),
        (["--model", "absent"], 3, "not a checkpoint"),
    ],
)
def test_similar_refuses(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    said: str,
) -> None:
    words = ["similar", "--model", str(folder), "--data", DATA, "--item", "10003"]
    assert main([*words, "--out", str(tmp_path / "sheet.png"), *more]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_photos_and_interactions_are_not_mixed(
    folder: Path, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    histories, out = "synthetic:users=60,items=40,length=8,seed=2", str(tmp_path / "model")
    refused = [
        (["train", "sasrec", "--data", DATA, "--out", out], 2, "learns from interactions"),
        (["train", "encoder", "--data", histories, "--out", out], 2, "names interactions"),
        (["evaluate", "--model", str(checkpoints / "markov"), "--data", DATA], 3, "'markov'"),
        (["evaluate", "--model", str(folder), "--data", histories], 3, "encoder of photos"),
        (["recommend", "--model", str(folder)], 3, "encoder of photos"),
        (["evaluate", "--model", str(folder), "--data", DATA, "--users", "3"], 2, "--users"),
        (
            ["evaluate", "--model", "markov", "--data", histories, "--attack", "pgd"],
            2,
            "changes photos",
        ),
    ]
    for words, code, said in refused:
        assert main(words) == code, words
        assert said in " ".join(capsys.readouterr().err.split()), words
