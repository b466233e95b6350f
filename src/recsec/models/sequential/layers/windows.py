"""Training windows: every user's history cut into pieces that fit a model."""

from __future__ import annotations

import numpy as np

from recsec.types import IntArray

__all__ = ["cut_windows", "gather_windows", "length_buckets"]


def cut_windows(offsets: IntArray, length: int, rng: np.random.Generator) -> IntArray:
    """Cut histories so that every transition from an item to the next is in exactly one window.

    The newest window of a user has a random number of transitions between ``length / 2`` and
    ``length``, the older ones ``length`` each, so cuts fall elsewhere in every epoch.

    Args:
        offsets: ``(U + 1,)`` bounds of the users in the flat item array.
        length: most transitions in a window (L inputs and L targets, so L + 1 items).
        rng: places the cuts.

    Returns:
        ``(W, 2)`` first item and end (exclusive) of each window in the flat array.
    """
    transitions = np.maximum(np.diff(offsets) - 1, 0)
    newest = np.minimum(rng.integers(-(-length // 2), length + 1, len(transitions)), transitions)
    pieces = np.where(transitions > 0, 1 + -(-(transitions - newest) // length), 0)
    user = np.repeat(np.arange(len(transitions)), pieces)
    back = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    last = offsets[user + 1] - np.where(back > 0, newest[user] + (back - 1) * length, 0)
    size = np.where(back > 0, length, newest[user])
    first = np.maximum(last - 1 - size, offsets[user])
    return np.stack([first, last], axis=1)


def gather_windows(items: IntArray, windows: IntArray) -> IntArray:
    """The items of ``(B, 2)`` windows as ``(B, L + 1)``, zeros on the right."""
    sizes = windows[:, 1] - windows[:, 0]
    columns = np.arange(sizes.max(initial=0))
    inside = columns < sizes[:, None]
    return np.where(inside, items[np.where(inside, windows[:, :1] + columns, 0)], 0)


def length_buckets(sizes: IntArray, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    """Random batches of rows of similar size, so that little padding is computed.

    Rows are shuffled, sorted by size within pools of 32 batches, and the batches are shuffled.
    """
    order = rng.permutation(len(sizes))
    pool = 32 * batch_size
    batches: list[IntArray] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(sizes[part], kind="stable")]
        batches.extend(part[at : at + batch_size] for at in range(0, len(part), batch_size))
    return [batches[at] for at in rng.permutation(len(batches))]
