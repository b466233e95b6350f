"""Names for the few types that cross layers.

Histories travel as ``int64 (B, L)`` arrays of catalog indices 1..N, oldest first, padded with 0
on the right. Lists travel as ``int64 (B, K)``, best first. Ids of the outside world appear only at
the border (files, the command line, a target's wire).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Answerer", "FloatArray", "IntArray", "ItemId", "Progress"]

ItemId: TypeAlias = int | str
IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]

Answerer: TypeAlias = Callable[[IntArray, int], IntArray]
"""``answer(histories (B, L), k) -> lists (B, k)``, catalog indices, best first. A recommender's
``top_k`` and a target seen by its owner both fit."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""``progress(what, done, total)``: libraries report, only the command line shows. ``what`` is the
name of the work, and may carry what changes on the way after `` | ``: ``training | loss 4.31``."""
