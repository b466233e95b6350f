"""What the beginning of a log is known by, however long the log has grown since."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from recsec.traffic.log import QueryLog

__all__ = ["Prefix"]


class Prefix:
    """Check sum of the queries of a log from the first on; more may be added at any time.

    It depends on the queries only, not on the portions in which they were added.

    Attributes:
        queries: how many.
    """

    def __init__(self) -> None:
        self.queries = 0
        self._columns = [sha256() for _ in range(7)]

    def add(self, log: QueryLog, end: int) -> None:
        """Take in the queries of ``log`` up to row ``end``."""
        rows = slice(self.queries, end)
        calls, ends = log.calls, log.calls.offsets
        answers = calls.answers[rows].astype(np.int64)
        columns = (
            "".join(f"{len(name)}:{name}" for name in calls.account[rows]).encode(),
            calls.items[ends[rows.start] : ends[end]].astype(np.int64).tobytes(),
            np.diff(ends[rows.start : end + 1]).astype(np.int64).tobytes(),
            calls.parent[rows].astype(np.int64).tobytes(),
            answers[answers > 0].tobytes(),
            (answers > 0).sum(axis=1).astype(np.int64).tobytes(),
            b"" if log.times is None else log.times[rows].tobytes(),
        )
        for told, column in zip(self._columns, columns, strict=True):
            told.update(column)
        self.queries = max(self.queries, end)

    @property
    def digest(self) -> str:
        """The check sum, in hexadecimal."""
        return sha256(b"".join(told.digest() for told in self._columns)).hexdigest()
