"""How a thief who doubts his lists spends his budget."""

from __future__ import annotations

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.registry import registry

__all__ = ["doubt", "opening_calls", "session_lengths", "switches"]

OPENING = 6250
"""Calls of sessions too short to be judged, before the first copy; half of a smaller budget."""

SHORT = 7
"""Items of these sessions."""

DOUBT = 0.05
"""Share of random lists believed by who always doubts."""


def doubt(config: ExtractionConfig) -> float:
    """Share of random lists that the thief believes; 0 where he believes all lists."""
    always = getattr(registry("policies").get(config.policy), "doubts", False)
    return config.adaptive.doubt or (DOUBT if always else 0.0)


def opening_calls(config: ExtractionConfig, calls: int) -> int:
    """Calls in short sessions before the first copy is trained; 0 for who trains none.

    Attacks with the same opening ask the same, the smaller budget first.
    """
    return max(1, min(OPENING, calls // 2)) if doubt(config) else 0


def session_lengths(config: ExtractionConfig) -> tuple[int, int]:
    """Items to which sessions grow before and after the first copy is trained."""
    kind = registry("policies").get(config.policy)
    settings = kind.config_class.model_validate(config.policy_settings)
    longest = min(config.length, getattr(settings, "length", config.length))
    return min(SHORT, longest), longest


def switches(config: ExtractionConfig) -> tuple[str, ...]:
    """What the thief does about defenses: his switches, and the doubt that a policy brings."""
    words = config.adaptive.words()
    return words if config.adaptive.doubt == doubt(config) else (*words, f"doubt={doubt(config)}")
