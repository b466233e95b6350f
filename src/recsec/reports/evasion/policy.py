"""The thresholds of evasion in the gate's policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsec.reports.parts import GatePolicy, Number, Part, Text

__all__ = ["EvasionGate", "EvasionPolicy"]


class EvasionPolicy(Part):
    """The thresholds of evasion; the level at which the gate fails is common to all threats."""

    metric: Text = Field(
        default="success@10", description="Metric of the worst case on which the gate decides."
    )
    statistic: Literal["low", "value", "high"] = Field(
        default="low", description="End of the interval that is compared."
    )
    eps: Number = Field(
        default=0.05,
        description="Budget that counts: the largest of the plan that is not above it decides.",
    )
    model: str | None = Field(
        default=None, description="The model that the verdict is about; null: the first one."
    )
    moderate: Number = Field(default=0.02, description="From here on at least moderate.")
    high: Number = Field(default=0.1, description="From here on high.")


class EvasionGate(GatePolicy):
    """A gate's policy with the thresholds of evasion."""

    evasion: EvasionPolicy = Field(
        default_factory=EvasionPolicy, description="The thresholds of evasion."
    )
