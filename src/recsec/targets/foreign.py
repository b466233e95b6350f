"""Somebody else's recommender that scores all items: ``scores:module:function`` and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split
from recsec.errors import TargetError, UsageError
from recsec.models.base import Incremental, ModelConfig, Recommender, Training
from recsec.sources import Capability
from recsec.targets.base import Target
from recsec.targets.callable import named_function
from recsec.targets.local import LocalTarget
from recsec.targets.wall import Contained, Walled, kind_of, walled
from recsec.targets.wire import external_histories
from recsec.types import IntArray, ItemId

__all__ = ["ForeignRecommender", "ScoreFunction", "capabilities_of", "open_scores", "scored_by"]

ScoreFunction: TypeAlias = Callable[[list[list[ItemId]], list[ItemId]], npt.ArrayLike]
"""``score(histories, items)``: lists of external ids, oldest first, and the N items of the catalog,
to ``(B, N)`` numbers, higher is better, in the order of ``items``."""

CELLS = 1 << 24
"""Scores that are asked for at once."""


class ForeignRecommender(Recommender):
    """What somebody else ranks items by; it has no weights here and cannot be trained.

    Args:
        catalog: the items.
        score: histories ``(B, L)`` of catalog indices to ``(B, N)`` numbers, or what fails to be.
        label: how errors call it.

    Attributes:
        words: how histories become what it takes, where that is not plain.
    """

    name: ClassVar[str] = "foreign"
    config_class: ClassVar[type[ModelConfig]] = ModelConfig
    words: str = ""

    def __init__(self, catalog: Catalog, score: Callable[[IntArray], Any], *, label: str) -> None:
        super().__init__(catalog, ModelConfig())
        self.score = score
        self.label = label

    def __repr__(self) -> str:
        return f"ForeignRecommender({self.label})"

    def scores(self, histories: IntArray) -> Tensor:
        """See ``Recommender.scores``; a NaN or infinite score is refused by whoever ranks.

        Raises:
            TargetError: it failed, or its answer is no array of one number per item and history.
        """
        out = torch.full((len(histories), len(self.catalog) + 1), float("-inf"))
        step = max(1, CELLS // max(1, len(self.catalog)))
        for start in range(0, len(histories), step):
            part = np.ascontiguousarray(histories[start : start + step])
            out[start : start + step, 1:] = torch.from_numpy(self._checked(part))
        return out

    def _checked(self, histories: IntArray) -> npt.NDArray[np.float32]:
        expected = (len(histories), len(self.catalog))
        answer = self.score(histories)
        try:
            found = np.asarray(answer, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise TargetError(
                f"{self.label} answered {kind_of(answer)} that is no array of numbers; expected "
                f"one of shape {expected}: histories by items",
                hint="each row needs one number per item, in the order of the items",
            ) from error
        if found.shape != expected:
            raise TargetError(
                f"{self.label} answered an array {found.shape}; expected {expected}: "
                "histories by items",
                hint="one number per item, in the order of the items that it is given",
            )
        return np.array(found) if not found.flags.writeable else found

    def state(self) -> NoReturn:
        """It has none here."""
        raise UsageError(
            f"{self.label} has no weights that recsec can read",
            hint="recsec train MODEL --data NAME --out DIR makes a checkpoint",
        )

    @classmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """It is never rebuilt from tensors."""
        raise UsageError("somebody else's recommender is not kept as a checkpoint")

    @classmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """It is trained elsewhere."""
        raise UsageError("somebody else's recommender is trained elsewhere")


def scored_by(
    function: ScoreFunction | Walled, catalog: Catalog, *, name: str = ""
) -> ForeignRecommender:
    """A function that scores all items, as a recommender.

    Args:
        function: see ``ScoreFunction``. It runs in this process unless it is ``Walled``, which
            has the items as its constants.
        catalog: the items.
        name: how errors call it.
    """
    label = name or getattr(function, "__qualname__", "the score function")
    if isinstance(function, Walled):
        ask: Callable[..., Any] = function
        items: tuple[Any, ...] = ()
    else:
        ask = Contained(function, label)
        items = (catalog.ids.tolist(),)

    def score(histories: IntArray) -> Any:
        return ask(external_histories(histories, catalog), *items)

    return ForeignRecommender(catalog, score, label=label)


def open_scores(spec: str, catalog: Catalog) -> ForeignRecommender:
    """Open ``scores:module:function``, of an interpreter or of this one, in a process of its own.

    Raises:
        ConfigError: the words do not have this form.
        TargetError: there is no such function, or its module fails to import.
    """
    module, function, python = named_function(spec, "scores")
    found = walled(module, function, python=python, constants=(tuple(catalog.ids.tolist()),))
    return scored_by(found, catalog, name=f"{module}:{function}")


def capabilities_of(found: Recommender | Target) -> frozenset[Capability]:
    """What can be asked of what was opened; behind guards it is lists only."""
    if isinstance(found, LocalTarget) and not found.guards:
        return capabilities_of(found.recommender)
    if not isinstance(found, Recommender):
        return frozenset({"ids"})
    known: set[Capability] = {"ids", "scores", "all-scores"}
    if isinstance(found, Incremental):
        known.add("growing")
    if not isinstance(found, ForeignRecommender):
        known.add("weights")
    return frozenset(known)
