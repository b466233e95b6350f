"""Who trains, who chooses, who is asked: disjoint, stratified, independent of other categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_photos import deepfashion_members, write

from recsec.data import Photos, load_photos, split_photos
from recsec.data.photos.synthetic import SyntheticPhotos, SyntheticPhotosConfig
from recsec.errors import ConfigError, DataError


def catalog(categories: list[str], **columns: list[object]) -> Photos:
    table = pl.DataFrame(
        {"id": np.arange(len(categories)), "title": categories, "category": categories, **columns}
    )
    source = SyntheticPhotos(SyntheticPhotosConfig(items=len(categories)))
    return Photos("made", table, tuple(columns), source)


def test_shares_of_every_category() -> None:
    photos = catalog(["a"] * 100 + ["b"] * 40 + ["c"] * 19)
    split = split_photos(photos)
    assert split.categories == ("a", "b")
    names = np.array(photos.titles)
    for rows, a, b in ((split.test, 20, 8), (split.validation, 5, 2), (split.train, 75, 30)):
        assert [(names[rows] == name).sum() for name in "abc"] == [a, b, 0]
        assert rows.dtype == np.int64
    assert split.catalog.tolist() == list(range(140))
    assert split.labels.tolist() == [0] * 100 + [1] * 40 + [-1] * 19
    assert split.protocol.startswith("2 categories with at least 20 photos")
    assert "20% hold-out" in split.protocol


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 99))
def test_parts_are_disjoint_and_nobody_is_lost(sizes: list[int], seed: int) -> None:
    photos = catalog(
        [name for size, name in zip(sizes, "abcde", strict=False) for _ in range(size)]
    )
    split = split_photos(photos, min_photos=1, seed=seed)
    parts = (split.train, split.validation, split.test)
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == list(range(sum(sizes)))
    for place, size in enumerate(sizes):
        have = [(split.labels[part] == place).sum() for part in parts]
        assert have[0] >= 1
        assert (have[1] >= 1) == (size >= 3)
        assert (have[2] >= 1) == (size >= 2)


def test_a_category_does_not_depend_on_the_others() -> None:
    alone, together = catalog(["b"] * 30), catalog(["b"] * 30 + ["a"] * 50)
    only, both = split_photos(alone, seed=5), split_photos(together, seed=5)
    assert both.test[both.test < 30].tolist() == only.test.tolist()
    assert split_photos(alone, seed=6).test.tolist() != only.test.tolist()


def test_attribute_targets() -> None:
    photos = catalog(
        ["a"] * 4 + ["b"],
        color=["red", "blue", None, "red", "green"],
        texture=[["dots", "lines"], [], None, ["lines"], ["none"]],
    )
    split = split_photos(photos, min_photos=4)
    color, texture = (split.attribute_targets()[name] for name in ("color", "texture"))
    assert color[0] == ("blue", "red")
    assert color[1].tolist() == [[0, 1], [1, 0], [0, 0], [0, 1], [0, 0]]
    assert texture[0] == ("dots", "lines")
    assert texture[1].tolist() == [[1, 1], [0, 0], [0, 0], [0, 1], [0, 0]]
    assert color[1].dtype == np.bool_


def test_the_publishers_partition(tmp_path: Path, cache: Path) -> None:
    photos = load_photos("deepfashion", source=write(tmp_path / "deep", deepfashion_members()))
    split = split_photos(photos, min_photos=2)
    assert split.categories == ("Blouse", "Jeans")
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == (
        [0, 2],
        [4],
        [1, 5],
    )
    assert "publisher" in split.protocol
    drawn = split_photos(photos, min_photos=2, held_out=0.5)
    assert "hold-out" in drawn.protocol
    with pytest.raises(DataError, match="0 to test"):
        split_photos(_without_test(photos), min_photos=2)


def _without_test(photos: Photos) -> Photos:
    table = photos.table.with_columns(pl.lit("train").alias("partition"))
    return Photos("cut", table, photos.attributes, photos.source)


def test_what_cannot_be_split() -> None:
    photos = catalog(["a"] * 3)
    with pytest.raises(DataError, match="no category of made has 20 photos"):
        split_photos(photos)
    for shares in ((0.0, 0.1), (0.9, 0.1), (0.5, -0.1)):
        with pytest.raises(ConfigError, match="sum below 1"):
            split_photos(photos, min_photos=1, held_out=shares[0], validation=shares[1])
    assert len(split_photos(photos, min_photos=1, validation=0).validation) == 0
