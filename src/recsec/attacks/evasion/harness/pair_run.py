"""Attack pairs in a run directory: part by part, so that a killed process continues.

RUN/cells/part-0000.json   the judged pairs of a part, one table per budget
RUN/images/eps-0.03/ITEM--TARGET.png   the files that were judged
RUN/pairs.parquet          all of them, when every part is done
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from recsec.attacks.evasion.base import EvasionAttack
from recsec.attacks.evasion.harness.evade import Scene, evade
from recsec.attacks.evasion.harness.ingest import Ingest, png_bytes
from recsec.attacks.evasion.harness.ranking import Goal
from recsec.attacks.evasion.harness.sweep import min_levels, pick, sweep
from recsec.attacks.evasion.methods.noise import Noise
from recsec.rng import Streams
from recsec.runs import RunDirectory, atomic_write_bytes
from recsec.types import Progress

__all__ = ["run_pairs"]

COLUMNS = (
    "item", "target", "eps", "rank_before", "rank_after", "rank_noise", "cosine_before",
    "cosine_after", "linf", "l2", "psnr", "ssim", "in_budget", "forwards", "backwards", "queries",
    "dead",
)  # fmt: skip
PART = 64
"""Pairs that are attacked, judged and written at a time."""


def run_pairs(
    run: RunDirectory,
    attack: EvasionAttack,
    scene: Scene,
    names: Sequence[tuple[str, str]],
    *,
    eps: Sequence[float],
    rng: Streams,
    stop_rank: int = 1,
    goal: Goal | None = None,
    ingest: Ingest | None = None,
    min_eps: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Attack every pair with every budget, and with noise of the same budget beside it.

    Args:
        run: where results go; parts that are done are read, not attacked again.
        attack: what perturbs.
        scene: pairs, photos, model, index.
        names: external ids of attacker and target, per pair.
        eps: budgets; attacked in ascending order, each from the best of the one before.
        rng: draws.
        stop_rank: rank that needs no further step.
        goal: see ``evade``.
        ingest: see ``confirm``; noise goes the same way.
        min_eps: also find the smallest budget with which each pair reaches ``stop_rank``.
        progress: is told about pairs done.
        options: further arguments of ``evade``.

    Returns:
        One row per pair and budget, with ``COLUMNS``; see ``Evaded`` for their meaning. With
        ``min_eps`` a column of that name, a multiple of 1/255, the same at every budget; null
        where the largest budget fails.
    """
    options |= {"goal": goal, "ingest": ingest}
    parts = np.array_split(np.arange(len(scene)), range(PART, len(scene), PART))
    scene = scene.prepared()
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        cell = f"part-{number:04d}"
        done = run.done(cell)
        if done is None:
            keys = part.tolist()
            some = pick(scene, part)
            with run.timed("attack"):
                found = sweep(
                    attack, some, eps=eps, rng=rng, stop_rank=stop_rank, keys=keys, **options
                )
                noise = [
                    evade(Noise(Noise.config_class()), some, eps=one.eps, rng=rng,
                          goal=goal or "cosine", stop_rank=None, ingest=ingest, keys=keys)
                    for one in found
                ]  # fmt: skip
                needed = None
                if min_eps:
                    least = min_levels(
                        attack, some, found, rng=rng, rank=stop_rank, keys=keys, **options
                    )
                    needed = pl.Series("min_eps", least / 255).set(pl.Series(least < 0), None)
            records = []
            for one, base in zip(found, noise, strict=True):
                files = [f"{names[key][0]}--{names[key][1]}" for key in keys]
                write_images(run, files, one.eps, one.images)
                table = one.table.drop("attacker", "target").with_columns(
                    rank_noise=base.table["rank_after"]
                )
                if needed is not None:
                    table = table.with_columns(needed)
                for key, line in zip(keys, table.to_dicts(), strict=True):
                    records.append(
                        {"item": names[key][0], "target": names[key][1], "eps": one.eps} | line
                    )
            # JSON has no infinity: the PSNR of an unchanged photo is null there
            done = {"pairs": [finite(line) for line in records]}
            run.finish(cell, done)
        rows += done["pairs"]
        if progress is not None:
            progress(f"attacking with {attack.name}", int(part[-1]) + 1, len(scene))
    return write_table(run, "pairs", rows, [*COLUMNS, *(["min_eps"] if min_eps else [])])


def write_table(
    run: RunDirectory, name: str, rows: list[dict[str, Any]], columns: Sequence[str]
) -> pl.DataFrame:
    """Keep the records of all parts as ``RUN/NAME.parquet``."""
    table = (
        pl.DataFrame(rows, infer_schema_length=None)
        .select(columns)
        .with_columns(pl.col("psnr").cast(pl.Float64).fill_null(float("inf")))
    )
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    atomic_write_bytes(run.path / f"{name}.parquet", buffer.getvalue())
    return table


def finite(line: dict[str, Any]) -> dict[str, Any]:
    """A record as a cell keeps it."""
    return line | {"psnr": line["psnr"] if np.isfinite(line["psnr"]) else None}


def write_images(
    run: RunDirectory, names: Sequence[str], eps: float, images: npt.NDArray[np.uint8]
) -> None:
    """Keep photos as ``RUN/images/eps-EPS/NAME.png``."""
    folder = run.path / "images" / f"eps-{eps:g}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        safe = "".join(one if one.isalnum() or one in "-_." else "_" for one in name)
        atomic_write_bytes(folder / f"{safe}.png", png_bytes(torch.from_numpy(image)))
