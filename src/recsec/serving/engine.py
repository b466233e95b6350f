"""The engine that all ways in share: request, account, decision, answer, evidence.

A request is treated by the decisions that hold when it comes. What it adds to the evidence is
looked at afterwards, by a thread of its own: nobody waits for a detector, and a detector that
fails or falls behind costs evidence, never an answer.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from recsec.detection import Fitted
from recsec.errors import ConfigError, RecsecError
from recsec.serving.clock import Steady
from recsec.serving.evidence import Event, Evidence
from recsec.serving.histories import Histories
from recsec.serving.ledger import FREE, Ledger, Treatment
from recsec.serving.live import Live, LocalLive
from recsec.serving.loss import Loss, closed_until
from recsec.serving.metrics import Metrics
from recsec.serving.policy import Policy, Rule
from recsec.serving.source import Source
from recsec.serving.state import Decision, KeyRing, SqlStore, StateLost, Store, is_url
from recsec.serving.state.names import FILE, Names
from recsec.serving.webhooks import Sender
from recsec.targets.bounded import Pace
from recsec.types import IntArray

__all__ = ["KEY_FILE", "Engine", "folder_of", "open_state"]

KEY_FILE = "RECSEC_SECRET"
"""Environment variable that names the file of the secret, where the state is a database server."""

BEHIND = 20_000
"""Requests whose evidence may wait; of more, the newest are counted and dropped."""

TOGETHER = 256
"""Requests that the detectors look at together."""

GATHER = 0.1
"""Seconds for which evidence gathers: a look costs much the same for one request as for fifty."""

TICK = 0.5
"""Seconds between two looks at what other processes changed, and two writes of histories."""

SNAPSHOT = 300.0
"""Seconds between two snapshots of the detectors."""

WATCH = "evidence.safetensors"

if TYPE_CHECKING:
    from recsec.serving.live.histories import SharedHistories

T = TypeVar("T")


def folder_of(state: Path | str) -> Path:
    """Where the secret and the snapshots of a service lie, on this machine.

    That is the data directory. With a database server for a state it is the folder of the file
    that ``RECSEC_SECRET`` names, by default ``recsec-state``.
    """
    if not is_url(state):
        return Path(state)
    return Path(os.environ.get(KEY_FILE, "recsec-state/secret.key")).parent


def open_state(state: Path | str) -> tuple[Names, Store]:
    """The secret and the store of a service, made where there are none.

    Args:
        state: a data directory, or ``postgresql://USER@HOST/NAME``.

    Raises:
        ConfigError: the folder cannot be used, its secret is open to others, or the database
            belongs to another secret.
        RunError: the database is broken or away.
    """
    folder = folder_of(state)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot use {folder} for the state: {(error.strerror or str(error)).lower()}",
            hint="give --state a folder that can be written",
        ) from error
    path = Path(os.environ[KEY_FILE]) if is_url(state) and KEY_FILE in os.environ else folder / FILE
    names = Names.of(path)
    return names, SqlStore(state, names.trail)


class Engine:
    """Everything of a service but the way in.

    Args:
        policy: the rules.
        names: the secret.
        store: what is remembered.
        folder: where snapshots of the detectors go; None: nowhere.
        fitted: the detectors of the policy, if they are open already.
        external: external ids of catalog indices, for the evidence that a decision shows.
        pace: of bound histories.
        log: is called with the name of an event and what there is to say about it.
        clock: seconds since 1970.
        live: ``redis://HOST:PORT/N``, where several processes count together; None: in memory.
        source: the file of the policy; it is read anew when it changes.
        fits: raises ``ConfigError`` for a policy that this way in cannot have.

    Raises:
        ConfigError: a rule does not fit the detectors, an address of Redis is none, or a webhook's
            secret is not set.
        CheckpointError: the detectors are missing or broken.
    """

    def __init__(
        self,
        policy: Policy,
        names: Names,
        store: Store,
        *,
        folder: Path | None = None,
        fitted: Fitted | None = None,
        external: Callable[[IntArray], list[Any]] | None = None,
        pace: Pace | None = None,
        log: Callable[..., None] = lambda event, **told: None,
        clock: Callable[[], float] | None = None,
        live: str | None = None,
        source: Path | None = None,
        fits: Callable[[Policy], None] = lambda policy: None,
    ) -> None:
        if fitted is None and policy.detectors is not None:
            fitted = Fitted.load(policy.detectors)
        clock = clock or Steady()
        self.policy = policy
        self.names = names
        self.store = store
        self.fitted = fitted
        self.metrics = Metrics()
        self.log = log
        self.clock = clock
        self.keys = KeyRing(store, clock=clock)
        self.ledger = Ledger(store, policy, clock=clock)
        self.histories: Histories | SharedHistories = (
            Histories(store, pace, clock=clock) if live is None else self._histories(live, pace)
        )
        if external is None:
            external = fitted.catalog.external if fitted is not None else np.ndarray.tolist
        self.evidence = Evidence(
            policy,
            self.ledger,
            fitted,
            names=external,
            clock=clock,
            told=self._told,
            live=None if live is None else self._shared(live),
        )
        self.hooks = Sender(policy.webhooks, self._became)
        self.draining = False
        self.loss = Loss()
        self._source = None if source is None else Source(source, policy, fits)
        self._snapshot = None if folder is None else folder / WATCH
        self._events: queue.Queue[Event] = queue.Queue(BEHIND)
        self._questions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._worker: threading.Thread | None = None
        self._ticked = self._saved = 0.0
        for backend in ("state", "live") if live is not None else ("state",):
            self.metrics.backend.labels(backend).set(1)

    def _shared(self, address: str) -> Live:
        from recsec.serving.live.client import connect
        from recsec.serving.live.shared import RedisLive

        redis = connect(address)
        return RedisLive(redis, self.names.mark, self.policy, self.fitted, clock=self.clock)

    def _histories(self, address: str, pace: Pace | None) -> SharedHistories:
        from recsec.serving.live.client import connect
        from recsec.serving.live.histories import SharedHistories

        redis = connect(address)
        return SharedHistories(redis, self.names.mark, self.store, pace, clock=self.clock)

    def reload(self) -> None:
        """Read the policy anew, as soon as the evidence at hand has been looked at."""
        if self._source is not None:
            self._source.wanted = True

    def start(self) -> None:
        """Go on from the snapshot, and begin to look at evidence.

        Raises:
            CheckpointError: the snapshot is broken.
            RunError: it belongs to other detectors.
        """
        if self._snapshot is not None:
            self.evidence.restore(self._snapshot)
        self._saved = time.monotonic()
        self._worker = threading.Thread(target=self._work, name="recsec-evidence", daemon=True)
        self._worker.start()
        self.log("ready", policy=self.policy.told())

    def drain(self) -> None:
        """Look at what is left, write everything, and stop."""
        self.draining = True
        self._stop.set()
        self._hurry.set()
        if self._worker is not None:
            self._worker.join()
        self.hooks.close()
        self.store.close()

    def treatment(self, account: str, key: str) -> Treatment:
        """What holds for a request now; counts what shadow would have done."""
        found = self.ledger.treatment(account, key)
        if self.loss.gone(self.policy.grace) and self.policy.on_backend_loss != "last-known":
            closed = self.policy.on_backend_loss == "closed" and self.policy.acts
            found = Treatment(closed_until(self.clock())) if closed else FREE
        if found.shadow is not None:
            self.metrics.overrides.labels(found.shadow.action).inc()
        if found.enforced is not None:
            self.metrics.treated.labels(found.enforced.action).inc()
        return found

    def adopt(self, policy: Policy) -> None:
        """Let other rules act, or fewer: from the next decision on.

        Args:
            policy: the one there is, with other switches.
        """
        self.policy = self.ledger.policy = policy
        self.log("policy", told=policy.told())

    def decide(self, rule: Rule, account: str, evidence: Mapping[str, Any]) -> bool:
        """Decide about an account at once, for evidence that no thread has to look at.

        Returns:
            Whether something new was decided.
        """
        decision = self.ledger.decide(rule, "account", account, evidence)
        if decision is not None:
            self._told(decision)
        return decision is not None

    def note(self, event: Event) -> None:
        """Hand over a request that was answered; returns at once."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.metrics.dropped.inc()

    def ask(self, question: Callable[[Evidence], T]) -> Future[T]:
        """Let the thread of the evidence answer a question about it, between two batches.

        Args:
            question: takes little time, and returns copies: what it saw goes on to change.
        """
        answer: Future[T] = Future()

        def work() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(question(self.evidence))
                except Exception as error:  # it is the asker's
                    answer.set_exception(error)

        self._questions.put(work)
        return answer

    def settle(self) -> None:
        """Wait until all that was noted has been looked at; for tests and replays."""
        self._hurry.set()
        self._events.join()
        self._hurry.clear()

    def _work(self) -> None:
        while not (self._stop.is_set() and self._events.empty()):
            events = self._next()
            while not self._questions.empty():
                self._questions.get()()
            try:
                if events:
                    with self.metrics.detectors.time():
                        self.evidence.observe(events)
                self._tick()
            except Exception as error:  # a detector that fails costs evidence, never an answer
                self.metrics.dropped.inc(len(events))
                self.log("evidence failed", error=f"{type(error).__name__}: {error}")
            finally:
                for _ in events:
                    self._events.task_done()
        self._tick(last=True)

    def _next(self) -> list[Event]:
        try:
            events = [self._events.get(timeout=TICK / 2)]
        except queue.Empty:
            return []
        self._hurry.wait(GATHER)
        while len(events) < TOGETHER:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                break
        return events

    def _tick(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._ticked < TICK:
            return
        self._ticked = now
        self._write(last=last)
        self.evidence.check()
        self._noted("live", whole=not self.evidence.live.lost)
        self._read_policy()
        self.metrics.active.set(len(self.ledger))
        self.metrics.tracked.set(len(self.evidence))
        if self._snapshot is not None and (last or now - self._saved >= SNAPSHOT):
            self._saved = now
            try:
                self.evidence.save(self._snapshot)
            except (OSError, RecsecError) as error:
                self.log("no snapshot", error=str(error))

    def _write(self, *, last: bool) -> None:
        try:
            if self.ledger.reload():
                self.keys.reload()
            self.histories.flush()
            self.keys.note(at_once=last)
            whole = self.ledger.write()
        except StateLost as error:
            whole = False
            self.log("state lost", error=error.message)
        self._noted("state", whole=whole)

    def _noted(self, backend: str, *, whole: bool) -> None:
        """Take note of whether a backend answers."""
        if backend == "live" and isinstance(self.evidence.live, LocalLive):
            return
        if self.loss.note(backend, whole=whole):
            self.log("backend is back" if whole else "backend is lost", backend=backend)
        if not whole:
            self.metrics.fallbacks.labels(backend).inc()
        self.metrics.backend.labels(backend).set(whole)

    def _read_policy(self) -> None:
        """Take over a policy that was changed, if it fits; else go on with the old one."""
        if self._source is None:
            return
        try:
            found = self._source.changed()
            if found is None:
                return
            fitted = self._source.detectors(found, self.policy, self.fitted)
            self.evidence.anew(found, fitted)
        except RecsecError as error:
            self.metrics.reloads.labels("refused").inc()
            self.log("policy refused", error=error.message)
            return
        self.policy, self.fitted = found, fitted
        self.ledger.policy = found
        self.metrics.reloads.labels("taken").inc()
        self.log("policy taken", told=found.told())

    def _told(self, decision: Decision) -> None:
        detector = str(decision.evidence.get("detector", "rate"))
        mode = "enforced" if decision.enforced else "shadow"
        self.metrics.decisions.labels(detector, decision.action, mode).inc()
        self.log(
            "decision",
            id=decision.id,
            scope=decision.scope,
            subject=decision.subject,
            rule=decision.rule,
            action=decision.action,
            mode=mode,
            until=decision.until,
        )
        self.hooks.tell(decision)

    def _became(self, how: str, words: str) -> None:
        self.metrics.webhooks.labels(how).inc()
        self.log("webhook", became=how, what=words)
