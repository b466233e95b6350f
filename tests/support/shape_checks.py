"""The type checker of the import hook in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from beartype import beartype
from beartype.roar import BeartypeDecorHintException

__all__ = ["check"]

Function = TypeVar("Function", bound=Callable[..., Any])


def check(function: Function) -> Function:
    """``beartype``, but a function whose hints it cannot read (``Self``) stays as it is."""
    try:
        return beartype(function)
    except BeartypeDecorHintException:
        return function
