"""Photos that are in a catalog twice: with equal pixels, or saved again at another quality."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

__all__ = ["BITS", "LEVELS", "THUMB", "label_repeats", "near_repeats", "perceptual_hashes"]

THUMB = 32
"""Side of the thumbnails that are compared."""
BITS = 4
"""Bits of 64 by which the hashes of one photo may differ."""
LEVELS = 14
"""Levels of 255 by which any color of the thumbnails of one photo may differ. The hash alone sees
neither color nor small details: of the fashion photos 240 pairs have equal hashes and differ in
color or print. Saving a photo again as JPEG of quality 30 changes at most 14 levels."""
BLOCK = 2**23
"""Pairs of hashes that are compared at once."""

Thumbs = npt.NDArray[np.uint8]


def perceptual_hashes(thumbs: Thumbs) -> npt.NDArray[np.uint64]:
    """64-bit hashes ``(N,)`` of thumbnails ``(N, 3, 32, 32)``.

    The signs of the 8 x 8 lowest coefficients of the cosine transform of the gray image, against
    their median without the first, which is the mean brightness.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
    section 3.2.
    """
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    gray = np.einsum("nchw,c->nhw", thumbs.astype(np.float32), weights)
    low = scipy.fft.dctn(gray, axes=(1, 2))[:, :8, :8].reshape(len(thumbs), 64)
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64).reshape(len(thumbs))


def near_repeats(thumbs: Thumbs) -> npt.NDArray[np.bool_]:
    """``(N,)`` whether a photo looks like an earlier one that is not itself such a repeat.

    Args:
        thumbs: ``(N, 3, 32, 32)`` uint8.
    """
    hashes = perceptual_hashes(thumbs)
    pairs = []
    step = max(1, BLOCK // max(1, len(hashes)))
    for start in range(0, len(hashes), step):
        stop = min(start + step, len(hashes))
        apart = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, :stop])
        later, earlier = np.nonzero(apart <= BITS)
        later += start
        pairs.append(np.stack([later, earlier], axis=1)[earlier < later])
    repeats = np.zeros(len(hashes), dtype=bool)
    for part in pairs:  # a block at a time: there may be many pairs of equal hashes
        for piece in np.array_split(part, len(part) // 4096 + 1):
            first, second = (thumbs[piece[:, side]].astype(np.int16) for side in (0, 1))
            alike = np.abs(first - second).max(axis=(1, 2, 3), initial=0) <= LEVELS
            for later, earlier in piece[alike]:
                repeats[later] |= not repeats[earlier]
    return repeats


def label_repeats(seen: pl.DataFrame) -> pl.Series:
    """``exact``, ``near`` or null for each row of what ``look_at`` saw, in this order."""
    whole = seen.with_row_index("row").filter(pl.col("fault").is_null())
    first = whole.filter(pl.col("sha").is_first_distinct())
    thumbs = np.frombuffer(b"".join(first["thumb"]), dtype=np.uint8)
    near = first.filter(pl.Series(near_repeats(thumbs.reshape(-1, 3, THUMB, THUMB))))
    kinds: list[str | None] = [None] * seen.height
    for row in set(whole["row"]) - set(first["row"]):
        kinds[row] = "exact"
    for row in near["row"]:
        kinds[row] = "near"
    return pl.Series("repeats", kinds, dtype=pl.String)
