"""Recommenders side by side: their lists, how alike they are, and what changes for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split, Stage, pad
from recsec.evaluation.agreement import fidelity_of_lists
from recsec.evaluation.answers import answer_lists, as_answerer, fit_lists
from recsec.evaluation.groups import Grouping, GroupRow, group_rows
from recsec.evaluation.held_out import Evaluation, evaluate_lists
from recsec.metrics.fidelity import agreement
from recsec.metrics.ranking import hits
from recsec.models.base import Recommender
from recsec.models.sequential.rerank import POOL, check_weight, genre_rerank
from recsec.rng import Streams
from recsec.stats import Estimate
from recsec.types import Answerer, FloatArray, IntArray, Progress

__all__ = ["Change", "Comparison", "SideBySide", "Variant", "compare"]

SHOWN = 10


@dataclass(frozen=True, order=True)
class Variant:
    """A recommender by name, and the genre bias laid over it (0: none)."""

    model: str
    genre_bias: float = 0.0

    def __str__(self) -> str:
        return f"{self.model} + genre {self.genre_bias:g}" if self.genre_bias else self.model


@dataclass(frozen=True, eq=False)
class SideBySide:
    """The lists of all variants after one history.

    Attributes:
        name: of the history.
        history: ``(L,)`` catalog indices.
        lists: ``(k,)`` catalog indices per variant.
        shared: share of common items per pair of variants.
    """

    name: str
    history: IntArray
    lists: dict[Variant, IntArray]
    shared: dict[tuple[Variant, Variant], float]


@dataclass(frozen=True, eq=False)
class Change:
    """What replacing one variant by another does.

    Attributes:
        before: the variant in use.
        after: the variant that takes its place.
        fidelity: likeness of their lists.
        groups: for all users and each group: ``hr@10`` change, share of users who ``gain`` a hit,
            share who ``lose`` one, and ``agr@10``.
    """

    before: Variant
    after: Variant
    fidelity: dict[str, Estimate]
    groups: list[GroupRow]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that ``compare`` found.

    Attributes:
        quality: leave-one-out metrics per variant.
        changes: pairs of variants that differ in one thing, the model or the bias.
        histories: lists side by side.
        protocol: how it was measured, one line.
    """

    quality: dict[Variant, dict[str, Estimate]]
    changes: list[Change]
    histories: list[SideBySide]
    protocol: str


def _biased(
    lists: IntArray, split: Split, stage: Stage, users: IntArray | None, *, weight: float, k: int
) -> IntArray:
    """Genre bias over the lists ``(U, M)`` of the users: ``(U, k)``."""
    out = np.empty((len(lists), k), dtype=np.int64)
    done = 0
    for part in split.batches(stage, users=users):
        rows = slice(done, done + len(part.users))
        out[rows] = genre_rerank(lists[rows], part.histories, split.catalog, weight=weight, k=k)
        done += len(part.users)
    return out


def _about(model: str, progress: Progress | None) -> Progress | None:
    """Progress that names the model."""
    if progress is None:
        return None

    def report(what: str, done: int, total: int) -> None:
        progress(f"{what} of {model}", done, total)

    return report


def _change(
    before: Evaluation, after: Evaluation, names: tuple[Variant, Variant], streams: Streams
) -> Change:
    """Likeness of two variants and the table of who gains and who loses."""
    alike = fidelity_of_lists(after.lists, before.lists, users=before.users, stage=before.stage)
    step = hits(after.ranks, SHOWN) - hits(before.ranks, SHOWN)
    columns: dict[str, FloatArray] = {
        "hr@10": step,
        "gain": (step > 0).astype(np.float64),
        "lose": (step < 0).astype(np.float64),
    }
    if "agr@10" in alike.values:
        columns["agr@10"] = alike.values["agr@10"]
    everyone = Grouping("all", ("all users",), np.zeros(len(before.users), dtype=np.int64))
    stream = streams.child(str(names[0])).child(str(names[1]))
    return Change(
        before=names[0],
        after=names[1],
        fidelity=alike.estimates(stream.numpy("fidelity")),
        groups=group_rows([everyone, *before.groupings], columns, stream.numpy("groups")),
    )


def _side_by_side(
    name: str,
    history: IntArray,
    answers: Mapping[str, Answerer],
    catalog: Catalog,
    *,
    weights: tuple[float, ...],
    depth: int,
) -> SideBySide:
    """All variants' lists after one history."""
    one = pad([history])
    lists: dict[Variant, IntArray] = {}
    for model, answer in answers.items():
        pool = fit_lists(answer(one, depth), rows=1, k=depth)
        for weight in weights:
            best = genre_rerank(pool, one, catalog, weight=weight, k=min(SHOWN, depth))
            lists[Variant(model, weight)] = best[0]
    shared = {
        (a, b): float(agreement(lists[a][None], lists[b][None], len(lists[a]))[0])
        for a, b in combinations(lists, 2)
    }
    return SideBySide(name, history, lists, shared)


def compare(
    models: Mapping[str, Recommender | Answerer],
    split: Split,
    *,
    histories: Mapping[str, IntArray],
    streams: Streams,
    genre_bias: float = 0.3,
    stage: Stage = "test",
    users: IntArray | None = None,
    depth: int = 20,
    progress: Progress | None = None,
) -> Comparison:
    """Compare recommenders over a test set and on named histories.

    Each model is asked once per user; genre bias re-ranks that answer. Changes are reported from
    the first model to each other one (with equal bias), and from each model to itself with bias.

    Args:
        models: recommenders or answerers by name, over the catalog of ``split``.
        split: the test set.
        histories: ``(L,)`` catalog indices by name, for lists side by side.
        streams: draw the intervals.
        genre_bias: weight of the variant with bias; 0 leaves that variant out.
        stage: which item is held out.
        users: ``(U,)`` user numbers of the test set, by default all.
        depth: length of the lists; with bias the models are asked for at least ``POOL``.
        progress: told after each batch.

    Raises:
        ConfigError: the bias is outside [0, 1].
        DataError: a recommender ranks other items than the split holds.
        TargetError: an answerer failed.
    """
    check_weight(genre_bias)
    weights = (0.0, genre_bias) if genre_bias and split.catalog.genre_names else (0.0,)
    asked = max(depth, POOL) if len(weights) > 1 else depth
    evaluations: dict[Variant, Evaluation] = {}
    for model, source in models.items():
        lists = answer_lists(
            source, split, asked, stage=stage, users=users, progress=_about(model, progress)
        )
        for weight in weights:
            best = lists[:, :depth]
            if weight:
                best = _biased(lists, split, stage, users, weight=weight, k=depth)
            evaluations[Variant(model, weight)] = evaluate_lists(
                best, split, stage=stage, users=users
            )
    first, *others = models
    pairs = [
        (Variant(first, weight), Variant(name, weight)) for name in others for weight in weights
    ]
    pairs += [(Variant(name), Variant(name, w)) for name in models for w in weights[1:]]
    answers = {name: as_answerer(source) for name, source in models.items()}
    return Comparison(
        quality={
            variant: found.estimates(streams.child("quality").numpy(str(variant)))
            for variant, found in evaluations.items()
        },
        changes=[
            _change(evaluations[before], evaluations[after], (before, after), streams)
            for before, after in pairs
        ],
        histories=[
            _side_by_side(name, history, answers, split.catalog, weights=weights, depth=asked)
            for name, history in histories.items()
        ],
        protocol=evaluations[Variant(first)].protocol,
    )
