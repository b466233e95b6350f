"""What decides the questions of a thief, as opposed to what he makes of the answers."""

from __future__ import annotations

from typing import Any

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.doubting import doubt
from recsec.attacks.extraction.policies.base import Policy
from recsec.registry import registry

__all__ = ["asking", "asks"]

LEARNING = {"set_only": False, "list_flip": False}
"""Switches that change how answers are learned from, not which are asked for."""


def _plain(config: ExtractionConfig) -> bool:
    """Questions come from the policy alone: no surrogate chooses any."""
    return issubclass(registry("policies").get(config.policy), Policy) and doubt(config) == 0


def asking(config: ExtractionConfig) -> ExtractionConfig:
    """An attack without the switches that only change how it learns."""
    if not _plain(config):
        return config
    adaptive = config.adaptive.model_copy(update=LEARNING)
    return config.model_copy(update={"adaptive": adaptive})


def asks(config: ExtractionConfig) -> dict[str, Any]:
    """What decides the questions, as JSON data: equal for attacks that ask the same.

    Of attacks in rounds it is everything, as surrogates choose there; likewise of those that train
    a guide on their leak.
    """
    whole = asking(config).model_dump(mode="json")
    if not config.proxy:  # as it was before there were proxies, so that old runs go on
        del whole["proxy"]
    if not _plain(config) or registry("policies").get(config.policy).needs_leak:
        return whole
    names = ["policy", "policy_settings", "length", "sessions"]
    if config.informed or asking(config).adaptive.words():
        names += ["leak", "adaptive", *(["proxy"] if config.proxy else [])]
    return {name: whole[name] for name in names}
