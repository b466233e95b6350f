"""The user's own Python function as a target: ``callable:module:function``.

``python:VENV/bin/python:callable:module:function`` is the same under another interpreter, with the
packages of its own environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError
from recsec.targets.base import popular_first
from recsec.targets.wall import Contained, Walled, kind_of, walled
from recsec.targets.wire import Tally, external_histories, read_list
from recsec.types import IntArray, ItemId

__all__ = ["CallableTarget", "RecommendFunction", "named_function"]

RecommendFunction: TypeAlias = Callable[[list[list[ItemId]], int], Sequence[Sequence[ItemId]]]
"""``recommend(histories, k)``: lists of external ids, oldest first, to lists, best first."""

PYTHON = "python:"


def named_function(spec: str, form: str) -> tuple[str, str, str | None]:
    """Module, function and interpreter that the words of a user name.

    Args:
        spec: ``FORM:module:function``, or ``python:PATH:FORM:module:function``.
        form: ``callable`` or ``scores``.

    Returns:
        The interpreter is None where it is this one.

    Raises:
        ConfigError: the words do not have this form.

    >>> named_function("python:.venv/bin/python:callable:shop:recommend", "callable")
    ('shop', 'recommend', '.venv/bin/python')
    """
    words, python = spec, None
    if spec.startswith(PYTHON):
        python, found, words = spec.removeprefix(PYTHON).rpartition(f":{form}:")
        words = f"{form}:{words}" if found and python else ""
    module, _, function = words.removeprefix(f"{form}:").partition(":")
    if not module or not function or not words.startswith(f"{form}:"):
        before = "python:VENV/bin/python:" if spec.startswith(PYTHON) else ""
        raise ConfigError(f"{spec!r} is not of the form {before}{form}:module:function")
    return module, function, None if python is None else os.path.expanduser(python)


class CallableTarget:
    """A function of the user as a target, behind the wall (``recsec.targets.wall``).

    Args:
        function: ``recommend(histories, k)``; see ``RecommendFunction``. Lists may be shorter
            than ``k``. It runs in this process unless it is ``Walled``.
        catalog: the items.
        name: how errors call it.
        chunk: histories per call of the function; answers are recorded after each. Smaller ones
            are asked again less after a kill, larger ones suit a model that answers in batches.
        counts: ``(N + 1,)`` how often each item was chosen; with them a history of no items gets
            what is popular, and the function is not asked about it.
    """

    def __init__(
        self,
        function: RecommendFunction | Walled,
        catalog: Catalog,
        *,
        name: str = "",
        chunk: int = 32,
        counts: IntArray | None = None,
    ) -> None:
        self.catalog = catalog
        self.name = name or getattr(function, "__qualname__", "the callable")
        self.function = function if isinstance(function, Walled) else Contained(function, self.name)
        self.chunk = chunk
        self.counts = counts
        self.tally = Tally()
        """Ids that it listed and the catalog lacks."""
        self.same_for_all = True
        """Whether the answer is the same whoever asks."""

    def __repr__(self) -> str:
        return f"CallableTarget({self.name})"

    @classmethod
    def from_spec(cls, spec: str, catalog: Catalog, *, counts: IntArray | None = None) -> Self:
        """Open ``callable:module:function``, of an interpreter or of this one, in its own process.

        The current directory is searched first; ``function`` may be dotted (``model.recommend``).

        Raises:
            ConfigError: the words do not have this form.
            TargetError: there is no such function, or its module fails to import.
        """
        module, function, python = named_function(spec, "callable")
        found = walled(module, function, python=python)
        return cls(found, catalog, name=f"{module}:{function}", counts=counts)

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``; the function does not learn the account."""
        return popular_first(lambda rows: self._ask(rows, k), histories, k, self.counts)

    def _ask(self, histories: IntArray, k: int) -> IntArray:
        if len(histories) == 0:
            return np.zeros((0, k), dtype=np.int64)
        asked = external_histories(histories, self.catalog)
        answer: Any = self.function(asked, k)
        if isinstance(answer, np.ndarray):
            answer = answer.tolist()
        if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
            raise TargetError(
                f"{self.name} answered {kind_of(answer)}; expected a list of lists of ids, "
                f"one for each of the {len(asked)} histories"
            )
        if len(answer) != len(asked):
            raise TargetError(
                f"{self.name} answered {len(answer)} lists to {len(asked)} histories",
                hint="it is called with many histories at once and answers one list for each",
            )
        lists = [
            read_list(row, catalog=self.catalog, k=k, whose=self.name, tally=self.tally)
            for row in answer
        ]
        return np.stack(lists)
