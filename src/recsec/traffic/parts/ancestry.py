"""What every query of a log extends and adds, on disk: histories are looked up there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsec.targets.meter.segments import ranges
from recsec.types import IntArray

__all__ = ["Ancestry"]

COLUMNS = {"call": np.int64, "parent": np.int64, "end": np.int64, "items": np.int32}


class Ancestry:
    """Columns that grow in files of a folder, one row per query.

    Args:
        folder: an empty one, which holds them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._total = 0
        self._arrays = {name: np.zeros(0, kind) for name, kind in COLUMNS.items()}

    def add(self, call: IntArray, parent: IntArray, items: IntArray, added: IntArray) -> None:
        """The next queries: their numbers, what they extend (row or -1), and what they add.

        Args:
            call: ``(n,)`` ascending, and above those before.
            parent: ``(n,)``.
            items: flat.
            added: ``(n,)`` how many of them each adds.
        """
        ends = self._total + np.cumsum(added)
        self._total += int(added.sum())
        for name, column in (("call", call), ("parent", parent), ("end", ends), ("items", items)):
            path, kind = self._folder / name, COLUMNS[name]
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(column.astype(kind)).tobytes())
            if path.stat().st_size:
                self._arrays[name] = np.memmap(path, dtype=kind, mode="r")

    def find(self, call: IntArray) -> IntArray:
        """Rows of queries by their number ``(n,)``; -1 for one that is not there."""
        known = self._arrays["call"]
        if len(known) == 0:
            return np.full(len(call), -1)
        place = np.minimum(np.searchsorted(known, call), len(known) - 1)
        found: IntArray = np.where(known[place] == call, place, -1)
        return found

    def histories(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Whole histories of queries: flat items, oldest first, and the length of each."""
        parent, end = self._arrays["parent"], self._arrays["end"]
        lengths, alive, at = np.zeros(len(rows), np.int64), np.arange(len(rows)), rows
        levels: list[tuple[IntArray, IntArray, IntArray]] = []
        while len(alive):
            starts = np.where(at > 0, end[at - 1], 0)
            sizes = end[at] - starts
            levels.append((alive, starts, sizes))
            lengths[alive] += sizes
            above = np.asarray(parent[at])
            alive, at = alive[above >= 0], above[above >= 0]
        free: IntArray = np.cumsum(lengths)
        flat: npt.NDArray[np.int64] = np.zeros(int(lengths.sum()), np.int64)
        for alive, starts, sizes in levels:
            free[alive] -= sizes
            flat[ranges(free[alive], sizes)] = self._arrays["items"][ranges(starts, sizes)]
        return flat, lengths
