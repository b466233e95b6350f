"""The thresholds of extraction in the gate's policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsec.reports.parts import Count, GatePolicy, Number, Text

__all__ = ["ExtractionGate"]


class ExtractionGate(GatePolicy):
    """The thresholds of extraction: at the top of the policy, where they stood first."""

    metric: Text = Field(default="lift", description="Metric on which the gate decides.")
    statistic: Literal["low", "value", "high"] = Field(
        default="low", description="End of the interval that is compared."
    )
    moderate: Number = Field(description="From here on the level is at least moderate.")
    high: Number = Field(description="From here on the level is high.")
    max_calls: Count | None = Field(
        default=None, description="Rows with more calls do not count; null: all rows count."
    )
