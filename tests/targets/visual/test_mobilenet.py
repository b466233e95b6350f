"""A public network that nobody here made, through all five doors at its own 224 pixels."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import visual_shop

from recsec.cli.main import main
from recsec.data import load_photos
from recsec.models.visual.backbone import pretrained

PHOTOS = "photos:items=40,categories=2"


@pytest.mark.data("fashion-product-images")
@pytest.mark.slow
def test_mobilenet_through_five_doors(mirror, tmp_path, capsys, monkeypatch):
    folder = mirror / "encoders" / "mobilenet-v2-224"
    if not folder.is_dir():
        pytest.skip(f"{folder} is needed")
    network = pretrained(f"hf:{folder}", 224).eval()
    monkeypatch.setattr(visual_shop, "mobilenet", lambda: network, raising=False)

    def shown(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()

    monkeypatch.setattr(visual_shop, "vectors", shown)
    monkeypatch.setattr(visual_shop, "SIZE", 224)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.rand(2, 3, 224, 224),), str(tmp_path / "m.onnx"), dynamo=False,
            input_names=["images"], output_names=["vectors"],
            dynamic_axes={"images": {0: "B"}, "vectors": {0: "B"}},
        )  # fmt: skip
    photos = load_photos(PHOTOS)
    pixels = np.array(photos.pixels(np.arange(len(photos)), 224)).transpose(0, 2, 3, 1)
    found: dict[str, tuple[pl.DataFrame, Any]] = {}

    def evade(door: str, model: str, attack: str) -> None:
        out: Path = tmp_path / door
        words = ["--model", model, "--data", PHOTOS, "--out", str(out), "--n", "4", "-q"]
        words += ["--goal", "query"] if door != "http" else []
        assert main(["evade", *words, "--attack", attack, "--json", "--device", "cpu"]) == 0
        result = json.loads(capsys.readouterr().out)
        found[door] = pl.read_parquet(out / "pairs.parquet"), result

    with visual_shop.Search(photos.ids.tolist(), shown(pixels)) as shop:
        (tmp_path / "shop.toml").write_text(f'[search]\nurl = "{shop.url}/search"\nk = 40\n')
        evade("hf", f"hf:{folder}", "apgd-6")
        evade("torch", "torch:visual_shop:mobilenet", "apgd-6")
        evade("onnx", f"onnx:{tmp_path / 'm.onnx'}", "apgd-6")
        evade("callable", "callable:visual_shop:vectors", "square-4")
        evade("http", str(tmp_path / "shop.toml"), "square-3")
    clean = {door: table["rank_before"].to_list() for door, (table, _) in found.items()}
    assert len({tuple(ranks) for ranks in clean.values()}) == 1, clean
    rates = {door: result["success@1"] for door, (_, result) in found.items() if door != "http"}
    for door in ("torch", "onnx"):
        assert rates["hf"]["low"] <= rates[door]["value"] <= rates["hf"]["high"]
    assert sum(found["hf"][0]["rank_after"]) < sum(clean["hf"])
