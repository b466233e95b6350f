"""Made-up interactions drawn from a planted law, so that the best possible ranker is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from recsec.data.interactions import Raw
from recsec.data.made_up.planted import SUCCESSORS, Plant, optimal_scores
from recsec.data.made_up.titles import GENRES, made_up_titles
from recsec.data.sources.movielens import item_table
from recsec.errors import ConfigError
from recsec.runs.atomic import UNFINISHED
from recsec.settings import checked, parse_words
from recsec.types import IntArray

__all__ = ["SyntheticConfig", "best_hit_rate", "generate", "plant", "write_synthetic"]

ROUNDS = 30
"""Draws before the rows that keep hitting known items are drawn from their exact law instead."""
BLOCK = 2**27
"""Bytes of the table of who has what; users are drawn in blocks that fit."""


class SyntheticConfig(BaseModel):
    """Size and shape of made-up data.

    Attributes:
        users: U.
        items: N.
        length: mean items per user, at most a quarter of ``items``; 50 or that if None. Lengths
            spread around it as in real logs, from 5 up.
        clusters: genres with their own items.
        popularity: exponent of the power law of item popularity; 0 makes all alike.
        chain: share of steps that follow planted successors of the last item.
        restart: share of steps that start over anywhere in the catalog.
        seed: everything follows from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(default=1000, ge=1)
    items: int = Field(default=300, ge=20)
    length: int | None = Field(default=None, ge=5)
    clusters: int = Field(default=8, ge=2, le=len(GENRES))
    popularity: float = Field(default=0.7, ge=0, le=2)
    chain: float = Field(default=0.6, ge=0, le=1)
    restart: float = Field(default=0.1, gt=0, le=1)
    seed: int = Field(default=0, ge=0)

    @classmethod
    def parse(cls, text: str) -> SyntheticConfig:
        """From ``users=500,items=200``.

        Raises:
            ConfigError: an unknown word or a value out of range.
        """
        return cls.checked(parse_words(text, where="synthetic"))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> SyntheticConfig:
        """From texts or numbers, with one readable error.

        Raises:
            ConfigError: an unknown word or a value out of range.
        """
        config = checked(cls, values, where="synthetic")
        if config.mean_length > config.items // 4:
            raise ConfigError(
                f"synthetic: length={config.mean_length} needs items >= {4 * config.mean_length}, "
                f"found {config.items}: nobody meets an item twice"
            )
        return config

    def spec(self) -> str:
        """The name by which ``load`` makes this data; ``parse`` reads what follows the colon."""
        changed = self.model_dump(exclude_defaults=True)
        settings = ",".join(f"{key}={value}" for key, value in changed.items())
        return f"synthetic:{settings}" if settings else "synthetic"

    @property
    def mean_length(self) -> int:
        """Items per user, decided."""
        return self.length if self.length is not None else min(50, self.items // 4)


def plant(config: SyntheticConfig) -> Plant:
    """The law that ``generate(config)`` draws from."""
    rng = _stream(config, "plant")
    n, clusters = config.items, config.clusters
    weights = np.arange(1, n + 1, dtype=np.float64) ** -config.popularity
    popularity = np.concatenate([[0.0], rng.permutation(weights / weights.sum())])
    cluster = np.concatenate([[-1], rng.permutation(np.arange(n) % clusters)])
    moves = np.full((clusters, clusters), 0.1 / clusters)
    at = np.arange(clusters)
    moves[at, at] += 0.6
    moves[at, (at + 1) % clusters] += 0.3
    bare = Plant(popularity, cluster, moves, np.zeros((n + 1, 4), np.int64), 0.0, 1e-9)
    following = np.stack([bare.draw(np.arange(n + 1), rng) for _ in SUCCESSORS], axis=1)
    return Plant(popularity, cluster, moves, following, config.chain, config.restart)


def generate(config: SyntheticConfig) -> Raw:
    """Draw the interactions of ``config.users`` users, and titles, genres and years of items."""
    law = plant(config)
    lengths = _lengths(config)
    drawn = np.empty(int(lengths.sum()), dtype=np.uint32)
    rng = _stream(config, "draw")
    size = max(1, BLOCK // (config.items + 1))
    done = 0
    for start in range(0, config.users, size):
        part = lengths[start : start + size]
        flat = _draw_block(law, part, rng)
        drawn[done : done + len(flat)] = flat
        done += len(flat)
    noise = _stream(config, "ratings")
    liking = noise.normal(3.6, 0.6, config.items + 1)
    ratings = np.clip(np.rint(liking[drawn] + noise.normal(0, 0.8, len(drawn))), 1, 5)
    rows = pl.DataFrame(
        {
            "user": np.repeat(np.arange(1, config.users + 1), lengths),
            "item": drawn.astype(np.int64),
            "rating": ratings.astype(np.float32),
        }
    ).with_columns(pl.lit(None, dtype=pl.Int64).alias("time"))
    return Raw(rows, _items(config, law), ("synthetic: made-up users and items",))


def best_hit_rate(config: SyntheticConfig, *, k: int = 10, users: int = 500) -> float:
    """Estimate of the highest HR@k that any ranker can reach on the last items of this data.

    Drawn histories are given to the planted law; the probability that it gives to the k best
    items is averaged, which is exact for the histories that were drawn.

    Args:
        config: the data.
        k: list length.
        users: how many histories are drawn.
    """
    law = plant(config)
    rng = _stream(config, "best")
    lengths = _lengths(config)[:users] - 1
    flat = _draw_block(law, lengths, rng).astype(np.int64)
    histories = np.zeros((len(lengths), int(lengths.max())), dtype=np.int64)
    histories[np.arange(histories.shape[1]) < lengths[:, None]] = flat
    scores = optimal_scores(law, histories)
    chance = np.where(np.isfinite(scores), scores, 0.0)
    best = np.sort(chance, axis=1)[:, -k:].sum(axis=1)
    return float((best / chance.sum(axis=1)).mean())


def _stream(config: SyntheticConfig, name: str) -> np.random.Generator:
    from recsec.rng import Streams  # imports torch, which reading files does not need

    return Streams(config.seed).child("synthetic").numpy(name)


def _lengths(config: SyntheticConfig) -> IntArray:
    """``(U,)`` log-normal around the mean, from 5 to half of the catalog."""
    spread = 0.5
    drawn = _stream(config, "lengths").lognormal(
        np.log(config.mean_length) - spread**2 / 2, spread, config.users
    )
    return np.clip(np.rint(drawn), 5, config.items // 2).astype(np.int64)


def _draw_block(law: Plant, lengths: IntArray, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    """Histories of some users, one after the other, drawn one step of all users at a time."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    out = np.empty(int(offsets[-1]), dtype=np.uint32)
    has = np.zeros((len(lengths), len(law.popularity)), dtype=bool)
    last = np.zeros(len(lengths), dtype=np.int64)
    for step in range(int(lengths.max())):
        open_users = np.flatnonzero(lengths > step)
        for _ in range(ROUNDS):
            items = law.draw(last[open_users], rng)
            fresh = ~has[open_users, items]
            chosen, items = open_users[fresh], items[fresh]
            out[offsets[chosen] + step] = items
            open_users = open_users[~fresh]
            if len(open_users) == 0:
                break
        if len(open_users):
            out[offsets[open_users] + step] = _exact(law, last, has, open_users, rng)
        moved = np.flatnonzero(lengths > step)
        last[moved] = out[offsets[moved] + step]
        has[moved, last[moved]] = True
    return out


def _exact(
    law: Plant,
    last: IntArray,
    has: npt.NDArray[np.bool_],
    users: IntArray,
    rng: np.random.Generator,
) -> IntArray:
    """Draw from the law with known items left out: what endless rejection would converge to."""
    chance = np.where(has[users], 0.0, law.probabilities(last[users]))
    heights = np.cumsum(chance, axis=1)
    wanted = rng.random(len(users)) * heights[:, -1]
    place: IntArray = (heights <= wanted[:, None]).sum(axis=1)
    return place


def _items(config: SyntheticConfig, law: Plant) -> pl.DataFrame:
    """Titles, years, and one to three genres: the item's cluster first, then its neighbors."""
    rng = _stream(config, "items")
    years = 2024 - np.minimum(rng.geometric(0.06, config.items), 90)
    titles = made_up_titles(years, rng)
    count = rng.choice([1, 2, 3], size=config.items, p=[0.55, 0.35, 0.1])
    rows = []
    for place in range(config.items):
        home = int(law.cluster[place + 1])
        names = [GENRES[(home + step) % config.clusters] for step in range(int(count[place]))]
        rows.append((place + 1, titles[place], list(dict.fromkeys(names))))
    return item_table(rows)


def write_synthetic(config: SyntheticConfig, path: Path) -> int:
    """Write made-up interactions as a file of one's own: columns user, item, rating, time.

    Times are positions, as the data has no clock. The file appears whole or not at all.

    Args:
        config: what to draw.
        path: ``.csv`` or ``.parquet``.

    Returns:
        The number of rows.

    Raises:
        ConfigError: another suffix.
        OSError: the disk is full or the folder cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"cannot write {path}: expected a name ending in .csv or .parquet")
    rows = generate(config).rows
    users = rows["user"].to_numpy()
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    order = np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))
    rows = rows.with_columns(pl.Series("time", order))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        if path.suffix == ".csv":
            rows.write_csv(unfinished, float_precision=0)
        else:
            rows.write_parquet(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows.height
