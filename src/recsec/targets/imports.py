"""Modules of the user."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

__all__ = ["import_here"]


def import_here(name: str) -> ModuleType:
    """Import a module; the current directory is searched first, whatever program runs.

    Raises:
        Exception: whatever the module raises, and ``ImportError`` where there is none.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
