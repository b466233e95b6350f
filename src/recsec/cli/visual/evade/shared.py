"""What the ways to evade share: a warning."""

from __future__ import annotations

from recsec.cli.shared.output import note

__all__ = ["warn_of_masking"]


def warn_of_masking(dead: int, steps: int) -> None:
    """Say so where gradients are missing: an attack that follows them proves nothing then."""
    if dead > steps / 100:
        note(
            f"warning: {dead:,} of {steps:,} gradients were zero or not finite: the encoder masks "
            "them, and these numbers say little. Try --attack square, which asks for scores only"
        )
