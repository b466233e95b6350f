"""The secret of a service: names of accounts at rest, wrong items, and the chain of the trail."""

from __future__ import annotations

import hmac
from functools import cached_property
from pathlib import Path

import numpy as np

from recsec.targets.guards.key import derive, read_key, write_key
from recsec.types import IntArray

__all__ = ["FILE", "Names"]

FILE = "secret.key"
"""Of the secret, in a data directory."""

DIGITS = 32


class Names:
    """What follows from the secret of a service.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        key = derive([secret], "account names", 32).tobytes()
        self._accounts = hmac.new(key, digestmod="sha256")
        self.trail = derive([secret], "trail", 32).tobytes()
        """The key of the trail's chain."""
        self.mark = derive([secret], "mark", 8).tobytes().hex()
        """By which services with one secret know each other."""

    @classmethod
    def of(cls, path: Path) -> Names:
        """The secret in a file; drawn when there is none yet.

        Raises:
            ConfigError: others may read it, or it is no key.
        """
        return cls(read_key(path) if path.exists() else write_key(path))

    def account(self, name: str) -> str:
        """The name under which an account is kept, 32 hexadecimal digits."""
        begun = self._accounts.copy()  # hmac.digest lets other threads in, for 5 ms if they work
        begun.update(name.encode())
        return begun.hexdigest()[:DIGITS]

    def known_as(self, text: str) -> str:
        """What somebody types for an account: its name, or the name under which it is kept."""
        kept = len(text) == DIGITS and set(text) <= set("0123456789abcdef")
        return text if kept else self.account(text)

    @cached_property
    def _seed(self) -> int:
        return int.from_bytes(derive([self._secret], "decoys", 8).tobytes(), "big")

    def elsewhere(self, items: int) -> IntArray:
        """``(N + 1,)`` another item in place of each one, all in one cycle; 0 stays 0."""
        order = 1 + np.random.default_rng(self._seed).permutation(items)
        others = np.zeros(items + 1, dtype=np.int64)
        others[order] = np.roll(order, 1)
        return others
