"""What a key says about items: which are green, and which triggers have which reply.

Everything here is vectorized over keys, because a proof compares the owner's key with thousands of
others that were drawn in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsec.errors import ConfigError
from recsec.targets.guards.key import derive
from recsec.types import IntArray

__all__ = [
    "TRIGGERS",
    "first_is_green",
    "green_items",
    "popularity_pairs",
    "replies",
    "trigger_bands",
    "triggers",
]

TRIGGERS = 64
"""How many triggers a key has, if the catalog is large enough."""

BAND = (0.1, 0.7)
"""Share of items that are more popular than those of the band from which triggers come."""


def _by_popularity(counts: IntArray) -> IntArray:
    """Catalog indices ``(N,)``, most popular first, ties by index."""
    order: IntArray = np.argsort(-counts[1:], kind="stable") + 1
    return order


def popularity_pairs(counts: IntArray) -> IntArray:
    """Neighbors in popularity ``(P, 2)``; with an odd N the least popular item has no partner.

    Args:
        counts: ``(N + 1,)`` how often each item was chosen.
    """
    order = _by_popularity(counts)
    return order[: len(order) // 2 * 2].reshape(-1, 2)


def first_is_green(keys: Sequence[bytes], pairs: int) -> npt.NDArray[np.bool_]:
    """Per key and pair ``(R, P)``: whether the first of the pair is green; else the second is."""
    drawn = derive(keys, "green", -(-pairs // 8))
    return np.unpackbits(drawn, axis=1, count=pairs).astype(bool)


def green_items(key: bytes, counts: IntArray) -> npt.NDArray[np.bool_]:
    """``(N + 1,)`` which items are green: exactly one of each pair of popularity neighbors."""
    pairs = popularity_pairs(counts)
    first = first_is_green([key], len(pairs))[0]
    green = np.zeros(len(counts), dtype=bool)
    green[np.where(first, pairs[:, 0], pairs[:, 1])] = True
    return green


def trigger_bands(counts: IntArray) -> tuple[IntArray, IntArray]:
    """From which items triggers ``(T,)`` and replies ``(Y,)`` are drawn: public, and disjoint.

    Items of middling popularity: people rarely have one as their newest, and hardly any model
    lists a given one by itself.

    Raises:
        ConfigError: the catalog has too few items.
    """
    order = _by_popularity(counts)
    low, high = (round(share * len(order)) for share in BAND)
    band = order[low:high]
    if len(band) < 8:
        raise ConfigError(f"a catalog of {len(order)} items is too small for triggers")
    return band[0::2], band[1::2]


def triggers(key: bytes, counts: IntArray) -> IntArray:
    """The trigger items ``(m,)`` of a key, all different; m is at most a quarter of the band."""
    candidates, _ = trigger_bands(counts)
    chance = derive([key], "triggers", 8 * len(candidates)).view(np.uint64)[0]
    chosen: IntArray = candidates[np.argsort(chance, kind="stable")]
    return chosen[: min(TRIGGERS, len(candidates) // 2)]


def replies(keys: Sequence[bytes], counts: IntArray, *, count: int) -> IntArray:
    """The reply to each of ``count`` triggers, per key: ``(R, count)``.

    Drawn without regard to what the triggers are, so that for given triggers the replies of all
    keys follow one law. That is what makes the test of them exact.
    """
    _, candidates = trigger_bands(counts)
    drawn = derive(keys, "replies", 8 * count).view(np.uint64)
    chosen: IntArray = candidates[(drawn % np.uint64(len(candidates))).astype(np.int64)]
    return chosen
