"""What is read of a table: our columns, the names that they usually have, and their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from recsec.errors import ConfigError, DataError

__all__ = ["Field", "Kind", "choose", "without_kind"]

Kind = Literal["id", "ids", "time", "number", "whole", "text"]

ATOMIC: Final = ("token", "token_seq", "float", "float_seq")
"""Kinds in the headers of RecBole's files."""


@dataclass(frozen=True)
class Field:
    """One of our columns.

    Attributes:
        kind: ``id`` gives Int64 or String, ``ids`` lists of them, ``time`` Int64 seconds since
            1970, ``number`` Float64, ``whole`` Int64, ``text`` String.
        names: usual names, tried in this order where the user names none; empty: its own name.
        needed: whether a table without the column is refused.
        filled: whether a row without a value does not fit.
        strict: whether text and NaN do not fit where the format has types for all values.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    needed: bool = True
    filled: bool = True
    strict: bool = False


def without_kind(name: str) -> str:
    """The name of a column in a header of RecBole's atomic files, which adds its kind.

    >>> without_kind("user_id:token"), without_kind("12:30")
    ('user_id', '12:30')
    """
    plain, _, kind = name.rpartition(":")
    return plain if plain and kind in ATOMIC else name


def choose(
    where: str,
    have: Sequence[str],
    fields: Mapping[str, Field],
    columns: Mapping[str, str],
    *,
    hint: str | None = None,
) -> dict[str, str]:
    """The table's column for each of ours.

    Args:
        where: the table, for errors.
        have: its columns.
        fields: what is read.
        columns: ours to theirs, as the user says it.
        hint: for errors.

    Raises:
        ConfigError: ``columns`` has a key that is not ours.
        DataError: a needed or named column is not there.
    """
    unknown = set(columns) - set(fields)
    if unknown:
        raise ConfigError(
            f"unknown columns {sorted(unknown)}; expected {', '.join(fields)}", hint=hint
        )
    chosen = {}
    named = {**{without_kind(name): name for name in have}, **{name: name for name in have}}
    for ours, field in fields.items():
        wanted = (columns[ours],) if ours in columns else field.names or (ours,)
        found = next((named[name] for name in wanted if name in named), None)
        if found is not None:
            chosen[ours] = found
        elif ours in columns or field.needed:
            raise DataError(
                f"{where} has no column for {ours} ({', '.join(wanted)}); it has: "
                f"{', '.join(have)}",
                hint=hint,
            )
    return chosen
