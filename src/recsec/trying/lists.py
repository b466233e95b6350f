"""Recommenders side by side, for one history at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from recsec.data import Catalog, Split, pad
from recsec.errors import RecsecError, UsageError
from recsec.evaluation import Session
from recsec.evaluation.answers import fit_lists
from recsec.evaluation.session import item_json
from recsec.rng import Streams
from recsec.types import Answerer

__all__ = ["LONGEST_HISTORY", "LONGEST_LIST", "ListBench"]

LONGEST_HISTORY = 200
"""Items of a history that the page may send."""
LONGEST_LIST = 50
SUGGESTED = 12
STRANGE = 20
"""Items of a history that nobody has."""


@dataclass(frozen=True, eq=False)
class ListBench:
    """What answers histories, and the items and people of the data.

    Attributes:
        answers: name and answerer; the others are compared with the first.
        split: the data.
        data: what it is called.
        synthetic: whether it is made up.
    """

    answers: Sequence[tuple[str, Answerer]]
    split: Split
    data: str
    synthetic: bool
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _rng: np.random.Generator = field(default_factory=lambda: Streams(0).numpy("try"))

    @property
    def catalog(self) -> Catalog:
        """The items."""
        return self.split.catalog

    @cached_property
    def _session(self) -> Session:
        """Searches, and knows what is popular."""
        return Session(self.answers[0][1], self.catalog, counts=self.split.full.counts, k=SUGGESTED)

    def about(self) -> dict[str, Any]:
        """What the page shows first."""
        return {
            "data": self.data,
            "items": len(self.catalog),
            "users": len(self.split.full),
            "names": [name for name, _ in self.answers],
            "longest_history": LONGEST_HISTORY,
            "longest_list": min(LONGEST_LIST, len(self.catalog)),
        }

    def search(self, words: str) -> dict[str, Any]:
        """Items whose title holds all the words; of none, what most people chose."""
        wanted = " ".join(words.split())
        reply = self._session.run(f"search {wanted}" if wanted else "popular")
        if reply is None or not reply.ok:
            raise UsageError("nothing to look for" if reply is None else reply.message)
        message = reply.message if wanted else "what most people chose"
        return {"message": message, "items": [self._item(item) for item in reply.items]}

    def history(self, kind: Literal["person", "random"]) -> list[dict[str, Any]]:
        """The last items of somebody in the data, or items drawn at random, as a thief may ask."""
        with self._asking:
            if kind == "random":
                count = min(STRANGE, len(self.catalog))
                items = self._rng.permutation(len(self.catalog))[:count] + 1
            else:
                user = int(self._rng.integers(len(self.split.full)))
                items = self.split.history("test", user)[-SUGGESTED:]
        return [self._item(int(item)) for item in items]

    def lists(self, history: Sequence[int], k: int) -> list[dict[str, Any]]:
        """What each answers after a history of catalog indices; one that fails says why.

        Raises:
            UsageError: an index of no item, a history or a list that is too long.
        """
        if len(history) > LONGEST_HISTORY:
            raise UsageError(f"{len(history)} items: a history here has {LONGEST_HISTORY} at most")
        if not 1 <= k <= LONGEST_LIST:
            raise UsageError(f"k = {k}: lists here have 1 to {LONGEST_LIST} items")
        if any(not 1 <= item <= len(self.catalog) for item in history):
            raise UsageError(f"items are numbers from 1 to {len(self.catalog)}")
        asked = pad([list(history)])
        found: list[dict[str, Any]] = []
        first: set[int] | None = None
        for name, answer in self.answers:
            try:
                with self._asking:
                    places = fit_lists(answer(asked, k), rows=1, k=k)[0]
            except RecsecError as error:
                found.append({"name": name, "error": error.message, "items": [], "shared": None})
                continue
            items = [int(item) for item in places if item > 0]
            shared = None if first is None else [item in first for item in items]
            first = set(items) if first is None else first
            shown = [
                self._item(item) | ({} if shared is None else {"shared": shared[place]})
                for place, item in enumerate(items)
            ]
            count = None if shared is None else sum(shared)
            found.append({"name": name, "error": None, "items": shown, "shared": count})
        return found

    def _item(self, item: int) -> dict[str, Any]:
        return {"item": item, **item_json(self.catalog, item)}
