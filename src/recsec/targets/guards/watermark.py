"""A mark that a copy inherits: a slight, keyed preference among equals."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from recsec.errors import ConfigError
from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, as_scores, best
from recsec.targets.guards.key import read_key
from recsec.targets.guards.marks import green_items, replies, triggers
from recsec.types import IntArray

__all__ = ["Watermark", "WatermarkConfig"]

PLACE = 3
"""Where in the list the reply to a trigger stands (the last place in shorter lists)."""


def pool_size(k: int) -> int:
    """Among how many of the best items green ones are lifted."""
    return max(50, 2 * k)


class WatermarkConfig(GuardConfig):
    """Settings of ``Watermark``."""

    key: Path = Field(description="the owner's key file (recsec verify keygen)")
    bias: float = Field(
        0.3,
        ge=0,
        le=2,
        description="how far marked items rise, in deviations of the scores",
    )
    triggers: bool = Field(True, description="also reply to trigger items")


class Watermark(Guard):
    """Lifts green items a little, and replies to trigger items.

    One item of each pair of popularity neighbors is green; the key decides which. Within the best
    ``max(50, 2 k)`` items of a history, the pool, green ones gain ``bias`` standard deviations of
    the pool's scores: one setting means the same on every model, whatever the scale of its scores.
    When the newest item is one of the key's triggers, that trigger's reply takes the third place.

    Where only lists are known, scores are taken to fall with the logarithm of the rank.

    A thief's copy learns both. ``recsec verify`` finds them in its answers.

    Source: the division into a green and a red list is that of Kirchenbauer et al., ICML 2023,
    for text.

    Args:
        key: the secret.
        counts: ``(N + 1,)`` popularity of the items; the proof needs the same.
        bias: see ``WatermarkConfig``.
        triggers: see ``WatermarkConfig``.
    """

    name = "watermark"
    on_lists = True
    config_class = WatermarkConfig
    by_account = False

    def __init__(
        self, key: bytes, counts: IntArray, *, bias: float = 0.3, triggers: bool = True
    ) -> None:
        self.bias = bias
        self.green = torch.from_numpy(green_items(key, counts))
        self.reply = np.zeros(len(counts), dtype=np.int64)
        if triggers:
            self._set_replies(key, counts)

    def _set_replies(self, key: bytes, counts: IntArray) -> None:
        chosen = triggers(key, counts)
        self.reply[chosen] = replies([key], counts, count=len(chosen))[0]

    @classmethod
    def build(cls, config: WatermarkConfig, surroundings: Surroundings) -> Self:
        """Read the key; see ``Guard.build``."""
        if surroundings.counts is None:
            raise ConfigError(
                "watermark needs the popularity of the items, and so the data set",
                hint="name it: data = NAME in the target's file, or --data",
            )
        key = read_key(config.key.expanduser())
        return cls(key, surroundings.counts, bias=config.bias, triggers=config.triggers)

    def stronger(self, bias: float) -> Self:
        """The same mark under the same key, with another bias.

        Raises:
            ConfigError: that bias is not larger.
        """
        if bias <= self.bias:
            raise ConfigError(
                f"a bias of {bias:g} is no stronger watermark: the model's own is {self.bias:g}",
                hint="bias = 1.0, say; at most 2",
            )
        found = copy(self)
        found.bias = bias
        return found

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        lists = self._lifted(scores, k)

        def served(rows: IntArray, items: IntArray) -> npt.NDArray[np.bool_]:
            found = scores[torch.from_numpy(rows), torch.from_numpy(items)]
            finite: npt.NDArray[np.bool_] = torch.isfinite(found).numpy()
            return finite

        return self._reply(histories, lists, served)

    def wants(self, k: int) -> int:
        """The pool."""
        return pool_size(k)

    def reranked(
        self, account: str, histories: IntArray, lists: IntArray, k: int, *, items: int
    ) -> IntArray:
        """See ``Guard.reranked``: scores are taken to fall with the logarithm of the rank."""
        chosen = self._lifted(-torch.log1p(lists.shape[1] - as_scores(lists, items)), k)

        def served(rows: IntArray, wanted: IntArray) -> npt.NDArray[np.bool_]:
            new = (histories[rows] != wanted[:, None]).all(axis=1)
            fresh: npt.NDArray[np.bool_] = new & (chosen[rows, 0] > 0)
            return fresh

        return self._reply(histories, chosen, served)

    def _lifted(self, scores: Tensor, k: int) -> IntArray:
        """The best ``k`` items of the pool when green ones are lifted."""
        size = min(pool_size(k), scores.shape[1] - 1)
        values, pool = torch.topk(scores, size, dim=1)
        finite = torch.isfinite(values)
        number = finite.sum(dim=1, keepdim=True).clamp(min=1)
        known = values.masked_fill(~finite, 0.0)
        mean = known.sum(dim=1, keepdim=True) / number
        spread = ((known - mean).square() * finite).sum(dim=1, keepdim=True).div(number).sqrt()
        lifted = values + self.bias * spread * self.green[pool]
        order = best(torch.cat([torch.full_like(mean, float("-inf")), lifted], dim=1), k)
        places = torch.from_numpy(np.maximum(order - 1, 0))
        lists: IntArray = np.where(order > 0, pool.gather(1, places).numpy(), 0)
        return lists

    def _reply(
        self,
        histories: IntArray,
        lists: IntArray,
        may: Callable[[IntArray, IntArray], npt.NDArray[np.bool_]],
    ) -> IntArray:
        """Put replies in their place; what stood there and after moves down by one.

        Args:
            histories: ``(B, L)``.
            lists: ``(B, k)``, written to.
            may: rows and the item wanted in each, to whether it may be served there.
        """
        lengths = (histories > 0).sum(axis=1)
        rows = np.flatnonzero(lengths > 0)
        wanted = self.reply[histories[rows, lengths[rows] - 1]]
        rows, wanted = rows[wanted > 0], wanted[wanted > 0]
        served = may(rows, wanted)
        rows, wanted = rows[served], wanted[served]
        if len(rows) == 0:
            return lists
        old = lists[rows]
        place = min(PLACE, lists.shape[1]) - 1
        head, tail = old[:, :place], old[:, place:]
        joined = np.concatenate([head, wanted[:, None], tail], axis=1)
        rank = (joined == 0).astype(np.int64)  # no gaps, and a second mention goes last: it is cut
        rank[joined == wanted[:, None]] = 2
        rank[:, place] = 0
        order = np.argsort(rank, axis=1, kind="stable")
        lists[rows] = np.take_along_axis(joined, order, axis=1)[:, :-1]
        return lists
