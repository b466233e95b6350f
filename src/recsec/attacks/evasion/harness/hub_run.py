"""Attack hubs in a run directory: part by part, so that a killed process continues.

RUN/cells/part-0000.json   the judged photos of a part, one line per photo and budget
RUN/images/eps-0.03/ITEM.png   the files that were judged
RUN/hubs.parquet           all of them, when every part is done
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch

from recsec.attacks.evasion.base import EvasionAttack
from recsec.attacks.evasion.fast import prepare
from recsec.attacks.evasion.harness.hub import HubScene, attack_hub
from recsec.attacks.evasion.harness.ingest import Ingest
from recsec.attacks.evasion.harness.pair_run import finite, write_images, write_table
from recsec.attacks.evasion.methods.noise import Noise
from recsec.attacks.evasion.projection import effective_eps, levels
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.stats import mean_estimate
from recsec.types import Progress

__all__ = ["run_hubs", "summarize_hubs"]

COLUMNS = (
    "item", "eps", "lists_before", "lists_after", "lists_noise", "exposure_before",
    "exposure_after", "exposure_noise", "linf", "l2", "psnr", "ssim", "in_budget", "forwards",
    "backwards", "queries", "dead",
)  # fmt: skip
PART = 16
"""Photos that are attacked, judged and written at a time; each is compared with every list."""


def run_hubs(
    run: RunDirectory,
    attack: EvasionAttack,
    scene: HubScene,
    names: Sequence[str],
    *,
    eps: Sequence[float],
    rng: Streams,
    project: bool = True,
    ingest: Ingest | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Attack every photo with every budget, and with noise of the same budgets beside it.

    Args:
        run: where results go; parts that are done are read, not attacked again.
        attack: what perturbs.
        scene: photos, targets, model, lists.
        names: external ids of the photos' items.
        eps: budgets.
        rng: draws.
        project: see ``confirm``.
        ingest: see ``confirm``.
        progress: is told about photos done.

    Returns:
        One row per photo and budget, with ``COLUMNS``; see ``HubResult`` for their meaning.
    """
    one = scene.photos[:1].to(scene.lists.index.vectors.device).float().div(255)
    scene = replace(scene, ready=prepare(scene.embedder, one))
    total = len(scene.photos)
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(np.array_split(np.arange(total), range(PART, total, PART))):
        cell = f"part-{number:04d}"
        done = run.done(cell)
        if done is None:
            some = replace(
                scene, attackers=scene.attackers[part], photos=scene.photos[torch.from_numpy(part)]
            )
            shared: dict[str, Any] = {"eps": eps, "rng": rng, "ingest": ingest}
            shared["keys"] = part.tolist()
            with run.timed("attack"):
                found = attack_hub(attack, some, project=project, **shared)
                noise = attack_hub(Noise(Noise.config_class()), some, **shared)
            done = {"photos": []}
            for result, base in zip(found, noise, strict=True):
                write_images(run, [names[row] for row in part], result.eps, result.images)
                table = result.table.with_columns(
                    lists_noise=base.table["lists_after"],
                    exposure_noise=base.table["exposure_after"],
                )
                done["photos"] += [
                    finite({"item": names[row], "eps": result.eps} | line)
                    for row, line in zip(part, table.to_dicts(), strict=True)
                ]
            run.finish(cell, done)
        rows += done["photos"]
        if progress is not None:
            progress(f"attacking with {attack.name}", int(part[-1]) + 1, total)
    return write_table(run, "hubs", rows, COLUMNS)


def summarize_hubs(table: pl.DataFrame, *, eps: float, rng: Streams) -> dict[str, Any]:
    """Numbers at one budget, ready for JSON.

    Args:
        table: what ``run_hubs`` gives, at one budget.
        eps: the budget.
        rng: draws the resamples of the intervals.

    Returns:
        ``lists`` (of the targets) and ``exposure`` (lists of all items), each ``before``, ``noise``
        and ``after``: means over photos with bootstrap intervals; the largest L-inf; means of SSIM
        and effort.
    """
    generator = rng.numpy("bootstrap")
    counts = {
        what: {
            when: mean_estimate(table[f"{what}_{when}"].to_numpy(), generator).to_json()
            for when in ("before", "noise", "after")
        }
        for what in ("lists", "exposure")
    }
    means = ("ssim", "in_budget", "forwards", "backwards", "queries")
    return {
        "eps": eps,
        "effective_eps": effective_eps(eps),
        "levels": levels(eps),
        **counts,
        "linf": float(table["linf"].to_numpy().max()),
        **{name: float(table[name].to_numpy().mean()) for name in means},
        "dead": int(table["dead"].sum()),
    }
