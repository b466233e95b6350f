"""Requests that wait together are asked together, in bounded number and time."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from service_world import World

from recsec.serving.batching import Batcher, Busy
from recsec.targets import LocalTarget
from recsec.types import IntArray


class Gated:
    """A target that waits until it is let go; counts the rows of each pass."""

    chunk = 16

    def __init__(self, world: World) -> None:
        self.target, self.catalog = LocalTarget(world.model), world.model.catalog
        self.gate, self.rows = threading.Event(), list[int]()

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        assert self.gate.wait(20)
        self.rows.append(len(histories))
        return self.target.query(account, histories, k)


def test_what_waits_goes_together_and_gets_its_own_list(world: World) -> None:
    target = Gated(world)
    rng = np.random.default_rng(0)
    histories = [rng.integers(1, 131, int(length)) for length in rng.integers(0, 9, 40)]

    async def ask() -> list[IntArray]:
        batcher = Batcher(target)
        asked = [
            asyncio.create_task(batcher.ask(f"a{number}", history, 5 + (number == 39)))
            for number, history in enumerate(histories)
        ]
        await asyncio.sleep(0)
        target.gate.set()
        found = await asyncio.gather(*asked)
        batcher.close()
        return list(found)

    found = asyncio.run(ask())
    assert sorted(target.rows) == [1, 7, 16, 16], "chunks of 16, and one of another length"
    alone = LocalTarget(world.model)
    for number, (history, answer) in enumerate(zip(histories, found, strict=True)):
        right = alone.query("x", history[None] if len(history) else np.zeros((1, 1), int), 6)
        assert answer.tolist() == right[0, : 5 + (number == 39)].tolist()


def test_a_target_that_looks_at_accounts_gets_them_apart(world: World) -> None:
    target, one = Gated(world), np.array([3])

    async def ask() -> None:
        batcher = Batcher(target, together=False)
        asked = [asyncio.create_task(batcher.ask(who, one, 5)) for who in "aabab"]
        await asyncio.sleep(0)
        target.gate.set()
        await asyncio.gather(*asked)
        batcher.close()

    asyncio.run(ask())
    assert sorted(target.rows) == [2, 3]


def test_too_many_and_too_late_are_refused(world: World) -> None:
    target, one = Gated(world), np.array([3])

    async def ask() -> None:
        batcher = Batcher(target, waiting=2, deadline=0.0)
        first = asyncio.create_task(batcher.ask("a", one, 5))
        while batcher._queue or not first.done():  # the first is late before it is asked
            await asyncio.sleep(0.001)
        with pytest.raises(Busy):
            await first
        batcher._deadline = 5.0
        asked = [asyncio.create_task(batcher.ask("a", one, 5)) for _ in range(2)]
        await asyncio.sleep(0)
        batcher._most = len(batcher._queue)
        with pytest.raises(Busy):
            await batcher.ask("a", one, 5)
        target.gate.set()
        await asyncio.gather(*asked)
        batcher.close()

    asyncio.run(ask())
