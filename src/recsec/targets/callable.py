"""The user's own Python function as a target: ``callable:module:function``."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError
from recsec.targets.imports import import_here
from recsec.targets.wire import external_histories, read_list
from recsec.types import IntArray, ItemId

__all__ = ["CallableTarget", "RecommendFunction"]

RecommendFunction: TypeAlias = Callable[[list[list[ItemId]], int], Sequence[Sequence[ItemId]]]
"""``recommend(histories, k)``: lists of external ids, oldest first, to lists, best first."""

PREFIX = "callable:"


def _user_frames(error: BaseException) -> str:
    """The end of a traceback: the frames of the user's code, not of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__][-3:]
    places = [
        f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in theirs
    ]
    return "\n".join([f"{type(error).__name__}: {error}", *places])


def _import_failure(module_name: str, error: Exception) -> TargetError:
    return TargetError(f"{module_name} fails to import\n{_user_frames(error)}")


class CallableTarget:
    """A function of this process as a target.

    Args:
        function: ``recommend(histories, k)``; see ``RecommendFunction``. Lists may be shorter
            than ``k``.
        catalog: the items.
        name: how errors call it.
        chunk: histories per call of the function; answers are recorded after each. Smaller ones
            are asked again less after a kill, larger ones suit a model that answers in batches.
    """

    def __init__(
        self, function: RecommendFunction, catalog: Catalog, *, name: str = "", chunk: int = 32
    ) -> None:
        self.function = function
        self.catalog = catalog
        self.name = name or getattr(function, "__qualname__", "the callable")
        self.chunk = chunk

    def __repr__(self) -> str:
        return f"CallableTarget({self.name})"

    @classmethod
    def from_spec(cls, spec: str, catalog: Catalog) -> Self:
        """Import ``callable:module:function``; the current directory is searched first.

        ``function`` may be dotted (``model.recommend``).

        Raises:
            ConfigError: the words do not have this form.
            TargetError: there is no such function, or its module fails to import.
        """
        module_name, _, function_name = spec.removeprefix(PREFIX).partition(":")
        if not module_name or not function_name:
            raise ConfigError(f"{spec!r} is not of the form callable:module:function")
        try:
            found: Any = import_here(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise TargetError(
                    f"{module_name} fails to import\n{_user_frames(error)}"
                ) from error
            raise TargetError(
                f"there is no module {module_name!r} in {os.getcwd()} or on the Python path",
                hint="run recsec in the folder of the module, or install its package",
            ) from error
        except Exception as error:  # the user's module may fail in any way
            raise _import_failure(module_name, error) from error
        for part in function_name.split("."):
            if not hasattr(found, part):
                raise TargetError(f"the module {module_name!r} has no {function_name!r}")
            found = getattr(found, part)
        if not callable(found):
            raise TargetError(f"{function_name!r} of {module_name!r} cannot be called: {found!r}")
        return cls(found, catalog, name=f"{module_name}:{function_name}")

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``; the function does not learn the account."""
        if len(histories) == 0:
            return np.zeros((0, k), dtype=np.int64)
        asked = external_histories(histories, self.catalog)
        try:
            answer: Any = self.function(asked, k)
        except Exception as error:  # the user's function may fail in any way
            raise TargetError(f"{self.name} failed\n{_user_frames(error)}") from error
        if isinstance(answer, np.ndarray):
            answer = answer.tolist()
        if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
            raise TargetError(
                f"{self.name} answered {type(answer).__name__}; expected a list of lists of ids, "
                f"one for each of the {len(asked)} histories"
            )
        if len(answer) != len(asked):
            raise TargetError(
                f"{self.name} answered {len(answer)} lists to {len(asked)} histories",
                hint="it is called with many histories at once and answers one list for each",
            )
        lists = [read_list(row, catalog=self.catalog, k=k, whose=self.name) for row in answer]
        return np.stack(lists)
