"""Who calls: the key that a request shows, and what it may do."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastapi import Request

from recsec.serving.api.problems import Refused
from recsec.serving.engine import Engine
from recsec.serving.state import Key, Role

__all__ = ["Client", "caller", "listed_length", "scores_allowed"]

Client: TypeAlias = Any
"""``fastapi.Depends`` of a function that gives a ``Key``; it stands as a default typed ``Key``."""

NEEDED = {"WWW-Authenticate": "Bearer"}
OPEN = Key(id="open", name="open", role="gateway", salt=b"", hash=b"", rate=None, k=1000, created=0)
"""Stands for everybody where the service has no keys and listens on loopback only."""


def caller(engine: Engine, request: Request, role: Role, *, open_to_all: bool) -> Key:
    """The key of a request.

    A gateway's key opens what a client's opens too.

    Raises:
        Refused: no key, a wrong or revoked one, one of another role, or one that asks too often.
    """
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if open_to_all and len(engine.keys) == 0:
        return OPEN
    key = engine.keys.find(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise Refused(401, "A good key is needed", "Authorization: Bearer KEY", NEEDED)
    request.state.key = key.id
    if role == "gateway" and key.role != "gateway":
        raise Refused(403, "This key asks for lists only")
    if not engine.keys.within_rate(key):
        raise Refused(
            429, "Too many requests", f"this key may make {key.rate}", {"Retry-After": "1"}
        )
    return key


def listed_length(k: int, most: int, key: Key) -> int:
    """The length of a list, if service and key allow it.

    Raises:
        Refused: it is longer.
    """
    most = min(most, key.k)
    if k > most:
        raise Refused(422, "The list is too long", f"k is at most {most}")
    return k


def scores_allowed(key: Key, *, there: bool = True) -> None:
    """Let a key see scores.

    Args:
        key: whose.
        there: whether there are any.

    Raises:
        Refused: the key may not, or there are none.
    """
    if not key.scores:
        raise Refused(
            403,
            "No scores with this key",
            "it gets lists; one of recsec keys create --scores sees more",
        )
    if not there:
        raise Refused(422, "There are no scores", "the recommender behind gives lists only")
