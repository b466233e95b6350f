"""Attacks by name: those registered, and the thesis' attacks as settings of the gradient loop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from recsec.attacks.evasion.base import EvasionAttack, EvasionConfig
from recsec.attacks.evasion.methods.gradient import GradientAttack, GradientConfig
from recsec.errors import ConfigError
from recsec.models import Precision
from recsec.registry import registry
from recsec.text import placed

__all__ = ["ThesisFgsm", "ThesisPgd", "open_attack"]


class ThesisConfig(GradientConfig):
    """Settings that the thesis' gradient attacks share: plain float images, the last iterate."""

    keep: Literal["best", "last"] = Field("last", description="which iterate is returned")
    grid: bool = Field(False, description="search among 8-bit images")
    precision: Precision = Field("float32", description="of the search")


class ThesisFgsm(GradientAttack):
    """The thesis' FGSM: one step of eps.

    Source: P. Normann, master thesis (2020), and its public code.
    """

    name = "thesis-fgsm"

    class Config(ThesisConfig):
        """Settings of the thesis' FGSM."""

        steps: int = Field(1, ge=1, le=1, description="it is one step")
        step_size: float = Field(1.0, gt=0, description="of the step, as a share of eps")

    config_class: ClassVar[type[EvasionConfig]] = Config


class ThesisPgd(GradientAttack):
    """The thesis' PGD-k: k steps of eps / k from the photo, last iterate; ``thesis-pgd-32``.

    The path is as long as the radius, so the border is reached only where no sign ever flips, and
    more eps can do worse.

    Source: P. Normann, master thesis (2020), and its public code.
    """

    name = "thesis-pgd"

    class Config(ThesisConfig):
        """Settings of the thesis' PGD."""

        steps: int = Field(32, ge=1, le=100_000, description="k")
        step_size: float = Field(0.0, ge=0, description="as a share of eps; 0 stands for 1 / k")

        @model_validator(mode="before")
        @classmethod
        def _one_kth(cls, values: Any) -> Any:
            if isinstance(values, dict) and not values.get("step_size"):
                steps = values.get("steps", 32)
                if isinstance(steps, int) and steps > 0:
                    return {**values, "step_size": 1 / steps}
            return values

    config_class: ClassVar[type[EvasionConfig]] = Config


def open_attack(name: str, settings: Mapping[str, Any] | None = None) -> EvasionAttack:
    """The attack called ``name``; a number at its end is its ``steps`` (Square: ``queries``).

    ``thesis-pgd-32``, ``apgd-400`` and ``square-1000`` are such names.

    Args:
        name: a registered attack (``recsec list attacks``), with or without a number.
        settings: fields of its configuration.

    Raises:
        ConfigError: no such attack, or a setting that does not fit.
    """
    known = registry("attacks")
    given = dict(settings or {})
    match = re.fullmatch(r"(.+)-(\d+)", name)
    key = name
    if name not in known.keys() and match is not None:  # noqa: SIM118 - a registry is no dict
        key = match[1]
    kind: type[EvasionAttack] = known.get(key)
    if key != name and match is not None:
        count = next(
            (one for one in ("steps", "queries") if one in kind.config_class.model_fields), None
        )
        if count is None:
            raise ConfigError(f"the attack {key!r} has no steps to set", hint=f"--attack {key}")
        given = {count: int(match[2]), **given}
    try:
        return kind(kind.config_class.model_validate(given))
    except ValidationError as error:
        faults = "; ".join(placed(one["loc"], one["msg"].lower()) for one in error.errors())
        raise ConfigError(
            f"settings of {name}: {faults}",
            hint=f"the settings there are: {', '.join(kind.config_class.model_fields) or 'none'}",
        ) from error
