"""API keys: shown once, kept as salted hashes, checked in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from recsec.errors import ConfigError
from recsec.serving.state.base import Key, Role, Store

__all__ = ["KeyRing", "new_key"]

PREFIX = "rs"
NOBODY = Key(
    id="", name="", role="client", salt=bytes(16), hash=bytes(32), rate=None, k=0, created=0
)
"""Checked where there is no such key, so that this takes as long."""

NOTED = 60.0
"""Seconds between two notes of when a key was used."""


def new_key(
    store: Store,
    name: str,
    *,
    role: Role,
    k: int,
    rate: str | None = None,
    scores: bool = False,
    now: float | None = None,
) -> tuple[str, Key]:
    """Draw a key; returns its text, which is kept nowhere, and what is kept.

    The secret has 256 random bits: nobody guesses it, so a fast hash is enough.

    Raises:
        ConfigError: a rate that is none.
    """
    if rate is not None:
        try:
            parse(rate)
        except ValueError as error:
            raise ConfigError(f"{rate!r} is no rate", hint="as in --rate 100/minute") from error
    id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    key = Key(
        id=id,
        name=name,
        role=role,
        salt=salt,
        hash=_hash(salt, secret),
        rate=rate,
        k=k,
        scores=scores,
        created=time.time() if now is None else now,
    )
    store.add_key(key)
    return f"{PREFIX}_{id}_{secret}", key


def _hash(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()


class KeyRing:
    """The good keys of a store in memory, and how fast each is used.

    Args:
        store: where they are kept.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._used: dict[str, float] = {}
        self._noted = 0.0
        self.reload()

    def __len__(self) -> int:
        """How many keys are good."""
        return len(self._keys)

    def reload(self) -> None:
        """Read the keys anew."""
        self._keys = {key.id: key for key in self._store.known_keys() if key.revoked is None}

    def find(self, text: str) -> Key | None:
        """The key that somebody shows; None if it is not good."""
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        known = self._keys.get(id)
        key = known or NOBODY
        right = hmac.compare_digest(_hash(key.salt, secret), key.hash)
        if not right or known is None or prefix != PREFIX:
            return None
        self._used[id] = self._clock()
        return known

    def within_rate(self, key: Key) -> bool:
        """Count one request of a key; False if it is too fast."""
        return key.rate is None or self._limiter.hit(parse(key.rate), key.id)

    def note(self, *, at_once: bool = False) -> None:
        """Write when keys were used, about once a minute."""
        if self._used and (at_once or self._clock() - self._noted >= NOTED):
            used, self._used = self._used, {}
            self._noted = self._clock()
            self._store.used_keys(used)
