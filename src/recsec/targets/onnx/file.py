"""The small file that says what an ONNX file takes and gives: ``--model sasrec.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsec.errors import ConfigError
from recsec.settings import checked

__all__ = ["PREFIX", "TABLE", "OnnxFile", "read_onnx_file"]

PREFIX: Final = "onnx:"
TABLE: Final = "onnx"


class OnnxFile(BaseModel):
    """``[onnx]``: a recommender, its inputs and outputs, and how a history becomes numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path = Field(description="the ONNX file")
    history: str | None = Field(default=None, description="input (B, L) of the numbers of items")
    lengths: str | None = Field(default=None, description="input (B,) of how many items there are")
    mask: str | None = Field(
        default=None, description="input (B, L) that is 1 where an item is, 0 else"
    )
    scores: str | None = Field(
        default=None, description="output (B, C), or (B, L, C) after each item"
    )
    length: int | None = Field(default=None, ge=1, description="newest items that it takes, L")
    side: Literal["left", "right"] | None = Field(
        default=None, description="where shorter ones are filled"
    )
    pad: int = Field(default=0, description="the number that fills")
    items: Path | None = Field(
        default=None, description="a table item,number; by default number n is the n-th item"
    )
    first: int = Field(default=0, description="the number whose score is in column 0")

    @property
    def said(self) -> frozenset[str]:
        """The settings that were given."""
        return frozenset(self.model_fields_set - {"file"})


def read_onnx_file(spec: str) -> OnnxFile:
    """What ``onnx:FILE``, or a TOML file with ``[onnx]``, says.

    Raises:
        ConfigError: no file, no TOML, no such table, or a setting that does not fit.
    """
    if spec.startswith(PREFIX):
        return OnnxFile(file=Path(spec.removeprefix(PREFIX)).expanduser())
    try:
        found = tomllib.loads(Path(spec).expanduser().read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"the file {spec} is nested too deep") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the file {spec}: {error}") from error
    if set(found) != {TABLE} or not isinstance(found[TABLE], dict):
        raise ConfigError(f"{spec} holds {', '.join(sorted(found))}; expected one table [{TABLE}]")
    settings = checked(OnnxFile, found[TABLE], where=f"[{TABLE}] of {spec}")
    return settings.model_copy(update={"file": settings.file.expanduser()})
