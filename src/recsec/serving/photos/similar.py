"""Answers with visual neighbors, and hands what the screens say to the policy."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from recsec.serving.answering import Limits, Reply, admitted
from recsec.serving.batching import Busy
from recsec.serving.engine import Engine
from recsec.serving.evidence import Event
from recsec.serving.ledger import Treatment
from recsec.serving.photos.shop import Shop, Verdict
from recsec.serving.photos.uploads import Held, decoded
from recsec.types import ItemId

__all__ = ["Similar"]

WAITING = 32
"""Requests that wait for the one thread that decodes, embeds and searches."""

T = TypeVar("T")


class Similar:
    """Answers requests of accounts with the nearest photos.

    A request counts for rates as any other does; detectors judge lists after histories only.

    Args:
        engine: decisions and evidence.
        shop: what is searched.
        limits: what a request may ask for.
    """

    def __init__(self, engine: Engine, shop: Shop, limits: Limits) -> None:
        self.engine = engine
        self.shop = shop
        self.limits = limits
        self.held = Held()
        self._elsewhere = engine.names.elsewhere(len(shop.photos))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recsec-photos")
        self._waiting = 0

    async def of_item(
        self, account: str, item: ItemId, k: int, *, key: str = "", scores: bool = False
    ) -> Reply:
        """The neighbors of an item, with cosines if they are wanted.

        Raises:
            Blocked: a decision refuses the request.
            Busy: too many requests wait.
            DataError: there is no such item.
        """
        name = self.engine.names.account(account)
        row = int(self.shop.photos.rows([item])[0])
        treatment = await admitted(self.engine, name, key)

        def nearest() -> tuple[list[int], list[float]]:
            asked = self._else(row) if treatment.action == "decoy" else row
            return self._cut(self.shop.index.vectors[asked], row, k, treatment)

        return self._reply(await self._work(nearest), treatment, name, key, scores)

    async def of_photo(
        self,
        account: str,
        photo: bytes,
        kind: str,
        k: int,
        *,
        listing: str | None = None,
        key: str = "",
        scores: bool = False,
    ) -> Reply:
        """The neighbors of a photo, which is screened first.

        Args:
            account: who uploads it.
            photo: the file.
            kind: its content type.
            k: how many.
            listing: the item whose photo it is to be.
            key: of the request.
            scores: cosines are wanted.

        Raises:
            NoPhoto: it is none, or has too many pixels.
            Blocked: a decision refuses the request, maybe for this very photo.
            Busy: too many requests wait.
            DataError: there is no such listing.
        """
        shop, name = self.shop, self.engine.names.account(account)
        photos = shop.photos
        row = None if listing is None else int(photos.rows([photos.parse_id(listing)])[0])
        treatment = await admitted(self.engine, name, key)

        def looked_at() -> tuple[Any, Verdict]:
            pixels = decoded(photo, kind, shop.encoder.size, photos.rule)
            return shop.looked_at(pixels, row)

        vector, verdict = await self._work(looked_at)
        if await asyncio.to_thread(self._judged, name, verdict, listing, photo):
            treatment = await admitted(self.engine, name, key)

        def nearest() -> tuple[list[int], list[float]]:
            if treatment.action != "decoy":
                return self._cut(vector, row, k, treatment)
            other = self._else(shop.nearest(vector, 1, row)[0][0])
            return self._cut(shop.index.vectors[other], row, k, treatment)

        return self._reply(await self._work(nearest), treatment, name, key, scores)

    def _judged(self, name: str, verdict: Verdict, listing: str | None, photo: bytes) -> bool:
        """Let rules about screens decide; True if one did."""
        made = False
        for rule in self.engine.policy.rules:
            if rule.evidence != "screen" or rule.p_value is None:
                continue
            if not verdict.flagged(rule.p_value):
                continue
            told = {
                "level": rule.p_value,
                "threshold": verdict.limits[rule.p_value],
                "scores": verdict.scores,
                "fitted_on": verdict.fitted_on,
                "listing": listing,
                "sha256": hashlib.sha256(photo).hexdigest(),
            }
            evidence = {"detector": "screen", "screen": told}
            made |= self.engine.decide(rule, name, evidence)
        return made

    def _else(self, row: int) -> int:
        """Another row, always the same one: decoys are its neighbors."""
        return int(self._elsewhere[row + 1]) - 1

    def _cut(
        self, vector: Any, without: int | None, k: int, treatment: Treatment
    ) -> tuple[list[int], list[float]]:
        decision = treatment.enforced
        rows, cosines = self.shop.nearest(vector, k, without)
        if decision is not None and treatment.action == "shorten":
            length = int(decision.parameters["length"])
            return rows[:length], cosines[:length]
        return rows, cosines

    def _reply(
        self,
        found: tuple[list[int], list[float]],
        treatment: Treatment,
        name: str,
        key: str,
        scores: bool,
    ) -> Reply:
        self.engine.note(Event(name, key, self.engine.clock()))
        rows, cosines = found
        return Reply(self.shop.ids(rows), treatment, cosines if scores else None)

    async def _work(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread go; what it does now is finished."""
        self._pool.shutdown(wait=True)
