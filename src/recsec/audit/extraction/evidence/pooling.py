"""From per-user values to the numbers of the report: means over users and seeds, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recsec.evaluation import lift
from recsec.rng import Streams
from recsec.stats import LEVEL, Estimate, bootstrap_means
from recsec.types import FloatArray

__all__ = ["lift_taken", "pooled"]

TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
DECIDING = "agr@10"
QUALITY = "hr@10"


def pooled(
    seeds: Sequence[Mapping[str, FloatArray]],
    *,
    floor: FloatArray | None = None,
    target: FloatArray | None = None,
    streams: Streams,
    resamples: int = 1000,
) -> dict[str, Estimate]:
    """Means over users and seeds with 95 % percentile bootstrap intervals.

    Users are drawn once for all columns and all seeds, and seeds are drawn with replacement, so
    that comparisons stay paired and the interval covers both. With one seed it covers users only.
    The same ``streams`` draw the same users for every row of a report.

    Besides the mean of each column:

    - ``lift``: ``(agr@10 - floor) / (1 - floor)``, if ``floor`` is given; without value where the
      floor is 1.
    - ``hr_ratio``: HR@10 divided by the target's, if ``target`` is given; without value where the
      target never hits.

    Args:
        seeds: S tables of ``(U,)`` columns, the same users and columns in each; NaN marks a user
            without a value, who is left out of that column's mean.
        floor: ``(U,)`` agreement at 10 of the zero-call attacker.
        target: ``(U,)`` hits at 10 of the target.
        streams: ``users`` and ``seeds`` are drawn from it.
        resamples: R.
    """
    extra = [column for column in (floor, target) if column is not None]
    drawn, others, n = _drawn(seeds, extra, streams, resamples)
    if floor is not None:
        drawn["lift"] = _lifts(drawn[DECIDING], others[0])
        n["lift"] = n[DECIDING]
    if target is not None:
        base = others[-1]
        drawn["hr_ratio"] = np.full_like(base, np.nan)
        np.divide(drawn[QUALITY], base, out=drawn["hr_ratio"], where=base > 0)
        n["hr_ratio"] = n[QUALITY]
    return {name: _estimate(values, n[name]) for name, values in drawn.items()}


def lift_taken(
    defended: Sequence[FloatArray],
    bare: Sequence[FloatArray],
    floor: FloatArray,
    *,
    streams: Streams,
    resamples: int = 1000,
) -> Estimate:
    """``1 - lift(defended) / lift(bare)``: what a defense takes from one thief, 1 is everything.

    Users and seeds are drawn once for both. Without value where the interval of the lift on the
    bare target reaches 0: then there is nothing that could be taken.

    Args:
        defended: ``(U,)`` agreement at 10 of the copy made through the defense, for each seed.
        bare: the same of the copy made without it, the same users and seeds.
        floor: ``(U,)`` agreement at 10 of the zero-call attacker.
        streams: see ``pooled``.
        resamples: R.
    """
    tables = [{"left": a, "had": b} for a, b in zip(defended, bare, strict=True)]
    drawn, (base,), n = _drawn(tables, [floor], streams, resamples)
    left, had = (_lifts(drawn[name], base) for name in ("left", "had"))
    lowest = np.nanquantile(had, TAILS[0]) if np.isfinite(had).any() else 0.0
    if lowest <= 0:
        return Estimate(float("nan"), None, None, n["left"])
    return _estimate(1 - left / had, n["left"])


def _drawn(
    seeds: Sequence[Mapping[str, FloatArray]],
    extra: Sequence[FloatArray],
    streams: Streams,
    resamples: int,
) -> tuple[dict[str, FloatArray], list[FloatArray], dict[str, int]]:
    """Means ``(1 + R,)`` of every column over users and seeds, of the extra ones over users; n.

    The plain mean comes first, then those of the resamples.
    """
    names = list(seeds[0])
    columns = [table[name] for table in seeds for name in names]
    table = np.stack([*columns, *extra], axis=1)
    known = ~np.isnan(table)
    both = np.concatenate([np.where(known, table, 0.0), known], axis=1)
    resampled = bootstrap_means(both, streams.numpy("users"), resamples=resamples)
    sums = np.concatenate([both.mean(axis=0)[None], resampled])
    tops, bottoms = np.split(sums, 2, axis=1)
    means = np.full_like(tops, np.nan)
    np.divide(tops, bottoms, out=means, where=bottoms > 0)
    weights = _seed_weights(len(seeds), resamples, streams.numpy("seeds"))
    inner = means[:, : len(columns)].reshape(len(means), len(seeds), len(names))
    drawn = dict(zip(names, np.einsum("rs,rsm->mr", weights, inner), strict=True))
    counts = known[:, : len(names)].sum(axis=0).tolist()
    return drawn, list(means[:, len(columns) :].T), dict(zip(names, counts, strict=True))


def _lifts(agreement: FloatArray, floor: FloatArray) -> FloatArray:
    pairs = zip(agreement, floor, strict=True)
    return np.array([lift(float(a), float(b)) for a, b in pairs])


def _seed_weights(seeds: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """``(1 + R, S)``: the plain mean first, then how often each seed was drawn."""
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return np.concatenate([np.full((1, seeds), 1 / seeds), drawn])


def _estimate(values: FloatArray, n: int) -> Estimate:
    """The first of ``(1 + R,)`` values, with the interval of the others."""
    value, known = float(values[0]), values[1:][np.isfinite(values[1:])]
    if n < 2 or np.isnan(value) or len(known) == 0:
        return Estimate(value, None, None, n)
    low, high = np.quantile(known, TAILS)
    return Estimate(value, float(low), float(high), n)
