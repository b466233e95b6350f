"""A recommender behind an HTTP API as a target."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import numpy as np
from jsonpath_ng.jsonpath import Child
from jsonpath_ng.parser import parse

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, RecsecError, TargetError, UsageError
from recsec.targets.base import PartialAnswer
from recsec.targets.http.config import (
    HttpConfig,
    fits_header,
    is_loopback,
    parsed_url,
    public_url,
)
from recsec.targets.http.exchange import Exchange, NoResponse, Response, decoded
from recsec.targets.http.request import render, with_query
from recsec.targets.http.secrets import Secrets
from recsec.targets.wire import external_histories, read_list
from recsec.text import visible
from recsec.types import IntArray, ItemId

__all__ = ["HttpTarget", "retry_after"]

TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST: Final = 600
"""Characters of an error, whatever the server sent."""


class _TransientError(Exception):
    """An attempt that may succeed when it is made again."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def retry_after(text: str) -> float | None:
    """Seconds that a server asks to wait, as a number or as a date; None where it is neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


class HttpTarget:
    """Asks one request per history, several at a time, with retries and a rate limit.

    Transient failures (connection, timeout, 408, 425, 429, 5xx) are tried again with exponential
    backoff and jitter; ``Retry-After`` holds back all requests. Redirects are not followed and
    cookies are not kept. Rows that were answered before a failure travel in ``PartialAnswer``, and
    no error holds a secret.

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
        self.name = public_url(config.url)
        self.requests = 0
        """Requests sent, those that were repeated included."""
        local = is_loopback(config.url)
        if not local and not authorised:
            raise UsageError(
                f"{self.name} is not on this machine; an audit sends it many requests",
                hint="with the permission of its owner, add --i-am-authorised",
            )
        headers, secret = dict(config.headers), ""
        if config.auth_env is not None:
            secret = environ.get(config.auth_env, "")
            if not secret:
                raise ConfigError(
                    f"the environment variable {config.auth_env} is not set; {self.name} needs it"
                )
            headers[config.auth_header] = config.auth_prefix + secret
            if not fits_header(headers[config.auth_header]):
                raise ConfigError(
                    f"the value of {config.auth_env} (of the header {config.auth_header}) holds a "
                    "character that no header may hold",
                    hint="if it came from a file, leave out the line end and all that is not ASCII",
                )
        self._secrets = Secrets([secret, *config.confidential()])
        self._path = parse(config.response)
        self._jitter = np.random.default_rng()  # timing only: no result depends on it
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._clock = clock
        self._lock = threading.Lock()
        self._next_start = float("-inf")
        self._exchange = Exchange(
            self.name,
            headers=headers,
            timeout=config.timeout,
            max_bytes=config.max_bytes,
            connections=config.concurrency,
            trust_env=not local,
            transport=transport,
        )

    @classmethod
    def from_spec(cls, spec: str, catalog: Catalog, *, authorised: bool = False) -> Self:
        """From a URL with the default settings, or from a TOML file; see ``HttpConfig``.

        Raises:
            ConfigError: a setting does not fit.
            UsageError: not on loopback and not authorised.
        """
        if spec.startswith(("http://", "https://")):
            return cls(HttpConfig.from_url(spec), catalog, authorised=authorised)
        return cls(HttpConfig.load(Path(spec).expanduser()), catalog, authorised=authorised)

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
                lists[row] = self._ask(account, rows[row], k)
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
        body = render(self.config.request, history, k, account)
        reason = ""
        for attempt in range(self.config.retries + 1):
            self._wait_for_turn()
            if self._stopped.is_set():
                break
            try:
                answer = self._find(self._attempt(body))
                return self._read(answer, k)
            except RecursionError:  # whoever walks through the answer
                raise TargetError(f"{self.name} answered JSON that is nested too deep") from None
            except _TransientError as problem:
                reason = str(problem)
                if attempt < self.config.retries:
                    self._back_off(attempt, problem.retry_after)
        attempts = f"{self.config.retries + 1} attempts"
        raise TargetError(
            f"{self.name} gave no answer in {attempts}: {reason or 'stopped by another failure'}",
            hint="what was answered is recorded: run the same command again to continue",
        )

    def _read(self, answer: Any, k: int) -> IntArray:
        """A list of ids; an error quotes the answer without secrets, also where it cuts it."""
        try:
            return read_list(answer, catalog=self.catalog, k=k, whose=self.name)
        except TargetError:
            answer = self._secrets.hide_in(answer)
        return read_list(answer, catalog=self.catalog, k=k, whose=self.name)

    def _wait_for_turn(self) -> None:
        """Keep to the rate, and to what a ``Retry-After`` asked for."""
        with self._lock:
            start = max(self._clock(), self._next_start)
            gap = 1 / self.config.rate if self.config.rate else 0.0
            self._next_start = start + gap
            wait = start - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _back_off(self, attempt: int, retry_after: float | None) -> None:
        if retry_after is not None and retry_after > self.config.max_wait:
            raise TargetError(
                f"{self.name} asks to wait {retry_after:.0f} s, more than max_wait "
                f"({self.config.max_wait:.0f} s)",
                hint="what was answered is recorded: run the same command again later",
            )
        with self._lock:
            jitter = float(self._jitter.uniform(0.5, 1.0))
            if retry_after is not None:
                self._next_start = max(self._next_start, self._clock() + retry_after)
        if retry_after is None:
            self._sleep(min(self.config.backoff * 2**attempt * jitter, self.config.max_wait))

    def _attempt(self, body: Any) -> Any:
        """Send one request; returns the parsed JSON of a good response."""
        with self._lock:
            self.requests += 1
        url, sent = httpx.URL(self.config.url), body
        if self.config.method == "GET":
            try:
                url, sent = with_query(self.config.url, body), None
            except httpx.InvalidURL as error:
                raise TargetError(
                    f"the question to {self.name} does not fit into an address: {error}",
                    hint='if the service takes it, ask with method = "POST"',
                ) from None
        try:
            response = self._exchange.send(self.config.method, url, body=sent)
            self._check_status(response)
            content = decoded(response, max_bytes=self.config.max_bytes, whose=self.name)
        except NoResponse as error:
            raise _TransientError(str(error)) from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise TargetError(
                f"{self.name} did not answer JSON but {self._begin(content)}"
            ) from None

    def _check_status(self, response: Response) -> None:
        """Only 2xx is an answer.

        A redirect is none, wherever it leads: the owner of that place did not agree, and the
        secret is not for it.
        """
        status = response.status
        if 200 <= status < 300:
            return
        if status in TRANSIENT:
            raise _TransientError(
                f"HTTP {status}", retry_after=retry_after(response.headers.get("retry-after", ""))
            )
        place = self._redirects_to(response) if 300 <= status < 400 else None
        if place is not None:
            raise TargetError(
                f"{self.name} answered HTTP {status}: it redirects to {place}; "
                "redirects are not followed",
                hint="if that address is right and yours to audit, name it as the url",
            )
        hint = None
        if status in (401, 403):
            hint = "name the environment variable that holds the secret as auth_env"
        raise TargetError(
            f"{self.name} answered HTTP {status}: {self._begin(response.content)}", hint=hint
        )

    def _redirects_to(self, response: Response) -> str | None:
        """The address that a response names, where it is one."""
        if not response.place:
            return None
        try:
            place = parsed_url(str(httpx.URL(self.config.url).join(response.place)))
        except (httpx.InvalidURL, ValueError):
            return None
        return public_url(str(place))

    def _find(self, document: Any) -> Any:
        """What the JSONPath points at: one list, or the ids one by one."""
        values = [match.value for match in self._path.find(document)]
        if len(values) == 1 and isinstance(values[0], list):
            return values[0]
        if values:
            return values
        if self._is_empty_list(document):
            return []
        raise TargetError(
            f"{self.name} answered {self._begin(json.dumps(document).encode())}, "
            f"where {self.config.response} finds nothing",
            hint="set response to the JSONPath of the list of ids",
        )

    def _is_empty_list(self, document: Any) -> bool:
        """Did a path with ``[*]`` find nothing because the list before it is empty?"""
        node = self._path
        while isinstance(node, Child):
            if str(node.right) in ("*", "[*]"):
                before = [match.value for match in node.left.find(document)]
                return bool(before) and all(value == [] for value in before)
            node = node.left
        return False

    def _begin(self, content: bytes) -> str:
        """The beginning of a response, for an error, without secrets, also without half of one."""
        text = self._secrets.hide(content.decode("utf-8", "replace"))
        return repr(text[:200] + ("..." if len(text) > 200 else "")) if text else "nothing"

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
