"""Who calls: the key that a request shows, and what it may do."""

from __future__ import annotations

from fastapi import Request

from recsec.serving.api.problems import Refused
from recsec.serving.engine import Engine
from recsec.serving.state import Key, Role

__all__ = ["caller"]

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
