"""Attacks on a visual search in an audit: asked one photo after the other, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from recsec.attacks.evasion import ListedPair, Square, Transfer, attack_listed, open_attack
from recsec.audit.engines import named
from recsec.audit.evasion.cells import EvasionCell
from recsec.audit.evasion.scene import open_catalog, pixels
from recsec.audit.evasion.tasks import AboutSearch, Asking, Checking, Tried
from recsec.audit.evasion.work import chunk_file
from recsec.errors import TargetError
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes, write_table
from recsec.targets.visual import ImageSearch, SearchFile, check_search, read_search_file
from recsec.types import Progress

__all__ = ["SCHEMA", "asked_folder", "asked_table", "attack_search", "check_shop", "uploads"]

SHOWN = 3
"""Photos that the pre-flight may upload."""
STOPS = 3
"""Pairs in a row that fail before a search is left alone."""
SCHEMA = {
    "attacker": pl.Int64,
    "target": pl.Int64,
    "rank_before": pl.Int64,
    "rank_after": pl.Int64,
    "cosine_before": pl.Float64,
    "cosine_after": pl.Float64,
    "linf": pl.Float64,
    "l2": pl.Float64,
    "psnr": pl.Float64,
    "ssim": pl.Float64,
    "in_budget": pl.Boolean,
    "forwards": pl.Int64,
    "backwards": pl.Int64,
    "queries": pl.Int64,
    "dead": pl.Int64,
    "pair": pl.Int64,
}
"""As every table of pairs has it; a list has no cosines."""


def uploads(cell: EvasionCell, search: SearchFile) -> int:
    """Photos that an attack uploads for one pair at most."""
    attack = open_attack(cell.attack.key, cell.attack.settings)
    relists = search.surface == "relist"
    asked = 2 + relists  # before, after, and the photo that an item gets back
    if isinstance(attack, Square):
        asked += attack.config.queries + (not relists)  # what is near the target
    return asked


def check_shop(told: Checking, progress: Progress) -> AboutSearch:
    """The pre-flight: photos of the catalog, as they are, find what they must."""
    del progress
    catalog, config = open_catalog(told.data), read_search_file(told.folder)
    rows = catalog.rows[catalog.held_out(told.split)[:SHOWN]]
    with ImageSearch(config, catalog.photos, authorised=told.authorised) as search:
        images = np.array(catalog.photos.pixels(rows, search.size))
        seen = check_search(search, images, rows)
    stated = ". The tester stated to be authorised (--i-am-authorised)" if told.authorised else ""
    return AboutSearch(
        name=search.name,
        size=config.size,
        k=config.k,
        surface=config.surface,
        seen=f"{seen}{stated}",
    )


def attack_search(told: Asking, progress: Progress) -> Tried:
    """Attack some pairs; a finished one is never asked about again.

    Raises:
        TargetError: a pair could not be measured. After ``STOPS`` in a row none is tried further.
    """
    said, run = named(progress, told.id), Path(told.run)
    catalog, config = open_catalog(told.data), read_search_file(told.folder)
    attack = open_attack(told.attack, told.settings)
    cpu = torch.device("cpu")
    surrogate = attack.ensemble(cpu) if isinstance(attack, Transfer) else None
    failures: list[TargetError] = []
    in_a_row = 0
    with ImageSearch(config, catalog.photos, authorised=told.authorised) as search:
        for done, number in enumerate(told.numbers):
            file = run / asked_folder(told.id) / f"{number}.json"
            if not file.exists():
                places = np.array([told.pairs.attackers[number], told.pairs.targets[number]])
                photos = pixels(catalog, places, config.size)
                scored = attack.access == "scores"
                pair = ListedPair(search, *catalog.rows[places].tolist(), scored=scored)
                try:
                    (line,), _ = attack_listed(
                        attack, pair, (photos[0], photos[1]), eps=[told.eps],
                        rng=Streams(told.seed).child(told.attack), surrogate=surrogate,
                        noise=False, key=number,
                    )  # fmt: skip
                except TargetError as error:
                    failures.append(error)
                    in_a_row += 1
                    if in_a_row == STOPS:
                        break
                    continue
                in_a_row = 0
                line |= {"attacker": int(places[0]), "target": int(places[1]), "pair": number}
                atomic_write_bytes(file, json.dumps(line).encode())
            said(told.attack, done + 1, len(told.numbers))
    if failures:
        raise TargetError(failures[0].message, hint=failures[0].hint)
    write_table(run / chunk_file(told.id), asked_table(run, told.id))
    return Tried(pairs=len(told.numbers))


def asked_folder(task: str) -> str:
    """Where in the run directory the finished pairs of a task are kept one by one."""
    return f"evasion/asked/{task}"


def asked_table(run: Path, task: str) -> pl.DataFrame:
    """What is known of a task, finished or not: the columns of every table of pairs."""
    files = sorted((run / asked_folder(task)).glob("*.json"), key=lambda file: int(file.stem))
    lines: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]
    none = {"cosine_before": float("nan"), "cosine_after": float("nan")}
    rows = [{name: (none | line)[name] for name in SCHEMA} for line in lines]
    table = pl.DataFrame(rows, schema=SCHEMA)
    return table.with_columns(pl.col("psnr").fill_null(float("inf")))
