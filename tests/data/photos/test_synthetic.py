"""Made-up photos: one law, any size, no two alike, and learnable without being trivial."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from recsec.data import load_photos, split_photos
from recsec.data.photos.files import ResizeRule
from recsec.data.photos.shapes import SHAPES, TEXTURES
from recsec.data.photos.synthetic import SyntheticPhotos, SyntheticPhotosConfig
from recsec.errors import ConfigError

NAME = "photos:items=240,categories=6,seed=1"


def test_a_photo_depends_on_its_row_only() -> None:
    made = SyntheticPhotos(SyntheticPhotosConfig(items=50, seed=2))
    rule = ResizeRule()
    everything = made.draw(np.arange(50), 24, rule)
    assert np.array_equal(made.draw(np.array([31, 4, 4]), 24, rule), everything[[31, 4, 4]])
    again = SyntheticPhotos(SyntheticPhotosConfig(items=50, seed=2))
    assert np.array_equal(again.draw(np.arange(50), 24, rule), everything)
    other = SyntheticPhotos(SyntheticPhotosConfig(items=50, seed=3))
    assert not np.array_equal(other.draw(np.arange(50), 24, rule), everything)
    assert other.digest != made.digest == again.digest


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SyntheticPhotos(SyntheticPhotosConfig(items=30))
    whole = made.draw(np.arange(30), 16, ResizeRule())
    monkeypatch.setattr("recsec.data.photos.synthetic.BLOCK", 16 * 16 * 7)
    assert np.array_equal(made.draw(np.arange(30), 16, ResizeRule()), whole)


def test_sizes_show_the_same_product() -> None:
    photos = load_photos(NAME)
    small, large = photos.pixels(np.arange(240), 24), photos.pixels(np.arange(240), 96)
    shrunk = large.reshape(240, 3, 24, 4, 24, 4).mean(axis=(3, 5))
    assert np.abs(shrunk - small).mean() < 6
    assert np.abs(shrunk - np.roll(small, 1, axis=0)).mean() > 18


def test_products_lie_on_white_and_differ() -> None:
    photos = load_photos(NAME)
    pixels = photos.pixels(np.arange(240), 32).astype(np.int64)
    assert (pixels[:, :, [0, -1]][:, :, :, [0, -1]] == 255).all()
    covered = (pixels < 250).any(axis=1).mean(axis=(1, 2))
    assert covered.min() > 0.02
    assert covered.max() < 0.7
    for name in photos.table["category"].unique():
        chosen = pixels[photos.table["category"].to_numpy() == name].reshape(-1, 3 * 32 * 32)
        apart = np.abs(chosen[:, None] - chosen[None]).mean(axis=2)
        assert apart[~np.eye(len(chosen), dtype=bool)].min() > 2


def test_the_table_says_what_was_drawn() -> None:
    photos = load_photos(NAME)
    assert photos.synthetic
    assert photos.table["category"].value_counts()["count"].to_list() == [40] * 6
    assert set(photos.table["category"]) == set(list(SHAPES)[:6])
    assert set(photos.table["texture"]) == set(TEXTURES)
    assert photos.titles[0] == photos.titles[0].capitalize()
    assert len(set(photos.table["id"])) == 240
    assert photos.rows([10_001]).tolist() == [0]


def test_categories_can_be_learned_and_pixels_alone_do_not_settle_them() -> None:
    photos = load_photos("photos:items=600,categories=12,seed=0")
    split = split_photos(photos)
    pixels = photos.pixels(np.arange(600), 16).reshape(600, -1) / 255.0
    raw = KNeighborsClassifier(1).fit(pixels[split.train], split.labels[split.train])
    by_pixels = raw.score(pixels[split.test], split.labels[split.test])
    masks = (pixels.reshape(600, 3, -1) < 0.97).any(axis=1)
    shape = KNeighborsClassifier(1).fit(masks[split.train], split.labels[split.train])
    by_shape = shape.score(masks[split.test], split.labels[split.test])
    assert 0.5 < by_pixels < 0.97
    assert 0.5 < by_shape < 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_any_size(size: int) -> None:
    assert load_photos("photos:items=20").pixels(np.arange(20), size).shape == (20, 3, size, size)


def test_one_photo_is_a_catalog() -> None:
    photos = load_photos("photos:items=1,categories=1")
    assert photos.pixels([0], 8).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    "name", ["photos:items=0", "photos:categories=13", "photos:seed=-1", "photos:size=3"]
)
def test_settings_that_do_not_fit(name: str) -> None:
    with pytest.raises(ConfigError, match="photos: "):
        load_photos(name)
