"""One question as the requests that it takes: those before it, its pages, those after it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

import httpx

from recsec.errors import TargetError
from recsec.targets.http.addresses import public_url
from recsec.targets.http.answer import ids_in, value_in
from recsec.targets.http.config import HttpConfig
from recsec.targets.http.messages import Message, Step
from recsec.targets.http.placeholders import ITEM, SECRET
from recsec.targets.http.sender import Sender
from recsec.types import ItemId

__all__ = ["Question"]

RUN: Final = uuid4().hex[:8]
NUMBERS: Final = itertools.count(int(time.time() * 1000) * 1000)
"""Of sessions; later runs begin higher than earlier ones ended."""


class Question:
    """One attempt at one question, in a session that no other attempt has.

    Args:
        config: the requests.
        sender: sends them.
        history: external ids, oldest first.
        k: how many are wanted.
        account: who asks.
        turn: waits until a request may be sent, and raises where none may be.
    """

    def __init__(
        self,
        config: HttpConfig,
        sender: Sender,
        *,
        history: list[ItemId],
        k: int,
        account: str,
        turn: Callable[[], None],
    ) -> None:
        self._config = config
        self._sender = sender
        self._turn = turn
        self._k = k
        number = next(NUMBERS)
        self._values: dict[str, Any] = {
            "history": history,
            "k": k,
            "account": account,
            "session": f"recsec-{RUN}-{number}",
            "session_number": number,
        }
        self._cookies = httpx.Cookies() if config.cookies else None

    def answer(self, *, settle: Callable[[float], object]) -> list[Any]:
        """Tell the history where it is told before, and ask.

        Args:
            settle: waits some seconds.

        Raises:
            TransientError: a request may succeed when all is done again.
            TargetError: one will not, or an answer is not as described.
        """
        for step in self._config.before:
            self.take(step, self._turn)
        if self._config.before and self._config.settle:
            settle(self._config.settle)
        return self._pages()

    def take(self, step: Step, turn: Callable[[], None]) -> None:
        """Send the requests of one step, and keep what it names of the answer."""
        if not step.mentions() <= {*self._values, ITEM, SECRET}:
            return  # after a failure: what was never begun needs no end
        for values in self._rounds(step):
            turn()
            content = self._sender.send(step, values, cookies=self._cookies)
            if not step.keep:
                continue
            document = self._sender.read(step, content)
            for name, path in step.keep.items():
                value = value_in(document, path)
                if value is None:
                    raise self._nothing(step, document, path, f"keep.{name}")
                self._values[name] = value

    def _rounds(self, step: Step) -> Iterator[Mapping[str, Any]]:
        if not step.per_item:
            yield self._values
            return
        for item in self._values["history"]:
            yield {**self._values, ITEM: item}

    def _pages(self) -> list[Any]:
        config, pages = self._config, self._config.pages
        size = self._k if pages is None or pages.size is None else min(pages.size, self._k)
        found: list[Any] = []
        cursor: str | int | None = None
        for number in itertools.count(1 if pages is None else pages.first):
            place = {"k": size, "page": number, "offset": len(found), "cursor": cursor}
            self._turn()
            content = self._sender.send(config, {**self._values, **place}, cookies=self._cookies)
            document = self._sender.read(config, content)
            page = ids_in(document, config.response)
            if page is None:
                raise self._nothing(config, document, config.response, "response")
            if pages is None:
                return page
            found += page
            if pages.next is not None:
                cursor = value_in(document, pages.next) or None
            ended = not page or (pages.size is not None and len(page) < size)
            if ended or len(found) >= self._k or (pages.next is not None and cursor is None):
                return found[: self._k]
        raise AssertionError  # counting has no end

    def _nothing(self, message: Message, document: Any, path: str, setting: str) -> TargetError:
        shown = self._sender.begin(json.dumps(document).encode())
        wanted = "list of ids" if setting == "response" else "value"
        return TargetError(
            f"{public_url(message.url)} answered {shown}, where {path} finds nothing",
            hint=f"set {setting} to the JSONPath of the {wanted}",
        )
