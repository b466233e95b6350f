"""A recommender, whatever it is behind, in the user's own ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from recsec.errors import UsageError
from recsec.library.opening import (
    as_owner,
    open_guarded,
    open_source,
    popular_at_first,
    sample_users,
)
from recsec.library.results import Estimates
from recsec.types import ItemId

if TYPE_CHECKING:
    import polars as pl

    from recsec.data import Catalog, Dataset, Split
    from recsec.evaluation import Evaluation, Seen
    from recsec.models import Recommender
    from recsec.stats import Estimate
    from recsec.targets import Unknown
    from recsec.types import Answerer, IntArray, Progress

__all__ = ["OpenRecommender", "Quality", "guard", "measure", "open_recommender", "validation"]


VALIDATION = ("hr@10", "ndcg@10", "mrr@10")
"""What a training reports."""


@dataclass(frozen=True, eq=False, repr=False)
class OpenRecommender:
    """What ``open_recommender`` returns.

    Attributes:
        name: the words that it was opened by.
        catalog: its items; ``catalog.table`` is a polars table of ids, titles and genres.
        source: what answers, in catalog indices: for code below the front door.
        counts: ``(N + 1,)`` how often each item was chosen, if known: a history of no items gets
            what is popular.
    """

    name: str
    catalog: Catalog
    source: Recommender | Answerer
    counts: IntArray | None = None

    def __repr__(self) -> str:
        return f"OpenRecommender({self.name}, {len(self.catalog):,} items)"

    @cached_property
    def _answer(self) -> Answerer:
        from recsec.evaluation import as_answerer

        answer = as_answerer(self.source)
        return answer if self.counts is None else popular_at_first(answer, self.counts)

    def _indices(self, histories: Sequence[Sequence[ItemId]]) -> IntArray:
        from recsec.data import pad

        if isinstance(histories, str) or any(
            isinstance(one, str | bytes) or not isinstance(one, Sequence) for one in histories
        ):
            raise UsageError(
                "expected a list of histories, each a list of item ids, oldest first",
                hint="one history is [[ID, ID, ...]]",
            )
        return pad(self.catalog.index(history) for history in histories)

    def recommend(self, histories: Sequence[Sequence[ItemId]], k: int = 10) -> list[list[ItemId]]:
        """The ``k`` best items after each history, best first; items of the history are left out.

        Raises:
            UsageError: not a list of lists.
            DataError: an id is not in the catalog.
            TargetError: what answers failed or broke its contract.
        """
        from recsec.evaluation.answers import fit_lists

        asked = self._indices(histories)
        lists = fit_lists(self._answer(asked, k), rows=len(asked), k=k)
        return [self.catalog.external(row) for row in lists]

    def scores(self, history: Sequence[ItemId]) -> pl.DataFrame:
        """``id``, ``title`` and ``score`` of all items after one history, the best first.

        Raises:
            UsageError: it gives lists only, as functions, APIs and guarded ones do.
            DataError: an id is not in the catalog.
        """
        from recsec.models import Recommender

        if not isinstance(self.source, Recommender):
            raise UsageError(
                f"{self.name} gives lists, not scores", hint="open its checkpoint folder"
            )
        row = self.source.scores(self._indices([history]))[0, 1:]
        table = self.catalog.table.select("id", "title")
        return table.with_columns(score=row.detach().cpu().numpy()).sort(
            "score", descending=True, maintain_order=True
        )

    def evaluate(
        self,
        data: Dataset,
        *,
        stage: Literal["test", "valid"] = "test",
        k: int = 20,
        users: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Estimates:
        """How good its lists are on held-out items; see ``recsec evaluate``.

        Args:
            data: whose users are asked about.
            stage: hold out each user's last item, or the one before.
            k: length of the lists.
            users: measure on a sample.
            seed: draws the sample and the intervals.
            progress: is told how it goes.

        Raises:
            DataError: it ranks other items than the data hold.
        """
        found = measure(
            self.source, data, stage=stage, k=k, users=users, seed=seed, progress=progress
        )
        return Estimates(found.estimates, protocol=found.evaluation.protocol)


@dataclass(frozen=True, eq=False)
class Quality:
    """What ``recsec evaluate`` measures of a recommender.

    Attributes:
        evaluation: per user.
        estimates: over users, by name.
        groups: the same by group of users.
        unknown: listed ids that the catalog lacks.
        seen: its hit rate beside that of a model that cannot have seen the test items.
    """

    evaluation: Evaluation
    estimates: dict[str, Estimate]
    groups: list[Any]
    unknown: Unknown
    seen: Seen


def measure(
    source: Recommender | Answerer,
    data: Dataset,
    *,
    stage: Literal["test", "valid"],
    k: int,
    users: int | None,
    seed: int,
    progress: Progress | None = None,
) -> Quality:
    """Leave-one-out quality of what answers; see ``OpenRecommender.evaluate``."""
    from recsec.evaluation import against_markov, evaluate
    from recsec.rng import Streams
    from recsec.targets import unknown_items

    streams = Streams(seed).child("evaluate")
    split = data.split()
    chosen = sample_users(split, users, streams.numpy("users"))
    found = evaluate(source, split, stage=stage, users=chosen, depth=k, progress=progress)
    return Quality(
        found,
        found.estimates(streams.numpy("metrics")),
        found.groups(streams.numpy("groups")),
        unknown_items(source),
        against_markov(found),
    )


def validation(
    model: Recommender, split: Split, *, seed: int, progress: Progress | None = None
) -> Estimates:
    """Ranking metrics on the validation item; the test item stays unseen."""
    from recsec.evaluation import evaluate
    from recsec.rng import Streams

    found = evaluate(model, split, stage="valid", progress=progress)
    estimates = found.estimates(Streams(seed).numpy("validation"))
    shown = {name: estimates[name] for name in VALIDATION if name in estimates}
    return Estimates(shown, protocol=found.protocol)


def open_recommender(
    model: str | Callable[[list[list[ItemId]], int], Sequence[Sequence[ItemId]]],
    data: Dataset | None = None,
    *,
    authorised: bool = False,
) -> OpenRecommender:
    """Open what the command line's ``--model`` names, or a function of this program.

    Args:
        model: a checkpoint folder, ``callable:module:function``, an ``http(s)`` address, the TOML
            file of a target, or a function from histories (lists of ids, oldest first) and k to
            lists of ids. The words run a function in a process of its own; a function that is
            passed runs here.
        data: whose items a target speaks; a checkpoint has its own.
        authorised: the owner of a target beyond this machine agreed that it is asked.

    Raises:
        UsageError: the words name nothing that recsec can open, or a target without ``data``.
        CheckpointError: the folder is no checkpoint.
        TargetError: the target does not answer as it must.
    """
    if isinstance(model, str):
        source, catalog = open_source(model, data, authorised=authorised)
        counts = None if data is None else data.split().train.counts
        return OpenRecommender(model, catalog, source, counts)
    if not callable(model):
        raise UsageError(f"expected words or a function, got {type(model).__name__}")
    if data is None:
        raise UsageError("a function needs data: its items are not known otherwise")
    from recsec.targets import CallableTarget

    target, counts = CallableTarget(model, data.catalog), data.split().train.counts
    return OpenRecommender(target.name, data.catalog, as_owner(target), counts)


def guard(
    model: str,
    guards: Sequence[str | Mapping[str, Any]],
    data: Dataset,
    *,
    authorised: bool = False,
) -> OpenRecommender:
    """A source as it answers through guards, the first nearest to it.

    Args:
        model: as ``open_recommender`` takes it, in words.
        guards: each as ``--guard`` takes it (``"quantize:keep=5"``) or a table with ``name``.
        data: the data that it was trained on.
        authorised: the owner of a target beyond this machine agreed that it is asked.

    Raises:
        UsageError: a guard needs scores, and there are only lists.
        ConfigError: a guard does not exist or does not fit.
    """
    from recsec.settings import parse_guards

    tables = [
        table
        for one in guards
        for table in (parse_guards([one]) if isinstance(one, str) else [dict(one)])
    ]
    if not tables:
        raise UsageError("no guard is named", hint="recsec list guards")
    names = " + ".join(str(table["name"]) for table in tables)
    return OpenRecommender(
        f"{model} + {names}", data.catalog, open_guarded(model, tables, data, authorised=authorised)
    )
