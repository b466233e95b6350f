"""``[[defense]]``: what the thief meets in place of the bare target, each a row of the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from recsec.audit.sections import Section, Several
from recsec.errors import ConfigError
from recsec.reports import UNDEFENDED
from recsec.settings import parse_guards
from recsec.sources import is_folder
from recsec.targets import checkpoint_digests, guard_digests
from recsec.targets.guards import configured

__all__ = ["DefensePlan"]


class DefensePlan(Section):
    """``[[defense]]``: guards around the target, a hardened checkpoint in its place, or both."""

    name: str = Field(
        max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="what the row is called"
    )
    guards: Several[str] = Field(
        default=(), description="NAME:key=value,...; guards act in the order given"
    )
    model: str | None = Field(
        default=None,
        description="checkpoint folder that replaces the target; null: the target",
    )

    @property
    def tables(self) -> list[dict[str, Any]]:
        """The guards as tables of name and settings."""
        return parse_guards(self.guards)

    def content(self) -> dict[str, str]:
        """Digests of its files by what they are: its checkpoint, and what its guards name.

        Raises:
            CheckpointError: the checkpoint is not whole.
            ConfigError: a key is missing or others may read it.
        """
        found = guard_digests(self.tables)
        if self.model is not None:
            found |= checkpoint_digests(Path(self.model).expanduser())
        return {f"{what}, in the defense {self.name},": value for what, value in found.items()}

    @model_validator(mode="after")
    def _stands(self) -> DefensePlan:
        if self.name == UNDEFENDED:
            raise ValueError(f"the name {UNDEFENDED!r} is the bare target's: every audit has it")
        if not self.guards and self.model is None:
            raise ValueError(f"the defense {self.name!r} has neither guards nor a model")
        if self.model is not None and not is_folder(self.model):
            raise ValueError(f"model = {self.model!r} is no checkpoint folder")
        try:
            configured(self.tables)
        except ConfigError as error:
            raise ValueError(f"{error} ({error.hint})" if error.hint else str(error)) from error
        return self
