"""The lists that an answerer gave to the users of an audit, kept for computing numbers again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsec.data import Split
from recsec.data.catalog import Catalog
from recsec.evaluation import Evaluation, fidelity_of_lists
from recsec.metrics import hits, ndcg
from recsec.runs import REDO, read_table, write_table
from recsec.types import FloatArray, IntArray

__all__ = ["SERVED", "Answers", "answers_file", "read_answers", "write_answers"]

SERVED = 10
"""Places of the list that users get: guards are judged on it, because what they do depends on k."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What one answerer said about U users.

    Attributes:
        ranks: ``(U,)`` rank of the held-out item; see ``Evaluation.ranks``.
        lists: ``(U, K)`` catalog indices, best first.
    """

    ranks: IntArray
    lists: IntArray

    @property
    def quality(self) -> dict[str, FloatArray]:
        """``(U,)`` recommendation quality per user: ``hr@10`` and ``ndcg@10``."""
        return {"hr@10": hits(self.ranks, 10), "ndcg@10": ndcg(self.ranks, 10)}

    def compared_with(self, target: Answers) -> dict[str, FloatArray]:
        """``(U,)`` fidelity to ``target`` and quality, per user."""
        return fidelity_of_lists(self.lists, target.lists).values | self.quality


def answers_file(name: str) -> str:
    """Where in the run directory the answers of ``name`` are."""
    return f"answers/{name}.parquet"


def write_answers(run: Path, name: str, evaluation: Evaluation) -> None:
    """Keep ``answers/NAME.parquet``: user, rank of the held-out item, list of external ids."""
    split = evaluation.split
    table = pl.DataFrame(
        {
            "user": split.full.users[evaluation.users],
            "rank": evaluation.ranks,
            "list": [split.catalog.external(row) for row in evaluation.lists],
        }
    )
    write_table(run / answers_file(name), table)


def read_answers(run: Path, name: str, catalog: Catalog, depth: int) -> Answers:
    """Read what ``write_answers`` kept.

    Args:
        depth: K, places of a list.

    Raises:
        RunError: the file is missing or broken.
        DataError: it names items that the catalog does not have.
    """
    table = read_table(run / answers_file(name), columns=("rank", "list"), hint=REDO)
    lists = np.zeros((len(table), depth), dtype=np.int64)
    for row, items in enumerate(table["list"].to_list()):
        lists[row, : len(items)] = catalog.index(items)
    return Answers(table["rank"].to_numpy(), lists)


def drawn_users(
    split: Split,
    count: int | None,
    rng: np.random.Generator,
    *,
    without: IntArray | None = None,
) -> IntArray:
    """``(U,)`` user numbers in order: all, or ``count`` of them drawn without replacement.

    Users ``without`` are left out first.
    """
    everybody = np.arange(len(split.full), dtype=np.int64)
    if without is not None:
        everybody = np.setdiff1d(everybody, without)
    if count is None or count >= len(everybody):
        return everybody
    return np.sort(rng.choice(everybody, size=count, replace=False)).astype(np.int64)
