"""Little for accounts under suspicion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeAlias

import numpy as np
from pydantic import Field
from torch import Tensor

from recsec.errors import ConfigError, TargetError
from recsec.targets.guards.base import Guard, GuardConfig, Surroundings, best
from recsec.targets.wall import Contained, Walled, walled
from recsec.types import IntArray

NAME = "the verdict function of throttle"

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
    on_lists = True
    config_class = ThrottleConfig

    def __init__(self, verdict: Verdict | Walled, *, length: int = 1) -> None:
        self.verdict = verdict if isinstance(verdict, Walled) else Contained(verdict, NAME)
        self.length = length

    @classmethod
    def build(cls, config: ThrottleConfig, surroundings: Surroundings) -> Self:
        """Open the verdict function in a process of its own; see ``Guard.build``."""
        module, _, name = config.verdict.partition(":")
        hint = "write it as verdict=module:function; the module must be importable"
        if not module or not name:
            raise ConfigError(f"throttle: no verdict function {config.verdict!r}", hint=hint)
        try:
            return cls(walled(module, name), length=config.length)
        except TargetError as error:
            raise ConfigError(
                f"throttle: no verdict function {config.verdict!r}: {error.message}",
                hint=error.hint or hint,
            ) from error

    def answer(self, account: str, histories: IntArray, scores: Tensor, k: int) -> IntArray:
        """See ``Guard.answer``."""
        lists = best(scores, k)
        suspected = self.verdict(account, histories)
        if not isinstance(suspected, bool | np.bool_):
            raise TargetError(f"{NAME} answered {suspected!r}, no bool")
        if suspected:
            lists[:, self.length :] = 0
        return lists
