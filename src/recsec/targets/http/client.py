"""A recommender behind an HTTP API as a target."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, RecsecError, TargetError, UsageError
from recsec.targets.base import PartialAnswer, most_popular
from recsec.targets.http.addresses import fits_header, is_loopback, public_url
from recsec.targets.http.config import HttpConfig
from recsec.targets.http.exchange import Exchange
from recsec.targets.http.patience import Patience, StoppedError
from recsec.targets.http.question import Question
from recsec.targets.http.secrets import Secrets
from recsec.targets.http.sender import Sender
from recsec.targets.wire import Tally, external_histories, read_list
from recsec.text import visible
from recsec.types import IntArray, ItemId

__all__ = ["HttpTarget"]

LONGEST: Final = 600
"""Characters of an error, whatever the server sent."""


class HttpTarget:
    """Asks one question per history, several at a time, with retries and a rate limit.

    A question is one request, or those that ``HttpConfig`` describes around it.

    Transient failures (connection, timeout, 408, 425, 429, 5xx) are tried again, the whole question
    anew, with exponential backoff and jitter; ``Retry-After`` holds back all requests. Redirects
    are not followed, and no cookie outlives a question. Rows that were answered before a failure
    travel in ``PartialAnswer``, and no error holds a secret.

    Args:
        config: how to ask.
        catalog: the items.
        authorised: the owner of the service allowed the audit; needed unless it is on loopback.
        environ: where the secret is looked up; the environment by default.
        sleep: waits some seconds; for tests.
        clock: seconds, monotonic; for tests.
        transport: how bytes travel; for tests.

    Raises:
        UsageError: the host is not loopback and ``authorised`` is False.
        ConfigError: the environment variable of the secret is not set, or no header can hold it.
    """

    def __init__(
        self,
        config: HttpConfig,
        catalog: Catalog,
        *,
        authorised: bool = False,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.chunk = config.concurrency
        self.name = config.name
        away = [message.url for message in config.messages() if not is_loopback(message.url)]
        if away and not authorised:
            raise UsageError(
                f"{public_url(away[0])} is not on this machine; an audit sends it many requests",
                hint="with the permission of its owner, add --i-am-authorised",
            )
        secret = "" if config.auth_env is None else _secret(config, environ, self.name)
        self._secrets = Secrets([secret, *config.confidential()])
        for log in ("httpx", "httpcore.http11"):  # addresses, and headers that repeat them
            self._secrets.keep_from(log, self)
        self.counts: IntArray | None = None
        """How often each item was chosen, if known: a history of no items gets what is popular."""
        self.tally = Tally()
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._patience = Patience(
            config, name=self.name, sleep=self._sleep, clock=clock, stopped=self._stopped
        )
        self._exchange = Exchange(
            self.name,
            headers={},
            timeout=config.timeout,
            max_bytes=config.max_bytes,
            connections=config.concurrency,
            trust_env=bool(away),
            transport=transport,
        )
        self._sender = Sender(config, self._exchange, self._secrets, secret=secret)

    @property
    def words(self) -> str:
        """Which of several recommenders it is; empty where there is one."""
        config = self.config
        several = ", ".join(config.beside)
        return f"{config.recommender} of the recommenders {several}" if several else ""

    @property
    def requests(self) -> int:
        """Requests sent, those that were repeated included."""
        return self._patience.requests

    @classmethod
    def from_spec(cls, spec: str, catalog: Catalog, *, authorised: bool = False) -> Self:
        """From a URL with the default settings, or from a TOML file; see ``HttpConfig``.

        Raises:
            ConfigError: a setting does not fit.
            UsageError: not on loopback and not authorised.
        """
        if spec.startswith(("http://", "https://")):
            return cls(HttpConfig.from_url(spec), catalog, authorised=authorised)
        return cls(HttpConfig.load(spec), catalog, authorised=authorised)

    def __repr__(self) -> str:
        return f"HttpTarget({self.config.method} {self.name})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``. After a failure no further request is started."""
        rows = external_histories(histories, self.catalog)
        lists = np.zeros((len(rows), k), dtype=np.int64)
        answered = np.zeros(len(rows), dtype=bool)
        failures: list[tuple[str, str | None]] = []
        self._stopped.clear()

        def ask(row: int) -> None:
            if self._stopped.is_set():
                return
            try:
                if rows[row] or self.counts is None:
                    lists[row] = self._ask(account, rows[row], k)
                else:
                    lists[row] = most_popular(self.counts, k)
                answered[row] = True
            except Exception as error:  # whatever it sent, the rows that were answered are kept
                failures.append(self._told(error))
                self._stopped.set()

        with ThreadPoolExecutor(self.config.concurrency) as pool:
            try:
                list(pool.map(ask, range(len(rows))))
            except BaseException:
                self._stopped.set()
                raise
        if failures:
            message, hint = failures[0]
            raise PartialAnswer(message, hint=hint, lists=lists, answered=answered)
        return lists

    def _ask(self, account: str, history: list[ItemId], k: int) -> IntArray:
        """One history, attempt after attempt."""
        try:
            return self._read(self._patience.patiently(lambda: self._once(account, history, k)), k)
        except RecursionError:  # whoever walks through the answer
            raise TargetError(f"{self.name} answered JSON that is nested too deep") from None

    def _once(self, account: str, history: list[ItemId], k: int) -> list[Any]:
        """One attempt at a question. What it began is ended, also when it fails."""
        question = Question(
            self.config, self._sender, history=history, k=k, account=account, turn=self._turn
        )
        try:
            answer = question.answer(settle=self._sleep)
        except Exception:
            self._end(question)
            raise
        self._end(question)
        return answer

    def _end(self, question: Question) -> None:
        for step in self.config.after:
            self._patience.patiently(
                partial(question.take, step, self._patience.wait_for_turn), to_the_end=True
            )

    def _read(self, answer: Any, k: int) -> IntArray:
        """A list of ids; an error quotes the answer without secrets, also where it cuts it."""
        try:
            return read_list(answer, catalog=self.catalog, k=k, whose=self.name, tally=self.tally)
        except TargetError:
            answer = self._secrets.hide_in(answer)
        return read_list(answer, catalog=self.catalog, k=k, whose=self.name)

    def _turn(self) -> None:
        """Wait for the next request of a question that is still wanted."""
        self._patience.wait_for_turn()
        if self._stopped.is_set():
            raise StoppedError

    def _told(self, error: Exception) -> tuple[str, str | None]:
        """Message and hint of an error as they may leave: the border for what a server sent."""
        if isinstance(error, RecsecError):
            message, hint = error.message, error.hint
        else:
            place = traceback.extract_tb(error.__traceback__)[-1]
            message = (
                f"recsec cannot read what {self.name} answers ({type(error).__name__}: {error})"
            )
            hint = f"report this as a defect of recsec: {Path(place.filename).name}:{place.lineno}"
        message = visible(self._secrets.hide(message))
        if len(message) > LONGEST:
            message = f"{message[:LONGEST]}..."
        return message, hint


def _secret(config: HttpConfig, environ: Mapping[str, str], whose: str) -> str:
    """The value of ``auth_env``, as a header can hold it."""
    secret = environ.get(config.auth_env or "", "")
    if not secret:
        raise ConfigError(
            f"the environment variable {config.auth_env} is not set; {whose} needs it"
        )
    if not config.secret_travels and not fits_header(config.auth_prefix + secret):
        raise ConfigError(
            f"the value of {config.auth_env} (of the header {config.auth_header}) holds a "
            "character that no header may hold",
            hint="if it came from a file, leave out the line end and all that is not ASCII",
        )
    return secret
