"""How visible a change of a photo is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import skimage

from recsec.types import FloatArray

__all__ = ["l2_distance", "linf_distance", "psnr", "ssim"]

Bytes = npt.NDArray[np.uint8]
WINDOW = 7
"""Side of the window of SSIM, as in its paper's uniform variant; smaller photos take what fits."""


def _difference(originals: Bytes, changed: Bytes) -> FloatArray:
    return (changed.astype(np.float64) - originals.astype(np.float64)) / 255


def linf_distance(originals: Bytes, changed: Bytes) -> FloatArray:
    """Largest change of a pixel, as a share of the pixel range.

    Args:
        originals: ``(B, 3, H, W)`` uint8.
        changed: the same shape.

    Returns:
        ``(B,)`` float64, multiples of 1/255.
    """
    change: FloatArray = np.abs(_difference(originals, changed))
    largest: FloatArray = change.max(axis=(1, 2, 3), initial=0)
    return largest


def l2_distance(originals: Bytes, changed: Bytes) -> FloatArray:
    """Euclidean length of the change in pixels of [0, 1], ``(B,)`` float64."""
    length: FloatArray = np.sqrt(np.square(_difference(originals, changed)).sum(axis=(1, 2, 3)))
    return length


def psnr(originals: Bytes, changed: Bytes) -> FloatArray:
    """Peak signal-to-noise ratio in dB, ``(B,)`` float64; infinite for equal photos.

    >>> black = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    >>> round(float(psnr(black, black + np.uint8(1))[0]), 2)
    48.13
    """
    error = np.square(_difference(originals, changed)).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        ratio: FloatArray = -10 * np.log10(error)
    return ratio


def ssim(originals: Bytes, changed: Bytes) -> FloatArray:
    """Structural similarity, ``(B,)`` float64; 1 for equal photos. The mean over the channels.

    Source: Wang et al., IEEE TIP 13 (2004), uniform window of 7 x 7.
    """
    side = min(WINDOW, *originals.shape[-2:])
    window = side if side % 2 else side - 1
    return np.array(
        [
            skimage.metrics.structural_similarity(
                a, b, win_size=window, channel_axis=0, data_range=255
            )
            for a, b in zip(originals, changed, strict=True)
        ],
        dtype=np.float64,
    )
