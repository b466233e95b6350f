"""Who is logged in: passwords, sessions, the mark against forged requests, limits of guessing."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from threading import BoundedSemaphore

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from recsec.serving.engine import Engine
from recsec.serving.state import GRADES, Grade, Session, known_operator, session_id

__all__ = ["COOKIE", "Sessions", "TooOften", "Who"]

COOKIE = "recsec_dashboard"
LASTS, IDLE, NOTED = 12 * 3600.0, 2 * 3600.0, 60.0
"""Seconds that a login lasts at most, and unused; and between two notes of its use."""

BY_BOTH, BY_PLACE, BY_NAME = map(parse, ("5/15 minutes", "30/15 minutes", "1000/15 minutes"))
"""Attempts with a name from a network, from a network, and with a name from anywhere.

So nobody locks a name for others, unless from 200 networks at once; a login that succeeds frees it.
"""

NEAR = 64
"""Bits of an address of IPv6 that are one network: whoever has one address has all of them."""

LONGEST = 100
"""Characters of a name that limits tell apart."""

AT_ONCE = 2
"""Passwords that are checked at a time: each takes 64 MiB."""


@dataclass(frozen=True)
class Who:
    """Somebody who is logged in.

    Attributes:
        name: of the operator.
        grade: what the operator may do.
        token: of the session.
    """

    name: str
    grade: Grade
    token: str

    def may(self, grade: Grade) -> bool:
        """Whether this is enough for what needs ``grade``."""
        return GRADES.index(self.grade) >= GRADES.index(grade)

    @property
    def mark(self) -> str:
        """What each form of this session carries, and no other site can know."""
        return hmac.digest(self.token.encode(), b"forms", "sha256").hex()

    @property
    def actor(self) -> str:
        """How the trail names the operator."""
        return f"operator {self.name}"


class TooOften(Exception):  # noqa: N818 - a state
    """Too many attempts; ``wait`` in seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class Sessions:
    """Logins of one service.

    Args:
        engine: its store keeps operators and sessions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._checking = BoundedSemaphore(AT_ONCE)

    def anybody(self) -> bool:
        """Whether there is an operator at all."""
        return bool(self._engine.store.operators())

    def login(self, name: str, password: str, place: str) -> str | None:
        """The token of a new session; None if name and password do not fit.

        Raises:
            TooOften: too many attempts, or too many at a time.
        """
        place, known = _network(place), name[:LONGEST]
        limits = ((BY_PLACE, (place,)), (BY_BOTH, (place, known)), (BY_NAME, ("", known)))
        for limit, keys in limits:
            if not self._limiter.hit(limit, "login", *keys):
                raise TooOften(self._wait(limit, keys))
        if not self._checking.acquire(timeout=2.0):
            raise TooOften(2.0)
        try:
            found = known_operator(self._engine.store, name, password)
        finally:
            self._checking.release()
        if found is None:
            self._engine.log("login refused")
            return None
        self._limiter.clear(BY_BOTH, "login", place, known)
        token, now = secrets.token_urlsafe(32), self._engine.clock()
        self._engine.store.open_session(
            Session(id=session_id(token), operator=found.name, begun=now, used=now)
        )
        return token

    def _wait(self, limit: RateLimitItem, keys: tuple[str, ...]) -> float:
        ends = self._limiter.get_window_stats(limit, "login", *keys).reset_time
        return max(1.0, ends - time.time())

    def who(self, token: str | None, *, noted: bool = True) -> Who | None:
        """Whose session a token is; None if it is nobody's, or over.

        Args:
            token: what the browser has.
            noted: this is a use of the session. A page that is only left open uses none.
        """
        if not token:
            return None
        now, store = self._engine.clock(), self._engine.store
        session = store.session(session_id(token))
        if session is None or now - session.begun > LASTS or now - session.used > IDLE:
            return None
        found = next((one for one in store.operators() if one.name == session.operator), None)
        if found is None:
            return None
        if noted and now - session.used > NOTED:
            store.use_session(session.id, at=now)
        return Who(found.name, found.grade, token)

    def logout(self, token: str) -> None:
        """End a session."""
        self._engine.store.close_session(session_id(token))


def _network(place: str) -> str:
    """An address of IPv4, or the network of one of IPv6."""
    try:
        found = ip_address(place)
    except ValueError:
        return place
    if isinstance(found, IPv4Address):
        return place
    return str(found.ipv4_mapped or ip_network((found.packed, NEAR), strict=False))
