"""The native answers: a target of ours behind the engine, with histories sent or bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recsec.errors import ConfigError, DataError
from recsec.serving.batching import NO_SCORES, Batcher
from recsec.serving.engine import Engine
from recsec.serving.evidence import Event
from recsec.serving.ledger import Treatment
from recsec.serving.state import Decision
from recsec.targets import LocalTarget, Target, more_marked
from recsec.types import FloatArray, IntArray, ItemId

__all__ = ["Answering", "Blocked", "Found", "Limits", "Reply", "admitted"]


class Blocked(Exception):  # noqa: N818 - a verdict
    """A decision refuses the request."""

    def __init__(self, decision: Decision, wait: float) -> None:
        super().__init__(decision.id)
        self.decision = decision
        self.wait = wait


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        k: longest list.
        history: most items of a history that is sent.
        found: most items of a search.
    """

    k: int = 100
    history: int = 1000
    found: int = 50


@dataclass(frozen=True)
class Reply:
    """A list, what was decided about it, and the scores of its items, if they were asked for."""

    items: list[ItemId]
    treatment: Treatment
    scores: list[float] | None = None


@dataclass(frozen=True)
class Found:
    """One item of a search."""

    id: ItemId
    title: str


async def admitted(engine: Engine, name: str, key: str) -> Treatment:
    """What holds for a request of an account; who is slowed has waited.

    Raises:
        Blocked: a decision refuses the request, which counts all the same.
    """
    treatment = engine.treatment(name, key)
    decision, action = treatment.enforced, treatment.action
    if decision is not None and action in ("block", "challenge"):
        engine.note(Event(name, key, engine.clock()))
        raise Blocked(decision, max(0.0, decision.until - engine.clock()))
    if decision is not None and action == "slow":
        await asyncio.sleep(float(decision.parameters["delay"]))
    return treatment


@dataclass
class Answering:
    """Answers requests of accounts with a target.

    Attributes:
        engine: decisions and evidence.
        target: who ranks.
        limits: what a request may ask for.
        bound: the service keeps the histories; none can be sent.
        batcher: asks the target.
        ready: a first query was answered.
    """

    engine: Engine
    target: Target
    limits: Limits = field(default_factory=Limits)
    bound: bool = False
    ready: bool = False

    def __post_init__(self) -> None:
        catalog = self.target.catalog
        self.batcher = self._batcher(self.target)
        self._marked: dict[float, Batcher] = {}
        self._index = {item: row for row, item in enumerate(catalog.table["id"].to_list(), 1)}
        self._elsewhere = self.engine.names.elsewhere(len(catalog))
        self.has_scores = isinstance(self.target, LocalTarget) and not self.target.guards
        """Whether scores can be had: not of foreign targets, and never behind guards."""
        self._titles = [title.lower() for title in catalog.titles]

    def _batcher(self, target: Target) -> Batcher:
        together = getattr(target, "same_for_all", False)
        return Batcher(target, together=together, told=self.engine.metrics.passes.inc)

    def _asks(self, treatment: Treatment) -> Batcher:
        """Who is asked: the target, for some accounts with a stronger watermark."""
        decision = treatment.enforced
        if decision is None or decision.action != "watermark":
            return self.batcher
        bias = float(decision.parameters["bias"])
        if bias not in self._marked:
            try:
                marked = self._batcher(more_marked(self.target, bias))
            except ConfigError:  # the decision is older than the model that is served now
                marked = self.batcher
            self._marked[bias] = marked
        return self._marked[bias]

    async def probe(self) -> None:
        """Answer one query; afterwards the service is ready.

        Raises:
            TargetError: the target fails.
        """
        await self.batcher.ask("probe", np.ones(1, dtype=np.int64), min(10, len(self._index)))
        self.ready = True

    async def answers(self) -> bool:
        """Whether a first query was answered."""
        return self.ready

    def index(self, items: Sequence[ItemId]) -> IntArray:
        """Catalog indices of external ids.

        Raises:
            DataError: an id is not in the catalog; it is named.
        """
        found = [self._index.get(item, 0) for item in items]
        if 0 in found:
            raise DataError(f"there is no item {items[found.index(0)]!r}")
        return np.array(found, dtype=np.int64)

    async def recommend(
        self,
        account: str,
        history: Sequence[ItemId],
        k: int,
        *,
        key: str = "",
        scores: bool = False,
    ) -> Reply:
        """The list for a history that the client sends, with scores if they are wanted.

        Raises:
            Blocked: a decision refuses the request.
            DataError: an item that there is not.
            Busy: too many requests wait.
            TargetError: the target failed.
        """
        name = self.engine.names.account(account)
        return await self._answer(name, self.index(history), k, key, scores)

    async def look(self, account: str, k: int, *, key: str = "", scores: bool = False) -> Reply:
        """The list for the history that is kept of an account; raises as ``recommend``."""
        name = self.engine.names.account(account)
        return await self._answer(name, await self._kept(name), k, key, scores)

    async def act(self, account: str, item: ItemId) -> float:
        """Add an event to an account; returns how many seconds later than now it counts.

        Raises:
            DataError: there is no such item.
        """
        name = self.engine.names.account(account)
        index = int(self.index([item])[0])
        if self.engine.histories.here(name):
            return self.engine.histories.act(name, index)
        return await asyncio.to_thread(self.engine.histories.act, name, index)

    async def _kept(self, name: str) -> IntArray:
        if self.engine.histories.here(name):
            return self.engine.histories.history(name)
        return await asyncio.to_thread(self.engine.histories.history, name)

    async def _answer(self, name: str, history: IntArray, k: int, key: str, scores: bool) -> Reply:
        treatment = await admitted(self.engine, name, key)
        decision, action = treatment.enforced, treatment.action
        k = min(k, len(self._index))
        if action == "decoy":
            served, found = await self._decoys(name, history, k, scores)
        else:
            asks = self._asks(treatment)
            served, found = await self._asked(name, history, k, scores, asks)
        length = k
        if decision is not None and action == "shorten":
            length = int(decision.parameters["length"])
        kept = np.flatnonzero(served > 0)[:length]
        served = served[kept]
        self.engine.note(Event(name, key, self.engine.clock(), history, served))
        shown = found[kept].tolist() if scores else None
        return Reply(self.target.catalog.external(served), treatment, shown)

    async def _asked(
        self, name: str, history: IntArray, k: int, scores: bool, asks: Batcher
    ) -> tuple[IntArray, FloatArray]:
        if scores:
            return await asks.ask_scored(name, history, k)
        return await asks.ask(name, history, k), NO_SCORES

    async def _decoys(
        self, name: str, history: IntArray, k: int, scores: bool
    ) -> tuple[IntArray, FloatArray]:
        """The list of another history, the same one each time that this one is asked.

        Each item is replaced by another that follows from the secret. So decoys look like lists,
        agree with each other, and teach a copy the wrong thing.
        """
        known = np.unique(history)
        wanted = min(k + len(known), len(self._index))
        items, found = await self._asked(
            name, self._elsewhere[history], wanted, scores, self.batcher
        )
        kept = np.flatnonzero((items > 0) & ~np.isin(items, known))[:k]
        return items[kept], found[kept] if scores else found

    def search(self, words: str) -> list[Found]:
        """Items whose title holds all words, in the order of the catalog."""
        wanted = words.lower().split()
        catalog = self.target.catalog
        rows = [
            row
            for row, title in enumerate(self._titles, 1)
            if all(word in title for word in wanted)
        ][: self.limits.found]
        ids = catalog.external(np.array(rows, dtype=np.int64))
        return [Found(id, catalog.title(row)) for id, row in zip(ids, rows, strict=True)]

    def close(self) -> None:
        """Let the target go."""
        for batcher in {self.batcher, *self._marked.values()}:
            batcher.close()
