"""Something in a module of the user's, by its name, in this process and contained."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

from recsec.errors import ConfigError, TargetError
from recsec.targets.wall import Contained

__all__ = ["named", "parts"]


def parts(spec: str, prefix: str) -> tuple[str, str]:
    """``PREFIX:module:name`` as module and name.

    Raises:
        ConfigError: the words do not have this form.
    """
    module, _, name = spec.removeprefix(f"{prefix}:").partition(":")
    if not module or not name:
        raise ConfigError(f"{spec!r} is not of the form {prefix}:module:name")
    return module, name


def named(module: str, name: str) -> tuple[Any, Callable[..., Callable[..., Any]]]:
    """What ``module`` calls ``name`` (which may be dotted), and what makes calls of it contained.

    The current directory is searched first, while the module is imported and in every contained
    call. Arrays go to the function as they are, which is why it runs in this process.

    Raises:
        TargetError: there is no such thing, or its module fails to import.
    """
    folder, whose = os.getcwd(), f"{module}:{name}"

    def contained(function: Callable[..., Any]) -> Callable[..., Any]:
        def at_home(*arguments: Any) -> Any:
            sys.path.insert(0, folder)  # the wall puts the path back
            return function(*arguments)

        return Contained(at_home, whose)

    def look() -> tuple[bool, Any]:
        try:
            if module not in sys.modules and importlib.util.find_spec(module) is None:
                return False, None
        except ModuleNotFoundError:  # of the package that it should be in
            return False, None
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return True, found

    there, found = contained(look)()
    if not there:
        raise TargetError(
            f"there is no module {module!r} in {folder} or on the Python path",
            hint="run recsec in the folder of the module, or install its package",
        )
    return found, contained
