"""Distances of photos: hand-checkable values and the library's own."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from recsec.metrics import l2_distance, linf_distance, psnr, ssim


def photos(seed: int = 0, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 3, side, side)).astype(np.uint8)


def test_one_changed_pixel() -> None:
    black = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    changed = black.copy()
    changed[0, 1, 2, 3] = 51
    assert linf_distance(black, changed).tolist() == [0.2]
    assert l2_distance(black, changed).tolist() == [0.2]
    assert psnr(black, changed)[0] == pytest.approx(-10 * np.log10(0.04 / 192))


def test_equal_photos() -> None:
    some = photos()
    assert psnr(some, some).tolist() == [np.inf] * 3
    assert ssim(some, some).tolist() == pytest.approx([1] * 3)
    assert linf_distance(some, some).tolist() == [0] * 3


def test_psnr_is_the_library_s() -> None:
    a, b = photos(1), photos(2)
    expected = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)]
    assert psnr(a, b).tolist() == pytest.approx(expected)


def test_more_noise_is_less_similar_also_on_tiny_photos() -> None:
    for side in (4, 16):
        some = photos(side=side) // 2
        values = [
            ssim(some, some + np.uint8(step) * (photos(9, side) % 2)).mean() for step in (2, 30)
        ]
        assert values[0] > values[1]
