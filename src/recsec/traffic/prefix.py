"""What the beginning of a log is known by, however long the log has grown since."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from recsec.targets.meter.segments import ranges
from recsec.traffic.parts.part import Part

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

    def add(self, part: Part) -> None:
        """Take in the next queries."""
        calls, rows = part.log.calls, part.rows
        sizes = np.diff(calls.offsets)[rows]
        answers = calls.answers[rows].astype(np.int64)
        columns = (
            "".join(
                f"{len(name)}:{name}" for name in map(calls.account.__getitem__, rows)
            ).encode(),
            calls.items[ranges(calls.offsets[rows], sizes)].astype(np.int64).tobytes(),
            sizes.astype(np.int64).tobytes(),
            part.parents.astype(np.int64).tobytes(),
            answers[answers > 0].tobytes(),
            (answers > 0).sum(axis=1).astype(np.int64).tobytes(),
            b"" if part.log.times is None else part.log.times[rows].tobytes(),
        )
        for told, column in zip(self._columns, columns, strict=True):
            told.update(column)
        self.queries += len(rows)

    @property
    def digest(self) -> str:
        """The check sum, in hexadecimal."""
        return sha256(b"".join(told.digest() for told in self._columns)).hexdigest()
