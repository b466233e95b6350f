"""What the ways to evade share: where the encoder stands, and what a success is in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsec.cli.shared.output import note
from recsec.cli.visual.opening import open_encoder
from recsec.errors import ConfigError

if TYPE_CHECKING:
    from recsec.attacks.evasion import EvasionAttack
    from recsec.models import Encoder

__all__ = ["NATIVE", "judged", "open_surrogates", "warn_of_masking"]

NATIVE = 224
"""Side of a photo as shops store it; resized inside the gradient."""


def warn_of_masking(dead: int, steps: int) -> None:
    """Say so where gradients are missing: an attack that follows them proves nothing then."""
    if dead > steps / 100:
        note(
            f"warning: {dead:,} of {steps:,} gradients were zero or not finite: the encoder masks "
            "them, and these numbers say little. Try --attack square, which asks for scores only"
        )


def open_surrogates(tool: EvasionAttack, encoder: Encoder) -> Any:
    """The ensemble that a transfer attack searches on.

    Raises:
        ConfigError: none is named, or one sees photos of another size.
        CheckpointError: a folder is no encoder.
    """
    from recsec.attacks.evasion import Ensemble

    members = [open_encoder(folder) for folder in tool.config.surrogates]
    if not members:
        raise ConfigError(
            "a transfer attack needs surrogates",
            hint="--set 'surrogates=[\"DIR\"]', folders made by recsec train encoder",
        )
    return Ensemble([one.to(encoder.device) for one in members]).eval()


def judged(plan: dict[str, Any], catalog: int) -> str:
    """How ``catalog`` photos were ranked and a success confirmed, in words."""
    place = "place of the target in the answer to the photo" if plan["goal"] == "query" else "rank"
    seen = "" if plan["ingest"] == "png" else f", recompressed by the shop ({plan['ingest']})"
    return (
        f"catalog of {catalog:,} photos, target and the attacker's unchanged photo "
        f"excluded, of equal cosines the attacker's ranked last; 8-bit PNG decoded{seen} and "
        f"embedded again in float32, exact {place}; pixels: {plan['pixels']}"
    )
