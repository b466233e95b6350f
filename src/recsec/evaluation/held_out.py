"""Leave-one-out: can a recommender name the item that each user chose next?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from recsec.data.sequences import Split, Stage, pad
from recsec.evaluation.answers import BATCH, answer_lists, check_catalog, fit_lists
from recsec.evaluation.defects import defects
from recsec.evaluation.estimates import paired_estimates
from recsec.evaluation.groups import Grouping, GroupRow, activity_groups, genre_groups, group_rows
from recsec.evaluation.histories import HistoryTable, describe_histories, list_columns
from recsec.metrics.catalog import coverage, genre_confusion
from recsec.metrics.ranking import hits, list_ranks, mrr, ndcg, target_ranks
from recsec.models.base import Recommender, mask_history, top_k
from recsec.stats import Estimate
from recsec.types import Answerer, FloatArray, IntArray, Progress

__all__ = ["CUTOFFS", "Evaluation", "evaluate", "evaluate_lists"]

CUTOFFS = (1, 5, 10, 20)
SAMPLED = 256
GROUP_METRICS = (
    "hr@10",
    "ndcg@10",
    "genre_consistency@10",
    "genre_similarity@10",
    "year_shift@10",
    "children_to_adult@10",
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What leave-one-out measured, per user.

    Attributes:
        split: the users.
        stage: which item was held out.
        users: ``(U,)`` user numbers.
        ranks: ``(U,)`` rank of the held-out item, 1 is best; where only lists are known, their
            length + 1 stands for "not listed".
        lists: ``(U, K)`` catalog indices, best first.
        exact: ranks come from the scores of all items, not from lists.
        protocol: how it was measured, one line.
    """

    split: Split
    stage: Stage
    users: IntArray
    ranks: IntArray
    lists: IntArray
    exact: bool
    protocol: str

    @cached_property
    def targets(self) -> IntArray:
        """``(U,)`` the held-out items."""
        return self.split.targets(self.stage)[self.users]

    @cached_property
    def histories(self) -> HistoryTable:
        """Length, genres, years and popularity of each history."""
        return describe_histories(self.split, self.stage, self.users)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The k of the metrics: those of ``CUTOFFS`` that the lists reach."""
        return tuple(k for k in CUTOFFS if k <= self.lists.shape[1])

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Metrics that this catalog cannot give, with the reason."""
        return dict(self.histories.left_out)

    @cached_property
    def defects(self) -> tuple[str, ...]:
        """What a sound recommender does not do, looked for in up to 256 users; ``defects``."""
        rows = np.unique(np.linspace(0, len(self.users) - 1, SAMPLED).round().astype(np.int64))
        known = pad(self.split.history(self.stage, int(user)) for user in self.users[rows])
        lists = self.lists[rows]
        return defects(lists, known, k=lists.shape[1], items=len(self.split.catalog))

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """``(U,)`` per metric, NaN for a user without a value; see docs/how-to/evaluate.md."""
        columns: dict[str, FloatArray] = {}
        for name, metric in (("hr", hits), ("ndcg", ndcg), ("mrr", mrr)):
            for k in self.cutoffs:
                columns[f"{name}@{k}"] = metric(self.ranks, k)
        columns.update(list_columns(self.split, self.histories, self.lists))
        return columns

    def estimates(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Means over users with 95 % intervals, users drawn once for all metrics.

        Coverage is a property of all lists together: it has a value and no interval.
        """
        out = paired_estimates(self.values, rng)
        for k in self.cutoffs:
            value = coverage(self.lists[:, :k], len(self.split.catalog))
            out[f"coverage@{k}"] = Estimate(value, None, None, len(self.lists))
        return out

    def genre_confusion(self) -> FloatArray:
        """``(G, G)`` genre shares of the lists of ten, by genre of the held-out item.

        See ``metrics.genre_confusion``; genres in the order of ``Catalog.genre_names``.
        """
        return genre_confusion(self.targets, self.lists[:, :10], self.split.catalog.genre_matrix)

    @cached_property
    def groupings(self) -> list[Grouping]:
        """Users by quartile of activity and, where items have genres, by dominant genre."""
        found = [activity_groups(self.histories.lengths)]
        if self.split.catalog.genre_names:
            found.append(genre_groups(self.histories.genres, self.split.catalog.genre_names))
        return found

    def groups(self, rng: np.random.Generator) -> list[GroupRow]:
        """The metrics of ``GROUP_METRICS`` for each group of users."""
        columns = {name: self.values[name] for name in GROUP_METRICS if name in self.values}
        return group_rows(self.groupings, columns, rng)


def _unreachable(split: Split, stage: Stage, users: IntArray) -> int:
    """How many of the users held an item out that is also in their history."""
    known = split.full.drop_last(1 if stage == "test" else 2)
    same = known.items == np.repeat(split.targets(stage), known.lengths)
    return int(np.logical_or.reduceat(same, known.offsets[:-1])[users].sum())


def _own_items(split: Split, stage: Stage, users: IntArray, lists: IntArray) -> int:
    """How many lists hold an item of the user's own history."""
    known = split.full.drop_last(1 if stage == "test" else 2)
    width = len(split.catalog) + 1
    chosen = np.repeat(np.arange(len(known)) * width, known.lengths) + known.items
    return int(np.isin(users[:, None] * width + lists, chosen).any(axis=1).sum())


def _finish(
    split: Split, stage: Stage, users: IntArray, ranks: IntArray, lists: IntArray, *, exact: bool
) -> Evaluation:
    """Put the protocol beside the numbers."""
    protocol = (
        f"leave-one-out ({'last' if stage == 'test' else 'second-last'} item held out), full "
        f"ranking of {len(split.catalog)} items, history excluded, {len(users)} users"
    )
    if exact:
        protocol += "; of items with equal scores the held-out one is ranked last"
    else:
        protocol += (
            f"; only the first {lists.shape[1]} places of each list are known, "
            "a rank beyond is a miss"
        )
        own = _own_items(split, stage, users, lists)
        if own:
            protocol += f"; {own} lists name items of the user's own history all the same"
    unreachable = _unreachable(split, stage, users)
    if unreachable:
        protocol += f"; {unreachable} held-out items are in the user's own history: misses"
    return Evaluation(split, stage, users, ranks, lists, exact, protocol)


def evaluate_lists(
    lists: IntArray, split: Split, *, stage: Stage = "test", users: IntArray | None = None
) -> Evaluation:
    """``evaluate`` where the lists ``(U, K)`` are at hand, row u for user ``users[u]``."""
    chosen = np.arange(len(split.full)) if users is None else users
    ranks = list_ranks(lists, split.targets(stage)[chosen])
    return _finish(split, stage, chosen, ranks, lists, exact=False)


@torch.no_grad()
def evaluate(
    source: Recommender | Answerer,
    split: Split,
    *,
    stage: Stage = "test",
    users: IntArray | None = None,
    depth: int = 20,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank the held-out item of each user.

    A recommender is asked for the scores of all items, so ranks are exact. An answerer is asked
    for its best ``depth`` items; a held-out item that is not among them is a miss.

    Args:
        source: a recommender, or an answerer that leaves history items out.
        split: the users.
        stage: ``"test"`` or ``"valid"``.
        users: ``(U,)`` user numbers, by default all.
        depth: length of the lists that are kept; metrics at longer cutoffs are left out.
        batch: users at a time; the peak is ``batch x (N + 1)`` float32 scores.
        progress: told after each batch.

    Raises:
        DataError: the recommender ranks other items than the split holds.
        TargetError: the answerer failed.
    """
    if not isinstance(source, Recommender):
        lists = answer_lists(
            source, split, depth, stage=stage, users=users, batch=batch, progress=progress
        )
        return evaluate_lists(lists, split, stage=stage, users=users)
    check_catalog(source, split)
    chosen = np.arange(len(split.full)) if users is None else users
    ranks = np.empty(len(chosen), dtype=np.int64)
    lists = np.empty((len(chosen), depth), dtype=np.int64)
    done = 0
    for part in split.batches(stage, size=batch, users=chosen):
        rows = slice(done, done + len(part.users))
        scores = source.scores(part.histories)
        mask_history(scores, torch.from_numpy(part.histories).to(scores.device))
        targets = torch.from_numpy(part.targets).to(scores.device)
        ranks[rows] = target_ranks(scores, targets).cpu().numpy()
        best = top_k(scores, depth).cpu().numpy()
        lists[rows] = fit_lists(best, rows=len(best), k=depth)
        done += len(part.users)
        if progress is not None:
            progress("evaluate", done, len(chosen))
    return _finish(split, stage, chosen, ranks, lists, exact=True)
