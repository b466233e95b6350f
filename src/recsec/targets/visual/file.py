"""The small file that says what an encoder wants to see: ``--model encoder.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from recsec.errors import ConfigError
from recsec.targets.visual.recipe import Recipe

__all__ = ["EncoderFile", "read_encoder_file"]

TABLE = "encoder"


class EncoderFile(Recipe):
    """``[encoder]``: where it is, what it wants to see, and what it is known to answer.

    The fields of ``Recipe`` beside ``source``, ``output`` and ``ranks``.
    """

    source: str = Field(description="hf:, torch:, onnx: or callable:")
    output: str | None = Field(default=None, description="of ONNX: the output with the vectors")
    ranks: Path | None = Field(
        default=None,
        description="a table item,neighbor,place of the user's own system, reproduced first",
    )

    @property
    def recipe(self) -> Recipe:
        """What of it is a recipe; what was not said stays open."""
        said = self.model_fields_set & set(Recipe.model_fields)
        return Recipe.model_validate(self.model_dump(include=said))

    @classmethod
    def parse(cls, path: Path, table: Any) -> Self:
        """The table as read.

        Raises:
            ConfigError: a setting that there is not, or that does not fit.
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or TABLE}: {one['msg']}" for one in error.errors()
            )
            raise ConfigError(
                f"[{TABLE}] of {path} does not fit: {faults}",
                hint=f"settings: {', '.join(cls.model_fields)}",
            ) from error


def read_encoder_file(path: Path) -> EncoderFile | None:
    """What ``[encoder]`` of a TOML file says; None where there is no such table.

    Raises:
        ConfigError: no file, no TOML, or a setting that does not fit.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"the file {path} is nested too deep") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the file {path}: {error}") from error
    return EncoderFile.parse(path, found[TABLE]) if TABLE in found else None
