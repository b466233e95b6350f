"""From per-pair tables to the rows of the report: success rates, worst cases, base rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from recsec.attacks.evasion import SAMPLE, effective_eps
from recsec.audit.engines import Failure
from recsec.audit.evasion.cells import NOISE, EvasionCell, R
from recsec.metrics import SUCCESS_AT, success_rate
from recsec.reports import BaseRate, EvasionRow, Metric, Metrics, Quantiles, WorstCase
from recsec.types import FloatArray, IntArray

__all__ = [
    "Measured",
    "base_rates",
    "best_ranks",
    "evasion_row",
    "is_before",
    "quantiles",
    "ranks_of",
    "rates",
    "survivors",
    "worst_cases",
]

NEVER = np.iinfo(np.int64).max
"""The rank of a photo that left the ball: no success at any r."""
SHARES = tuple(place / 20 for place in range(21))


@dataclass(frozen=True)
class Measured:
    """What is known about one cell.

    Attributes:
        cell: the cell.
        access: what its attacker sees.
        settings: all settings of the attack, and its name under ``attack``.
        table: one row per measured pair: ``pair`` and the columns of ``Evaded.table``.
        planned: pairs that should have been measured.
        failure: why some were not.
        length: of the lists of a visual search; a larger rank stands for "not listed". None: ranks
            are exact.
        knowledge: what the attacker knows, in words.
    """

    cell: EvasionCell
    access: Literal["gradients", "scores", "ids"]
    settings: Mapping[str, Any]
    table: pl.DataFrame
    planned: int
    failure: Failure | None = None
    length: int | None = None
    knowledge: str = ""


def ranks_of(table: pl.DataFrame) -> IntArray:
    """``(P,)`` ranks that count: of photos inside the budget."""
    inside = table["in_budget"].to_numpy()
    ranks: IntArray = np.where(inside, table["rank_after"].to_numpy(), NEVER)
    return ranks


def rates(ranks: IntArray, length: int | None = None) -> Metrics:
    """success@r for every r of the protocol, as far as lists go; nothing without pairs."""
    if len(ranks) == 0:
        return {}
    seen = [r for r in SUCCESS_AT if length is None or r <= length]
    return {f"success@{r}": Metric.of(success_rate(ranks, r)) for r in seen}


def _mean(column: pl.Series) -> float | None:
    values = column.to_numpy().astype(np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def evasion_row(found: Measured) -> EvasionRow:
    """The row of a cell."""
    cell, table = found.cell, found.table
    steps = int(table["backwards"].sum())
    return EvasionRow(
        id=cell.id,
        model=cell.model,
        attack=cell.label,
        access=found.access,
        eps=cell.eps,
        effective_eps=effective_eps(cell.eps),
        survivors=cell.survivors_of is not None,
        status="ok" if found.failure is None else "error",
        error=None if found.failure is None else f"{found.failure.kind}: {found.failure.message}",
        pairs=len(table),
        missing=found.planned - len(table),
        knowledge=found.knowledge,
        success=rates(ranks_of(table), found.length),
        outside=int((~table["in_budget"]).sum()),
        linf=float(np.max(table["linf"].to_numpy())) if len(table) else None,
        rank=float(np.median(table["rank_after"].to_numpy())) if len(table) else None,
        cosine_before=_mean(table["cosine_before"]),
        cosine_after=_mean(table["cosine_after"]),
        psnr=_mean(table["psnr"]),
        ssim=_mean(table["ssim"]),
        forwards=_mean(table["forwards"]),
        backwards=_mean(table["backwards"]),
        queries=_mean(table["queries"]),
        dead=int(table["dead"].sum()) / steps if steps else None,
    )


def best_ranks(
    cells: Sequence[Measured], model: str, eps: float, *, labels: Sequence[str] | None = None
) -> dict[int, int]:
    """Pair -> the best rank that an attack on ``model`` reached with at most ``eps``.

    Only pairs that some attack met at exactly ``eps``; their images of smaller budgets count too,
    because they lie inside the larger ball.

    Args:
        cells: what was measured.
        model: name.
        eps: budget.
        labels: attacks that count; None: all. Noise never does.
    """
    mine = [
        found
        for found in cells
        if found.cell.model == model
        and found.cell.counts
        and found.cell.eps <= eps
        and (labels is None or found.cell.label in labels)
    ]
    wanted: set[int] = set()
    for found in mine:
        if found.cell.eps == eps:
            wanted |= set(found.table["pair"].to_list())
    best: dict[int, int] = {}
    for found in mine:
        for pair, rank in zip(found.table["pair"], ranks_of(found.table).tolist(), strict=True):
            if pair in wanted:
                best[pair] = min(best.get(pair, NEVER), rank)
    return best


def is_before(earlier: EvasionCell, cell: EvasionCell) -> bool:
    """Whether ``cell`` attacks the survivors of ``earlier``."""
    if earlier.model != cell.model or earlier.eps > cell.eps or earlier.stage < 0:
        return False
    return cell.survivors_of == ("all",) or not set(earlier.names).isdisjoint(
        cell.survivors_of or ()
    )


def survivors(cell: EvasionCell, before: list[Measured]) -> set[int]:
    """Pairs that no earlier attack of the list brought to rank 1; for the control a few of those
    that none brought among the first ``R``.
    """
    rows = [found for found in before if is_before(found.cell, cell)]
    best = best_ranks(rows, cell.model, cell.eps)
    if cell.control:
        return set(sorted(pair for pair, rank in best.items() if rank > R)[:SAMPLE])
    return {pair for pair in range(cell.pairs) if best.get(pair, 2) > 1}


def worst_cases(cells: Sequence[Measured], models: Sequence[str]) -> tuple[WorstCase, ...]:
    """Per model and budget the best rank of any attack, pair by pair."""
    rows = []
    for model in models:
        for eps in _budgets(cells, model):
            best = best_ranks(cells, model, eps)
            if not best:
                continue
            wins = {
                found.cell.label: sum(
                    rank == best[pair]
                    for pair, rank in zip(
                        found.table["pair"], ranks_of(found.table).tolist(), strict=True
                    )
                )
                for found in cells
                if found.cell.model == model and found.cell.eps == eps and found.cell.counts
            }
            ranks = np.array([best[pair] for pair in sorted(best)], dtype=np.int64)
            rows.append(
                WorstCase(
                    model=model,
                    eps=eps,
                    effective_eps=effective_eps(eps),
                    pairs=len(best),
                    success=rates(ranks, _length(cells, model)),
                    attacks=wins,
                )
            )
    return tuple(rows)


def _length(cells: Sequence[Measured], model: str) -> int | None:
    return next((found.length for found in cells if found.cell.model == model), None)


def _budgets(cells: Sequence[Measured], model: str) -> list[float]:
    return sorted({f.cell.eps for f in cells if f.cell.model == model and f.cell.counts})


def base_rates(cells: Sequence[Measured], models: Sequence[str]) -> tuple[BaseRate, ...]:
    """Success of the photos as they are, and with noise of every size."""
    rows = []
    for model in models:
        noisy = [
            found
            for found in cells
            if found.cell.model == model and found.cell.attack.key == NOISE and len(found.table)
        ]
        if not noisy:
            continue
        most = max(noisy, key=lambda found: len(found.table))
        clean = rates(most.table["rank_before"].to_numpy(), most.length)
        rows.append(BaseRate(model=model, kind="clean", eps=0.0, success=clean))
        for found in sorted(noisy, key=lambda found: found.cell.eps):
            rows.append(
                BaseRate(
                    model=model,
                    kind="noise",
                    eps=found.cell.eps,
                    success=rates(ranks_of(found.table), found.length),
                )
            )
    return tuple(rows)


def _best_cosines(cells: Sequence[Measured], model: str, eps: float) -> Mapping[int, FloatArray]:
    """Pair -> cosine before, and the largest after an attack of exactly this budget."""
    best: dict[int, FloatArray] = {}
    for found in cells:
        cell = found.cell
        if cell.model != model or cell.eps != eps or not cell.counts or found.length is not None:
            continue
        inside = found.table.filter(pl.col("in_budget"))
        for pair, before, after in inside.select("pair", "cosine_before", "cosine_after").rows():
            if pair not in best or after > best[pair][1]:
                best[pair] = np.array([before, after])
    return best


def quantiles(
    cells: Sequence[Measured], models: Sequence[str], eps: float
) -> tuple[Quantiles, ...]:
    """Cosines before and after the strongest attack on each pair, at one budget."""
    rows = []
    for model in models:
        best = _best_cosines(cells, model, eps)
        if len(best) < 2:
            continue
        table = np.stack([best[pair] for pair in sorted(best)])
        before, after = np.quantile(table, SHARES, axis=0).T
        rows.append(
            Quantiles(
                model=model, eps=eps, before=tuple(before.tolist()), after=tuple(after.tolist())
            )
        )
    return tuple(rows)
