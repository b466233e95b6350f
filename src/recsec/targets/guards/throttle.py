"""Little for accounts under suspicion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeAlias

import numpy as np
from pydantic import Field
from torch import Tensor

from recsec.errors import ConfigError, TargetError
from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.targets.imports import import_here
from recsec.types import IntArray

__all__ = ["Throttle", "ThrottleConfig", "Verdict"]

Verdict: TypeAlias = Callable[[str, IntArray], bool]
"""``verdict(account, histories (B, L)) -> suspected``, asked once per batch of questions."""


class ThrottleConfig(GuardConfig):
    """Settings of ``Throttle``."""

    verdict: str = Field(
        description="module:function(account, histories) that says whether an account is suspected"
    )
    length: int = Field(1, ge=0, description="most items that a suspected account gets")


class Throttle(Guard):
    """Shorter lists, or none, for accounts that a verdict function suspects.

    It knows no detector: whoever puts it in place brings the verdict. The thief's answer is more
    accounts, so its worth is the number of accounts that a theft then needs.
    """

    name = "throttle"
    config_class = ThrottleConfig

    def __init__(self, verdict: Verdict, *, length: int = 1) -> None:
        self.verdict = verdict
        self.length = length

    @classmethod
    def build(cls, config: ThrottleConfig, surroundings: Surroundings) -> Self:
        """Import the verdict function, the current directory first; see ``Guard.build``."""
        module, _, name = config.verdict.partition(":")
        try:
            found: Any = getattr(import_here(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"throttle: no verdict function {config.verdict!r}: {error}",
                hint="write it as verdict=module:function; the module must be importable",
            ) from error
        if not callable(found):
            raise ConfigError(f"throttle: {config.verdict!r} cannot be called: {found!r}")
        return cls(found, length=config.length)

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        lists = best(scores, k)
        try:
            suspected = self.verdict(account, histories)
        except Exception as error:  # the user's function may fail in any way
            raise TargetError(
                f"the verdict function of throttle failed: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(suspected, bool | np.bool_):
            raise TargetError(f"the verdict function of throttle answered {suspected!r}, no bool")
        if suspected:
            lists[:, self.length :] = 0
        return lists
