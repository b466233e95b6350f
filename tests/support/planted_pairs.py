"""Per-pair tables of attacks whose outcome is written down by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from recsec.audit.evasion.cells import EvasionCell
from recsec.audit.evasion.evidence.rows import Measured
from recsec.audit.evasion.plan import AttackPlan


def planted(
    ranks: Sequence[int],
    *,
    model: str = "plain",
    attack: str = "mi",
    eps: float = 0.05,
    before: Sequence[int] | None = None,
    inside: Sequence[bool] | None = None,
    pairs: Sequence[int] | None = None,
    access: Any = "gradients",
    survivors_of: tuple[str, ...] | None = None,
    steps: int = 30,
    dead: int = 0,
    planned: int | None = None,
    settings: dict[str, Any] | None = None,
) -> Measured:
    """A cell whose pairs ended at the given ranks."""
    n = len(ranks)
    table = pl.DataFrame(
        {
            "attacker": np.arange(n),
            "target": np.arange(n) + 1000,
            "rank_before": list(before or [500] * n),
            "rank_after": list(ranks),
            "cosine_before": np.linspace(0.0, 0.3, n),
            "cosine_after": 1 / np.sqrt(np.array(ranks, dtype=float)),
            "linf": np.full(n, 12 / 255),
            "l2": np.full(n, 1.0),
            "psnr": np.full(n, 30.0),
            "ssim": np.full(n, 0.9),
            "in_budget": list(inside or [True] * n),
            "forwards": np.full(n, steps + 1),
            "backwards": np.full(n, steps),
            "queries": np.zeros(n, dtype=np.int64),
            "dead": np.full(n, dead),
            "pair": list(pairs if pairs is not None else range(n)),
        }
    )
    plan = AttackPlan.model_construct(key=attack, settings=settings or {})
    name = f"{model}-{attack}-e{eps:g}"
    cell = EvasionCell(name, model, plan, eps, planned or n, 0, survivors_of)
    known = {"attack": attack, "steps": steps, **(settings or {})}
    return Measured(cell, access, known, table, planned or n)
