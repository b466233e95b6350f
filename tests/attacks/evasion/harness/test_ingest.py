"""What a shop does to an upload, and what is then measured where."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from recsec.attacks.evasion import (
    Scene,
    evade,
    levels,
    open_attack,
    open_ingest,
    through_jpeg,
    to_bytes,
)
from recsec.errors import ConfigError
from recsec.rng import Streams


def test_jpeg_is_what_pillow_writes_and_reads(scene: Scene) -> None:
    found = through_jpeg(scene.attackers, quality=60)
    for one, photo in zip(found, scene.attackers, strict=True):
        file = io.BytesIO()
        Image.fromarray(photo.permute(1, 2, 0).numpy()).save(file, format="JPEG", quality=60)
        assert np.array_equal(one.permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_more_quality_is_less_change() -> None:
    rng = torch.Generator().manual_seed(0)
    photos = to_bytes(torch.rand(4, 3, 32, 32, generator=rng))
    change = [
        (through_jpeg(photos, quality=one).int() - photos.int()).abs().float().mean()
        for one in (20, 60, 95)
    ]
    assert change[0] > change[1] > change[2] > 0
    gray = torch.full((1, 3, 32, 32), 130, dtype=torch.uint8)
    assert torch.equal(through_jpeg(gray, quality=50), gray)


def test_the_budget_is_that_of_the_upload_and_the_rank_that_of_the_shop(scene: Scene) -> None:
    tool = open_attack("mi-10", {"precision": "float32"})
    ingest = open_ingest("jpeg:40")
    assert ingest is not None
    found = evade(tool, scene, eps=0.05, rng=Streams(0), ingest=ingest)
    upload = torch.from_numpy(found.images)
    change = (upload.int() - scene.attackers.int()).abs().amax(dim=(1, 2, 3))
    assert (found.table["linf"].to_numpy() * 255).round().tolist() == change.tolist()
    assert change.max() <= levels(0.05)
    assert found.table["in_budget"].all()
    assert (ingest(upload).int() - scene.attackers.int()).abs().max() > levels(0.05)
    catalog = scene.index.vectors.double().numpy()
    for name, photos in (("before", scene.attackers), ("after", upload)):
        with torch.no_grad():
            vectors = scene.embedder(ingest(photos).float() / 255).double().numpy()
        for row, target in enumerate(scene.pairs.targets):
            others = np.setdiff1d(np.arange(len(catalog)), [row, target])
            mine = vectors[row] @ catalog[target]
            assert found.table[f"cosine_{name}"][row] == pytest.approx(mine, abs=1e-6)
            place = 1 + (catalog[others] @ catalog[target] >= mine).sum()
            assert found.table[f"rank_{name}"][row] == place


def test_behind_a_shop_the_search_does_not_stop_at_the_first_success(scene: Scene) -> None:
    tool = open_attack("mi-10", {"precision": "float32"})
    plain = evade(tool, scene, eps=0.1, rng=Streams(0), stop_rank=20)
    behind = evade(
        tool, scene, eps=0.1, rng=Streams(0), stop_rank=20, ingest=open_ingest("jpeg:90")
    )
    assert plain.table["backwards"].min() < 10  # type: ignore[operator]
    assert behind.table["backwards"].to_list() == [10] * 16


def test_png_is_nothing_in_between() -> None:
    assert open_ingest("png") is None


@pytest.mark.parametrize("words", ["jpeg", "jpeg:0", "jpeg:101", "jpeg:7.5", "webp:80", ""])
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="expected png or jpeg:Q"):
        open_ingest(words)
