"""A recommender in this process as a target."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recsec.errors import TargetError
from recsec.models.base import Incremental, Recommender, check_scores, mask_history, top_k
from recsec.targets.base import most_popular
from recsec.targets.guards import Guard, answer_in_turn
from recsec.types import FloatArray, IntArray

__all__ = ["LocalTarget"]

GROWING = 8
"""Groups of growing histories that are kept encoded."""


@dataclass
class _Growing:
    """Histories that were asked together, and how to encode them.

    ``start`` is their length when they were first seen: encoding begins with those items and
    extends one by one, so that a replayed run repeats the arithmetic of the first one exactly.
    """

    start: int
    state: Any


class LocalTarget:
    """Answers with the top k of a recommender, history items excluded, or what guards make of it.

    Where the recommender is ``Incremental`` and a query extends each history of an earlier query
    by one item, the encoded state is extended, which is much faster than encoding each prefix.

    Args:
        recommender: who ranks.
        guards: what stands between its scores and the answer, the first nearest to the recommender.
        chunk: histories per pass.
        pool: calls that may wait before they are recorded.
        exclude_history: leave out items that the history holds.
        counts: ``(N + 1,)`` how often each item was chosen; with them a history of no items is
            scored by popularity, whatever the recommender makes of it.
    """

    def __init__(
        self,
        recommender: Recommender,
        guards: Sequence[Guard] = (),
        *,
        chunk: int = 256,
        pool: int = 4096,
        exclude_history: bool = True,
        counts: IntArray | None = None,
    ) -> None:
        self.catalog = recommender.catalog
        self.recommender = recommender
        self.guards = tuple(guards)
        self.chunk = chunk
        self.pool = pool
        self.exclude_history = exclude_history
        self.counts = counts
        self.same_for_all = not any(guard.by_account for guard in self.guards)
        """Whether the answer is the same whoever asks."""
        self._growing: OrderedDict[tuple[str, int, bytes], _Growing] = OrderedDict()

    def __repr__(self) -> str:
        names = "".join(f" + {guard.name}" for guard in self.guards)
        return f"LocalTarget({self.recommender.name}{names}, {len(self.catalog)} items)"

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``."""
        answer = np.zeros((len(histories), k), dtype=np.int64)
        for rows, lists, _ in self._answered(account, histories, k):
            answer[rows, : lists.shape[1]] = lists
        return answer

    def scored(self, account: str, histories: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """Lists ``(B, k)`` as ``query`` gives them, and the scores ``(B, k)`` of their items.

        Scores are the recommender's own, 0 where a list is shorter; after a history that is
        answered by popularity only their order means something.

        Raises:
            TargetError: guards stand before the scores.
        """
        if self.guards:
            raise TargetError("scores are what guards hide")
        answer = np.zeros((len(histories), k), dtype=np.int64)
        found = np.zeros((len(histories), k))
        for rows, lists, scores in self._answered(account, histories, k):
            answer[rows, : lists.shape[1]] = lists
            own = scores.gather(1, torch.from_numpy(lists)).double().numpy()
            found[rows, : lists.shape[1]] = np.where(lists > 0, own, 0.0)
        return answer, found

    def _answered(
        self, account: str, histories: IntArray, k: int
    ) -> Iterator[tuple[slice, IntArray, torch.Tensor]]:
        """Chunk by chunk: which rows, their lists, and scores of all items."""
        for start in range(0, len(histories), self.chunk):
            part = np.ascontiguousarray(histories[start : start + self.chunk])
            scores = self._scores(account, part)
            if self.exclude_history:
                mask_history(scores, torch.from_numpy(part))
            if self.guards:
                check_scores(scores)
                lists = answer_in_turn(self.guards, account, part, scores, k)
            else:
                lists = top_k(scores, k).numpy()
            yield slice(start, start + len(part)), lists, scores

    def follow(self, account: str, histories: IntArray) -> None:
        """See ``Stateful.follow``; encoding waits until a query needs it."""
        for start in range(0, len(histories), self.chunk):
            part = np.ascontiguousarray(histories[start : start + self.chunk])
            if isinstance(self.recommender, Incremental) and part.size and part.all():
                self._advance(account, part).state = None

    def _advance(self, account: str, histories: IntArray) -> _Growing:
        """The group of these histories; its state, if any, is one item behind."""
        length = histories.shape[1]
        growing = self._growing.pop((account, length - 1, histories[:, :-1].tobytes()), None)
        if growing is None:
            growing = _Growing(length, None)
        self._growing[account, length, histories.tobytes()] = growing
        while len(self._growing) > GROWING:
            self._growing.popitem(last=False)
        return growing

    def _scores(self, account: str, histories: IntArray) -> torch.Tensor:
        known = (histories > 0).any(axis=1)
        if self.counts is None or known.all():
            return self._ranked(account, histories)
        order = most_popular(self.counts, len(self.catalog))
        popular = torch.full((len(self.catalog) + 1,), float("-inf"))
        popular[order] = torch.arange(len(order), 0, -1, dtype=torch.float32)  # no two alike
        scores = popular.repeat(len(histories), 1)
        if known.any():
            found = self._ranked(account, np.ascontiguousarray(histories[known]))
            scores[torch.from_numpy(known)] = found.to(scores)
        return scores

    def _ranked(self, account: str, histories: IntArray) -> torch.Tensor:
        model = self.recommender
        if not isinstance(model, Incremental) or histories.size == 0 or not histories.all():
            return model.scores(histories)
        growing = self._advance(account, histories)
        if growing.state is None:
            growing.state = model.open(histories[:, : growing.start])
            columns = range(growing.start, histories.shape[1])
        else:
            columns = range(histories.shape[1] - 1, histories.shape[1])
        for column in columns:
            growing.state = model.extend(growing.state, histories[:, column])
        scores: torch.Tensor = model.state_scores(growing.state)
        return scores
