"""What an attack becomes at a source that shows less, and what the attacker knows."""

from __future__ import annotations

from collections.abc import Collection

from recsec.attacks.evasion.base import EvasionAttack
from recsec.attacks.evasion.methods.auto import Auto
from recsec.attacks.evasion.methods.presets import open_attack
from recsec.attacks.evasion.methods.square import Square
from recsec.sources import Capability

__all__ = ["fitting_attack", "knowledge"]

ASKED = 100
"""Lists that ``auto`` asks for per pair: they cost uploads."""


def fitting_attack(tool: EvasionAttack, gives: Collection[Capability]) -> EvasionAttack:
    """The attack, or for ``auto`` and ``square`` the one that follows what a source gives.

    Args:
        tool: the attack that was asked for.
        gives: what the source can do.

    Returns:
        ``tool`` itself where nothing else is called for; it may still need more than there is.
    """
    if "gradients" in gives:
        return tool
    if "embeddings" in gives:
        return open_attack("square") if isinstance(tool, Auto) else tool
    if "scores" in gives:
        return open_attack("square", {"queries": ASKED}) if isinstance(tool, Auto) else tool
    if isinstance(tool, Square):
        return open_attack("square", tool.config.model_dump() | {"oracle": "ids"})
    if isinstance(tool, Auto):
        return open_attack("square", {"oracle": "ids", "queries": ASKED})
    return tool


def knowledge(tool: EvasionAttack) -> str:
    """What the attacker has to know, in words."""
    if tool.name == "transfer":
        return "the attacker knows nothing of the encoder, and searches on " + ", ".join(
            getattr(tool.config, "surrogates", ())
        )
    return {
        "gradients": "the attacker has the encoder itself, and its gradients",
        "scores": "the attacker sees how near a photo is to the target, and no gradients",
        "ids": "the attacker sees lists of ids only",
    }[tool.access]
