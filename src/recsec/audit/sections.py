"""What the tables of a plan have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Positive", "Section", "Seed", "Several"]

One = TypeVar("One")


def _several(value: Any) -> Any:
    """One value may stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


Several: TypeAlias = Annotated[tuple[One, ...], BeforeValidator(_several), Field(min_length=1)]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Frozen and closed, as every table of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")
