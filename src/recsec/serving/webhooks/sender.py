"""Send decisions to webhooks: in a thread of its own, so that nobody waits for them."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx

from recsec.errors import ConfigError
from recsec.serving.state import Decision
from recsec.serving.webhooks.settings import Webhook
from recsec.serving.webhooks.signature import signature
from recsec.targets.http.addresses import fits_header

__all__ = ["Sender", "Undelivered", "deliver"]

ATTEMPTS: Final = 5
BACKOFF: Final = 2.0
"""Seconds before the second attempt; then doubled."""
TIMEOUT: Final = 10.0
WAITING: Final = 1000
"""Messages that may wait; of more, the newest are counted and dropped."""


class Undelivered(Exception):  # noqa: N818 - a state
    """A webhook did not take a message."""


def deliver(
    hook: Webhook,
    decision: Decision,
    *,
    client: httpx.Client,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.time,
) -> int:
    """One attempt. The id of the decision is sent along: the same message may come twice.

    Returns:
        The status of the answer, one of 2xx.

    Raises:
        ConfigError: the variable of the secret is not set.
        Undelivered: no answer, or another status.
    """
    body = json.dumps(hook.filled(decision)).encode()
    headers = {"Content-Type": "application/json"}
    if fits_header(decision.id):
        headers["X-Recsec-Decision"] = decision.id
    if hook.secret_env is not None:
        secret = environ.get(hook.secret_env, "")
        if not secret:
            raise ConfigError(
                f"the environment variable {hook.secret_env} is not set; {hook.name} needs it"
            )
        headers["X-Recsec-Signature"] = signature(secret, int(clock()), body)
    try:
        answer = client.post(hook.url, content=body, headers=headers, timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise Undelivered(f"{hook.name}: {type(error).__name__}") from None
    if not answer.is_success:
        raise Undelivered(f"{hook.name}: status {answer.status_code}")
    return answer.status_code


class Sender:
    """Tells webhooks about decisions, each up to five times.

    What is still not delivered then is logged, and ``recsec monitor resend`` sends it again.

    Args:
        hooks: of the policy.
        told: is called with what became of a message: ``delivered``, ``failed`` or ``dropped``, and
            words about it.
        wait: waits some seconds; true if the service ends. For tests.

    Raises:
        ConfigError: the variable of a secret is not set.
    """

    def __init__(
        self,
        hooks: Sequence[Webhook],
        told: Callable[[str, str], None],
        *,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        for hook in hooks:
            if hook.secret_env is not None and not os.environ.get(hook.secret_env):
                raise ConfigError(
                    f"the environment variable {hook.secret_env} is not set; {hook.name} needs it"
                )
        self._hooks = hooks
        self._told = told
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._waiting: queue.Queue[tuple[Webhook, Decision] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, decision: Decision) -> None:
        """Hand a decision over; returns at once."""
        for hook in self._hooks:
            if not hook.wants(decision):
                continue
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="recsec-webhooks", daemon=True
                )
                self._thread.start()
            try:
                self._waiting.put_nowait((hook, decision))
            except queue.Full:
                self._told("dropped", f"{hook.name}: {decision.id}")

    def close(self) -> None:
        """Try once more what waits, without pauses, and stop."""
        self._ended.set()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        with httpx.Client(follow_redirects=False) as client:
            while (message := self._waiting.get()) is not None:
                self._send(*message, client)

    def _send(self, hook: Webhook, decision: Decision, client: Any) -> None:
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt and self._wait(BACKOFF * 2 ** (attempt - 1)):
                break
            try:
                deliver(hook, decision, client=client)
            except Undelivered as error:
                reason = str(error)
                continue
            self._told("delivered", f"{hook.name}: {decision.id}")
            return
        self._told("failed", f"{reason} ({decision.id})")
