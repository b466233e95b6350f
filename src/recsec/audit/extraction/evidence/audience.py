"""Whose histories leak in an audit, and on whom it is measured."""

from __future__ import annotations

from recsec.attacks.extraction import leaked_users
from recsec.audit.extraction.evidence.answers import drawn_users
from recsec.data import Split
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = ["audience", "leak_of"]


def leak_of(split: Split, share: float, seed: int) -> IntArray:
    """Numbers of the users whose histories leak: the same for all attacks of an audit.

    A smaller leak is part of a larger one.
    """
    return leaked_users(split, share, Streams(seed).child("audit"))


def audience(split: Split, *, users: int | None, seed: int, leak: float) -> IntArray:
    """Numbers of the users on whom fidelity is measured; those of the largest leak are left out.

    Args:
        split: the data.
        users: how many at most; None for all.
        seed: of the evaluation.
        leak: the largest share that leaks to any attack.
    """
    rng = Streams(seed).numpy("users")
    return drawn_users(split, users, rng, without=leak_of(split, leak, seed))
