"""How a receiver knows that a message is ours."""

from __future__ import annotations

import hmac

__all__ = ["signature"]


def signature(secret: str, at: int, body: bytes) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 of ``SECONDS.BODY``.

    The receiver computes it anew, compares in constant time, and refuses what is minutes old.
    """
    told = hmac.digest(secret.encode(), str(at).encode() + b"." + body, "sha256").hex()
    return f"t={at},v1={told}"
