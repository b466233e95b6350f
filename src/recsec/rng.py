"""Named random streams: one seed, one generator per purpose, no global state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["Streams"]


@dataclass(frozen=True)
class Streams:
    """A tree of independent random streams that all follow from one seed.

    Adding a stream never changes the numbers of another, so results stay comparable across
    versions that draw more or fewer numbers elsewhere.

    >>> a, b = Streams(7), Streams(7)
    >>> bool(a.numpy("init").integers(100) == b.numpy("init").integers(100))
    True
    """

    seed: int
    path: tuple[str, ...] = ()

    def child(self, name: str | int) -> Streams:
        """The streams below ``name``."""
        return Streams(self.seed, (*self.path, str(name)))

    def key(self, name: str | int) -> int:
        """A 63-bit seed for the stream ``name``, for libraries that want an integer."""
        text = "/".join((str(self.seed), *self.path, str(name)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def numpy(self, name: str | int) -> np.random.Generator:
        """A fresh numpy generator at the start of the stream ``name``."""
        return np.random.Generator(np.random.PCG64(self.key(name)))

    def torch(self, name: str | int, device: str | torch.device = "cpu") -> torch.Generator:
        """A fresh torch generator at the start of the stream ``name``."""
        return torch.Generator(device=device).manual_seed(self.key(name))
