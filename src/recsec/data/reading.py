"""How a data set is to be read: what its owner says, kept in one place by plans and checkpoints."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from recsec.data.dialect import Dialect
from recsec.data.filters import Filters

__all__ = ["Reading"]


class Reading(Dialect):
    """Everything beside its name that decides what a data set holds."""

    columns: dict[str, str] = Field(
        default_factory=dict, description="of an own file: {user = .., item = .., time = ..}"
    )
    filters: Filters = Field(
        default=Filters(), description="which interactions count: {min_item = 5, min_user = 5, ..}"
    )
    catalog: str | None = Field(
        default=None, description="table of items: id, title, genres, year; null: what the data say"
    )

    @property
    def reading(self) -> Reading:
        """This part of a larger table of settings."""
        return Reading(**self.model_dump(include=set(Reading.model_fields)))

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, as plain data."""
        return self.model_dump(
            mode="json", include=set(Reading.model_fields), exclude_defaults=True
        )

    def decides(self) -> dict[str, Any]:
        """``said`` with the keys of older run directories: those that are unset are not there."""
        said = self.said()
        told: dict[str, Any] = {"columns": said.pop("columns", {})}
        if self.dialect is not None:
            told["dialect"] = self.dialect.model_dump(mode="json")
        return told | {key: said[key] for key in ("filters", "catalog") if key in said}
