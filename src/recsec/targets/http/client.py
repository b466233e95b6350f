"""A recommender behind an HTTP API as a target."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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
from recsec.targets.http.config import HttpConfig, is_loopback, public_url
from recsec.targets.wire import external_histories, read_list
from recsec.types import IntArray, ItemId

__all__ = ["HttpTarget"]

TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _TransientError(Exception):
    """An attempt that may succeed when it is made again."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def _render(template: Any, history: list[ItemId], k: int, account: str) -> Any:
    """Fill in the placeholders of a request."""
    if isinstance(template, dict):
        return {key: _render(value, history, k, account) for key, value in template.items()}
    if isinstance(template, list):
        return [_render(value, history, k, account) for value in template]
    if not isinstance(template, str):
        return template
    whole: dict[str, Any] = {"{history}": history, "{k}": k, "{account}": account}
    if template in whole:
        return whole[template]
    joined = ",".join(str(item) for item in history)
    for name, text in (("{history}", joined), ("{k}", str(k)), ("{account}", account)):
        template = template.replace(name, text)
    return template


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that a server asks to wait, as a number or as a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


class HttpTarget:
    """Asks one request per history, several at a time, with retries and a rate limit.

    Transient failures (connection, timeout, 408, 425, 429, 5xx) are tried again with exponential
    backoff and jitter; ``Retry-After`` holds back all requests. Redirects are not followed. Rows
    that were answered before a failure travel in ``PartialAnswer``.

    Args:
        config: how to ask.
        catalog: the items.
        authorised: the owner of the service allowed the audit; needed unless it is on loopback.
        environ: where the secret is looked up; the environment by default.
        sleep: waits some seconds; for tests.
        clock: seconds, monotonic; for tests.

    Raises:
        UsageError: the host is not loopback and ``authorised`` is False.
        ConfigError: the environment variable of the secret is not set.
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
        headers, self._secrets = dict(config.headers), list(config.headers.values())
        if config.auth_env is not None:
            secret = environ.get(config.auth_env)
            if not secret:
                raise ConfigError(
                    f"the environment variable {config.auth_env} is not set; {self.name} needs it"
                )
            headers[config.auth_header] = config.auth_prefix + secret
            self._secrets += [secret]
        self._path = parse(config.response)
        self._jitter = np.random.default_rng()  # timing only: no result depends on it
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._clock = clock
        self._lock = threading.Lock()
        self._next_start = float("-inf")
        self._client = httpx.Client(
            headers=headers,
            timeout=config.timeout,
            follow_redirects=False,
            trust_env=not local,
            limits=httpx.Limits(max_connections=config.concurrency),
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
        self._client.close()

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``. After a failure no further request is started."""
        rows = external_histories(histories, self.catalog)
        lists = np.zeros((len(rows), k), dtype=np.int64)
        answered = np.zeros(len(rows), dtype=bool)
        failures: list[RecsecError] = []
        self._stopped.clear()

        def ask(row: int) -> None:
            if self._stopped.is_set():
                return
            try:
                lists[row] = self._ask(account, rows[row], k)
                answered[row] = True
            except RecsecError as error:
                failures.append(error)
                self._stopped.set()

        with ThreadPoolExecutor(self.config.concurrency) as pool:
            try:
                list(pool.map(ask, range(len(rows))))
            except BaseException:
                self._stopped.set()
                raise
        if failures:
            first = failures[0]
            raise PartialAnswer(
                first.message, hint=first.hint, lists=lists, answered=answered
            ) from first
        return lists

    def _ask(self, account: str, history: list[ItemId], k: int) -> IntArray:
        """One history, attempt after attempt."""
        body = _render(self.config.request, history, k, account)
        reason = ""
        for attempt in range(self.config.retries + 1):
            self._wait_for_turn()
            if self._stopped.is_set():
                break
            try:
                answer = self._find(self._attempt(body))
                return read_list(answer, catalog=self.catalog, k=k, whose=self.name)
            except _TransientError as problem:
                reason = str(problem)
                if attempt < self.config.retries:
                    self._back_off(attempt, problem.retry_after)
        attempts = f"{self.config.retries + 1} attempts"
        raise TargetError(
            f"{self.name} gave no answer in {attempts}: {reason or 'stopped by another failure'}",
            hint="what was answered is recorded: run the same command again to continue",
        )

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
        if self.config.method == "GET":
            flat = {
                key: ",".join(map(str, value)) if isinstance(value, list) else value
                for key, value in body.items()
            }
            url = httpx.URL(self.config.url).copy_merge_params(flat)
            options: dict[str, Any] = {"url": url}
        else:
            options = {"url": self.config.url, "json": body}
        try:
            with self._client.stream(self.config.method, **options) as response:
                content = b"".join(self._read(response))
        except httpx.TimeoutException as error:
            raise _TransientError(f"no response within {self.config.timeout:g} s") from error
        except httpx.HTTPError as error:
            raise _TransientError(self._clean(f"{type(error).__name__}: {error}")) from error
        self._check_status(response, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise TargetError(
                f"{self.name} did not answer JSON but {self._begin(content)}"
            ) from error

    def _read(self, response: httpx.Response) -> Iterator[bytes]:
        """The body in parts, as long as size and time allow."""
        size, deadline = 0, self._clock() + self.config.timeout
        for part in response.iter_bytes():
            size += len(part)
            if size > self.config.max_bytes:
                raise TargetError(
                    f"{self.name} answered more than {self.config.max_bytes:,} bytes",
                    hint="if such answers are right, raise max_bytes",
                )
            if self._clock() > deadline:
                raise _TransientError(f"the response took longer than {self.config.timeout:g} s")
            yield part

    def _check_status(self, response: httpx.Response, content: bytes) -> None:
        status = response.status_code
        if response.is_success:
            return
        if status in TRANSIENT:
            raise _TransientError(f"HTTP {status}", retry_after=_retry_after(response))
        if response.is_redirect:
            place = public_url(str(response.url.join(response.headers["location"])))
            raise TargetError(
                f"{self.name} redirects to {place}; redirects are not followed",
                hint="if that address is right and yours to audit, name it as the url",
            )
        hint = None
        if status in (401, 403):
            hint = "name the environment variable that holds the secret as auth_env"
        raise TargetError(f"{self.name} answered HTTP {status}: {self._begin(content)}", hint=hint)

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
        """The beginning of a response, for an error, without secrets."""
        text = self._clean(content[:2000].decode("utf-8", "replace"))
        return repr(text[:200] + ("..." if len(content) > 200 else "")) if text else "nothing"

    def _clean(self, text: str) -> str:
        text = text.replace(self.config.url, self.name)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
