"""What came over the wall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Foreign", "kind_of", "revived"]


@dataclass(frozen=True, repr=False)
class Foreign:
    """A value of the user's function that JSON has no place for: only what it looked like."""

    shown: str
    kind: str

    def __repr__(self) -> str:
        return self.shown


def revived(found: dict[str, Any]) -> Any:
    """A JSON object as it was meant: a ``Foreign``, or what it is."""
    return Foreign(**found) if set(found) == {"shown", "kind"} else found


def kind_of(value: Any) -> str:
    """The name of a value's type, wherever the value was made."""
    return value.kind if isinstance(value, Foreign) else type(value).__name__
