"""The chain of the trail: each line's hash covers the line and the hash before it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable

from recsec.serving.state.base import Entry

__all__ = ["START", "broken", "linked"]

START = "0" * 64


def linked(
    key: bytes, before: str, *, number: int, at: float, actor: str, kind: str, body: str
) -> str:
    """The hash of a line: HMAC-SHA-256, so that only who holds the key can write a chain anew."""
    line = json.dumps([before, number, at, actor, kind, body], ensure_ascii=False)
    return hmac.digest(key, line.encode(), "sha256").hex()


def broken(key: bytes, entries: Iterable[Entry]) -> list[str]:
    """What is wrong with a trail, the first fault only: what follows one proves nothing."""
    before = START
    for place, entry in enumerate(entries, start=1):
        if entry.number != place:
            return [f"line {place} is missing: the next is number {entry.number}"]
        right = linked(
            key,
            before,
            number=entry.number,
            at=entry.at,
            actor=entry.actor,
            kind=entry.kind,
            body=entry.body,
        )
        if not hmac.compare_digest(right, entry.hash):
            return [f"line {entry.number} ({entry.kind}) was changed after it was written"]
        before = entry.hash
    return []
