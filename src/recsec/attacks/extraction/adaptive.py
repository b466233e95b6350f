"""The adaptive thief: what changes once a defense is known, or feared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsec.errors import ConfigError
from recsec.text import placed
from recsec.traffic import ClickLaw

__all__ = ["Adaptive"]


class Adaptive(BaseModel):
    """Switches that go with every attack. All off is the plain thief.

    Every call that a switch needs is counted like any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    set_only: bool = Field(False, description="learn which items are in a list, not their order")
    list_flip: bool = Field(
        False, description="test whether lists are served upside down, and turn them if so"
    )
    wary: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="leave a session, and learn nothing more from it, when a list shares less than "
        "this with the one before",
    )
    doubt: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="leave a session, and do not learn its last list, when the own copy ranks the "
        "list no better than all but this share of random ones; opens with short sessions",
    )
    repeat: int = Field(1, ge=1, description="ask every history so often and average the answers")
    human_like: bool = Field(
        False, description="take ranks by a click law, popular items off the list, popular starts"
    )
    acceptance: float = Field(0.5, ge=0, le=1, description="of the click law: share from lists")
    bias: float = Field(1.0, ge=0, description="of the click law: weight rank ** -bias")
    accounts: int = Field(1, ge=1, description="accounts over which the sessions are spread")
    benign: float = Field(
        0.0, ge=0, lt=1, description="share of sessions that replay leaked histories"
    )
    one_call: bool = Field(
        False, description="one call per session: histories are grown on the surrogate"
    )

    @classmethod
    def parse(cls, words: Sequence[str]) -> Adaptive:
        """From ``set-only`` or ``accounts=10``, as typed.

        >>> Adaptive.parse(["set-only", "accounts=10"]).words()
        ('set-only', 'accounts=10')

        Raises:
            ConfigError: an unknown word or a value that does not fit.
        """
        values: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.strip().partition("=")
            values[name.replace("-", "_")] = value if equals else True
        known = ", ".join(name.replace("_", "-") for name in cls.model_fields)
        try:
            for name, value in values.items():
                kind = cls.model_fields[name].annotation if name in cls.model_fields else bool
                if kind is not bool and value is True:
                    example = "2" if kind is int else "0.1"
                    raise ConfigError(f"{name} needs a value, as in {name}={example}")
            return cls.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            place = [str(part).replace("_", "-") for part in fault["loc"]]
            raise ConfigError(
                f"adaptive: {placed(place, fault['msg'].lower())}", hint=f"switches: {known}"
            ) from error

    def words(self) -> tuple[str, ...]:
        """The switches that are on, as one types them."""
        return tuple(
            name.replace("_", "-") if value is True else f"{name.replace('_', '-')}={value}"
            for name, value in self.model_dump(exclude_defaults=True).items()
        )

    @property
    def law(self) -> ClickLaw:
        """The click law of a human-like thief: a guess of what honest users do."""
        return ClickLaw.model_validate({"acceptance": self.acceptance, "bias": self.bias})
