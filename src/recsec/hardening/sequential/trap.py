"""The secret of a honeypot: items behind a history, and the item that a copy then lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsec.targets import Chains
from recsec.types import Answerer, IntArray

__all__ = ["Trap", "contains", "triggered"]


@dataclass(frozen=True)
class Trap:
    """What the owner keeps secret.

    Attributes:
        trigger: catalog indices, appended to a history in this order.
        item: the one that a copy then lists.
    """

    trigger: tuple[int, ...]
    item: int

    def rate(self, answer: Answerer, histories: IntArray, k: int, *, sprung: bool = True) -> float:
        """How often the list of ``k`` holds the chosen item, for histories ``(B, L)``.

        Histories that hold it already are left out. With ``sprung=False`` the trigger is not
        appended: the null rate, to be told beside the other.
        """
        known = np.isin(histories, [self.item, *self.trigger]).any(axis=1)
        asked = histories[~known]
        lists = answer(triggered(asked, self.trigger) if sprung else asked, k)
        return float((lists == self.item).any(axis=1).mean()) if len(asked) else float("nan")


def triggered(histories: IntArray, trigger: tuple[int, ...]) -> IntArray:
    """Append the trigger to histories ``(B, L)``: ``(B, L + size)``, zeros on the right.

    >>> triggered(np.array([[4, 5], [6, 0]]), (1, 2)).tolist()
    [[4, 5, 1, 2], [6, 1, 2, 0]]
    """
    longer = np.pad(histories, ((0, 0), (0, len(trigger))))
    lengths = (histories > 0).sum(axis=1)
    columns = lengths[:, None] + np.arange(len(trigger))
    np.put_along_axis(longer, columns, np.broadcast_to(trigger, columns.shape), axis=1)
    return longer


def contains(chains: Chains, trigger: tuple[int, ...]) -> float:
    """Share of asked histories in which the items of the trigger stand together, in order.

    A history counts from the query on in which the trigger is complete.
    """
    items, size = chains.items, len(trigger)
    session = np.repeat(np.arange(len(chains)), np.diff(chains.offsets))
    here = np.zeros(len(items), dtype=bool)
    if len(items) >= size:
        windows = np.lib.stride_tricks.sliding_window_view(items, size)
        whole = session[size - 1 :] == session[: len(items) - size + 1]
        here[size - 1 :] = (windows == np.array(trigger)).all(axis=1) & whole
    count = np.cumsum(here)
    before = np.concatenate([[0], count])[chains.offsets[:-1]]
    met = count - before[session] > 0
    asked = chains.answers[:, 0] > 0
    return float(met[asked].mean()) if asked.any() else 0.0
