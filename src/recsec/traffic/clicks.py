"""The click law: which item of the list just served an honest user takes.

``recsec.traffic.people`` has laws that were measured on logs with lists. Others are assumptions:
whoever reports a number that depends on one names the law, varies it, and tests under another law
than the one that was fitted.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from recsec.types import FloatArray, IntArray

__all__ = ["ACCEPTANCES", "BIASES", "ClickLaw"]

ACCEPTANCES = (0.0, 0.25, 0.5, 0.75)
"""The values of ``acceptance`` under which results are reported."""

BIASES = (0.5, 1.0, 1.5)
"""The values of ``bias`` under which results are reported."""


class ClickLaw(BaseModel):
    """Take from the list with probability c: rank 1 with P(1), rank r below it by r ** -eta.

    Without P(1), rank 1 has the weight 1 among the others. Real people take the first place more
    often than any power law says: on lists of 10, a power law alone leaves 5.7 % total variation,
    one with P(1) free 0.6 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    acceptance: float = Field(
        default=0.25, ge=0, le=1, description="c: share of items taken from the list just served"
    )
    bias: float = Field(default=1.0, ge=0, description="eta: rank r is taken with weight r ** -eta")
    first: float | None = Field(
        default=None, gt=0, lt=1, description="P(1): rank 1's share of what is taken from lists"
    )
    restart: float = Field(
        default=0.02, ge=0, lt=1, description="share of queries that begin a new history"
    )

    @property
    def label(self) -> str:
        """How tables call it; eta has no meaning where nothing is taken from lists."""
        if self.acceptance == 0:
            return "c=0"
        first = "" if self.first is None else f"P(1)={self.first:.3g} "
        return f"c={self.acceptance:.3g} {first}eta={self.bias:.3g}"

    def probabilities(self, k: int) -> FloatArray:
        """``(k,)`` chance of each rank, first rank first, given that the list is used.

        >>> ClickLaw(bias=1.0).probabilities(2)
        array([0.66666667, 0.33333333])
        """
        weights = np.arange(1, k + 1, dtype=np.float64) ** -self.bias
        if self.first is not None and k > 1:
            weights[0] = weights[1:].sum() * self.first / (1 - self.first)
        shares: FloatArray = weights / weights.sum()
        return shares

    def draw(self, lists: IntArray, rng: np.random.Generator) -> IntArray:
        """The item ``(B,)`` taken from each list ``(B, K)``, 0 where the drawn place is empty."""
        heights = np.cumsum(self.probabilities(lists.shape[1]))
        place = np.searchsorted(heights[:-1], rng.random(len(lists)), side="right")
        taken: IntArray = lists[np.arange(len(lists)), place]
        return taken
