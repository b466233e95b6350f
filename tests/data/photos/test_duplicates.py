"""A photo saved again is a repeat; another color of the same product is not."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from small_photos import encode, picture

from recsec.data.photos.duplicates import near_repeats, perceptual_hashes
from recsec.data.photos.files import ResizeRule, resize
from recsec.data.photos.synthetic import SyntheticPhotos, SyntheticPhotosConfig

RULE = ResizeRule(fit="squash")


def thumb(image: Image.Image) -> npt.NDArray[np.uint8]:
    return resize(image, 32, RULE)


def saved_again(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encode(image, "JPEG", quality=quality))).convert("RGB")


def test_photos_saved_again_are_found() -> None:
    images = [picture(seed, size=(224, 224)) for seed in range(20)]
    again = [saved_again(image, 75) for image in images]
    repeats = near_repeats(np.stack([thumb(image) for image in [*images, *again]]))
    assert repeats.tolist() == [False] * 20 + [True] * 20


def test_another_color_is_another_product() -> None:
    image = picture(1, size=(224, 224))
    pixels = np.asarray(image).astype(np.int64)
    other = Image.fromarray(pixels[:, :, [0, 2, 1]].astype(np.uint8))
    near = near_repeats(np.stack([thumb(image), thumb(other)]))
    assert near.tolist() == [False, False]


def test_equal_hashes_of_darker_photos_do_not_make_a_repeat() -> None:
    light = thumb(picture(4, size=(64, 64)))
    dark = (light // 2).astype(np.uint8)
    hashes = perceptual_hashes(np.stack([light, dark]))
    assert int(np.bitwise_count(hashes[0] ^ hashes[1])) <= 4
    assert near_repeats(np.stack([light, dark])).tolist() == [False, False]


def test_made_up_products_are_all_distinct() -> None:
    made = SyntheticPhotos(SyntheticPhotosConfig(items=300, seed=3))
    assert not near_repeats(made.draw(np.arange(300), 32, RULE)).any()


def test_chains_keep_what_is_near_to_a_repeat_only() -> None:
    first = np.full((3, 32, 32), 100, dtype=np.uint8)
    chain = np.stack([first, first + 10, first + 20, first + 30])
    assert near_repeats(chain).tolist() == [False, True, False, True]


@pytest.mark.parametrize("count", [0, 1])
def test_few(count: int) -> None:
    assert near_repeats(np.zeros((count, 3, 32, 32), dtype=np.uint8)).tolist() == [False] * count


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [thumb(picture(seed % 15, size=(48, 48))) for seed in range(40)]
    whole = near_repeats(np.stack(images))
    monkeypatch.setattr("recsec.data.photos.duplicates.BLOCK", 70)
    assert np.array_equal(near_repeats(np.stack(images)), whole)
    assert whole.tolist() == [False] * 15 + [True] * 25
