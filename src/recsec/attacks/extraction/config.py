"""Settings of an extraction attack."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from recsec.attacks.extraction.adaptive import Adaptive

__all__ = ["ExtractionConfig", "Loss"]

Loss: TypeAlias = Literal["cross-entropy", "listmle", "hinge"]
"""On the lists that the surrogate learns; see ``copying.distill``."""


class ExtractionConfig(BaseModel):
    """What the thief does, apart from budget and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: str = Field("mixed", description="which queries; see recsec list policies")
    policy_settings: dict[str, Any] = Field(default_factory=dict)
    length: int = Field(200, gt=0, description="items to which a session grows")
    sessions: int = Field(50, gt=0, description="sessions that grow side by side")
    surrogate: str = Field("sasrec", description="architecture of the copy")
    surrogate_settings: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of the copy; epochs and batch size follow from the calls unless set",
    )
    loss: Loss = Field("cross-entropy", description="loss on the lists")
    leak: float = Field(0.0, ge=0, lt=1, description="share of users whose histories the thief has")
    proxy: str = Field(
        "", description="public data set whose histories he has, its items mapped by title"
    )
    adaptive: Adaptive = Field(
        default_factory=lambda: Adaptive.model_validate({}),
        description="what the thief does about defenses",
    )

    @property
    def informed(self) -> bool:
        """Whether the thief has histories: leaked ones, or those of another data set."""
        return self.leak > 0 or self.proxy != ""
