"""A suspect: any target, asked as a stranger asks it, whatever it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsec import models
from recsec.data.catalog import Catalog
from recsec.data.sequences import pad
from recsec.errors import TargetError
from recsec.models import Recommender
from recsec.sources import is_folder
from recsec.targets import LocalTarget, PartialAnswer, Target, check_answer, open_target
from recsec.types import IntArray, Progress

__all__ = ["Answers", "ForeignTarget", "ask", "open_suspect"]

ACCOUNT = "verifier"
PATIENCE = 20
"""Failures in a row after which a suspect is given up."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a suspect answered.

    Attributes:
        lists: ``(Q, k)`` catalog indices, zeros where a list is shorter; empty where it failed.
        answered: ``(Q,)`` bool, whether the question was answered by a list that keeps the
            contract.
        reason: why the first of the others failed; None if none did.
    """

    lists: IntArray
    answered: npt.NDArray[np.bool_]
    reason: str | None


class ForeignTarget:
    """A recommender whose catalog is another one: spoken to in external ids.

    Items of a history that it does not know are left out, and so are answered items that the
    owner's catalog does not have.
    """

    chunk = 256

    def __init__(self, recommender: Recommender, catalog: Catalog) -> None:
        self.recommender = recommender
        self.catalog = catalog
        theirs = {item: at for at, item in enumerate(recommender.catalog.ids.tolist(), start=1)}
        known = [theirs.get(item, 0) for item in catalog.ids.tolist()]
        self.to_theirs = np.array([0, *known], dtype=np.int64)
        self.to_ours = np.zeros(len(recommender.catalog) + 1, dtype=np.int64)
        self.to_ours[self.to_theirs] = np.arange(len(self.to_theirs))
        self.to_ours[0] = 0

    @property
    def shared(self) -> int:
        """How many items both catalogs have."""
        return int((self.to_theirs > 0).sum())

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``."""
        asked = self.to_theirs[histories]
        found = self.recommender.top_k(pad(row[row > 0] for row in asked), k)
        lists = self.to_ours[found]
        out = np.zeros((len(histories), k), dtype=np.int64)
        order = np.argsort(lists == 0, axis=1, kind="stable")
        out[:, : lists.shape[1]] = np.take_along_axis(lists, order, axis=1)
        return out


def open_suspect(spec: str, catalog: Catalog, *, authorised: bool = False) -> Target:
    """What ``--suspect`` names; a checkpoint may have a catalog of its own.

    Raises:
        TargetError: it shares no item with ``catalog``.
        RecsecError: see ``open_target``.
    """
    if not is_folder(spec):
        return open_target(spec, catalog, authorised=authorised)
    recommender = models.load(Path(spec).expanduser())
    if np.array_equal(recommender.catalog.ids, catalog.ids):
        return LocalTarget(recommender)
    foreign = ForeignTarget(recommender, catalog)
    if foreign.shared == 0:
        raise TargetError(
            f"the suspect {spec} knows none of the {len(catalog)} items of the data",
            hint="map its items to yours first, for instance in a callable target",
        )
    return foreign


def ask(
    suspect: Target, histories: IntArray, k: int, *, progress: Progress | None = None
) -> Answers:
    """Ask every history once; what fails is left out, counted and explained.

    A chunk that fails is asked again history by history, so that one answer that breaks the
    contract (an unknown id, an item twice, too many) costs no other.

    Args:
        suspect: whom to ask.
        histories: ``(Q, L)`` int64, zeros on the right.
        k: list length asked for.
        progress: told after each chunk.

    Raises:
        TargetError: ``PATIENCE`` failures in a row, or not one item in any list.
    """
    lists = np.zeros((len(histories), k), dtype=np.int64)
    answered = np.zeros(len(histories), dtype=bool)
    reason: str | None = None
    failed = 0

    def one_query(rows: IntArray) -> IntArray:
        found = suspect.query(ACCOUNT, histories[rows], k)
        return check_answer(found, rows=len(rows), k=k, items=len(suspect.catalog))

    for start in range(0, len(histories), suspect.chunk):
        rows = np.arange(start, min(start + suspect.chunk, len(histories)))
        try:
            lists[rows], answered[rows] = one_query(rows), True
            failed = 0
        except TargetError as error:
            if isinstance(error, PartialAnswer):
                kept = rows[error.answered]
                lists[kept], answered[kept] = error.lists[error.answered], True
            for row in rows[~answered[rows]]:
                try:
                    lists[row], answered[row], failed = one_query(row[None])[0], True, 0
                except TargetError as again:
                    reason, failed = reason or again.message, failed + 1
                    if failed >= PATIENCE:
                        raise TargetError(
                            f"the suspect failed {failed} times in a row, after "
                            f"{int(answered.sum())} answers: {again.message}",
                            hint=again.hint,
                        ) from again
        if progress is not None:
            progress("asking the suspect", int(rows[-1]) + 1, len(histories))
    if not lists.any():
        raise TargetError("the suspect answered no item of the catalog to any question")
    return Answers(lists, answered, reason)
