"""Are the lists upside down? A test that costs no call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsec.targets import Chains

__all__ = ["OrderTest", "order_test", "turned"]

PAIRS = 20_000
"""Pairs of lists that are compared at most."""

CERTAIN = 4.0
"""Standard errors that are asked for before a list is turned."""


@dataclass(frozen=True)
class OrderTest:
    """What the lists of growing histories say about their own order.

    Attributes:
        first: share of items of the first half of a list that stand in the next list too.
        second: the same of the second half.
        z: (first - second), averaged over lists, in standard errors; 0 where nothing was compared.
        pairs: how many pairs of consecutive lists were compared.
    """

    first: float
    second: float
    z: float
    pairs: int

    @property
    def reversed(self) -> bool:
        """Whether lists are served worst first: their second half outlives the first."""
        return self.z < -CERTAIN


def order_test(chains: Chains) -> OrderTest:
    """Compare how well the two halves of a list survive one more item in the history.

    The item on rank k is the first to fall out of a list of k, so in an honest list the first half
    survives more often. In a reversed list it is the second half; in a shuffled one neither. A
    target whose lists have nothing in common from one step to the next tells nothing.
    """
    answers = chains.answers
    follows = np.ones(len(answers), dtype=bool)
    follows[chains.offsets[:-1]] = False
    now = np.flatnonzero(follows)
    now = now[(answers[now] > 0).all(axis=1) & (answers[now - 1] > 0).all(axis=1)]
    now = now[:PAIRS]
    half = answers.shape[1] // 2
    if len(now) < 2 or half == 0:
        return OrderTest(0.0, 0.0, 0.0, len(now))
    before, width = answers[now - 1].astype(np.int64), 1 + int(answers.max(initial=0))
    rows = np.arange(len(now))[:, None] * width
    kept = np.isin(before + rows, answers[now] + rows)
    open_ = before != chains.items[now][:, None]  # what was taken leaves the list by itself
    sizes = [open_[:, :half].sum(axis=1), open_[:, -half:].sum(axis=1)]
    counts = [(kept & open_)[:, :half].sum(axis=1), (kept & open_)[:, -half:].sum(axis=1)]
    shares = [count / np.maximum(size, 1) for count, size in zip(counts, sizes, strict=True)]
    gaps = (shares[0] - shares[1])[(sizes[0] > 0) & (sizes[1] > 0)]
    error = float(gaps.std()) / max(1, len(gaps)) ** 0.5
    z = float(gaps.mean()) / error if error > 0 else 0.0
    first, second = (float(c.sum() / max(1, n.sum())) for c, n in zip(counts, sizes, strict=True))
    return OrderTest(first, second, z, len(now))


def turned(answers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Lists ``(P, K)`` in the opposite order; zeros stay behind.

    >>> turned(np.array([[3, 5, 0]], dtype=np.int32)).tolist()
    [[5, 3, 0]]
    """
    lengths = (answers > 0).sum(axis=1, keepdims=True)
    places = np.arange(answers.shape[1])
    source = np.where(places < lengths, lengths - 1 - places, places)
    return np.take_along_axis(answers, source, axis=1)
