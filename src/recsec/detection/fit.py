"""Fit and calibrate detectors on honest traffic: three disjoint groups of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from recsec.data.sequences import Sequences
from recsec.detection.base import Detector, FitData
from recsec.detection.calibration import CHECKPOINTS, COMBINED, Calibration, Scale
from recsec.detection.clusters import ClusterTest
from recsec.detection.detectors.encoder import item_vectors
from recsec.detection.population import YOUNG, Population
from recsec.detection.sybil import Linker
from recsec.detection.watch import Fitted, Watch
from recsec.errors import ConfigError, DataError
from recsec.models.base import Recommender
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import LocalTarget, Target
from recsec.traffic import (
    MEASURED,
    PATTERNS,
    ClickLaw,
    Follower,
    Pattern,
    QueryLog,
    Steps,
    account_of,
    honest_log,
    pattern_log,
)
from recsec.types import FloatArray, IntArray, Progress

__all__ = [
    "FitConfig",
    "Groups",
    "account_table",
    "fit_detectors",
    "laws_around",
    "learn",
    "split_users",
]

BLOCK = 16_384
"""Queries that are observed together."""

LEAST = 20
"""Users per group below which nothing is fitted."""


def laws_around(law: ClickLaw) -> tuple[ClickLaw, ...]:
    """The laws that are fitted for a measured one: nobody follows lists, as measured, most do.

    Restarts are 0.02 and 0.1: how often a history starts anew is a matter of the client.
    """
    return (
        law.model_copy(update={"acceptance": 0.0, "restart": 0.1}),
        law.model_copy(update={"restart": 0.02}),
        law.model_copy(update={"acceptance": max(0.75, law.acceptance), "restart": 0.1}),
    )


class FitConfig(BaseModel):
    """How detectors are fitted: which, on how much traffic, under which assumed laws."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    detectors: dict[str, dict[str, Any]] = Field(
        {"accepted-rank": {}, "transition": {}, "off-list": {}, "continuity": {}, "asking": {}},
        description="detector and its settings",
    )
    combined: tuple[str, ...] = Field(
        ("accepted-rank", "transition", "off-list", "continuity"),
        description="labels that are combined",
    )
    laws: tuple[ClickLaw, ...] = Field(
        laws_around(MEASURED["trivago"].law(10)),
        min_length=1,
        description="click laws of honest users; the middle one goes with every pattern",
    )
    patterns: dict[str, Pattern] = Field(
        {name: one for name, one in PATTERNS.items() if name != "growing"},
        description="request patterns beside the growing history",
    )
    queries: int = Field(200, gt=0, description="queries per honest account")
    k: int = Field(10, gt=0, description="list length")
    users: int | None = Field(None, gt=0, description="at most so many users in each group")

    @property
    def usual(self) -> ClickLaw:
        """The law that goes with every pattern."""
        return self.laws[len(self.laws) // 2]


@dataclass(frozen=True, eq=False)
class Groups:
    """Three disjoint groups of user numbers; detectors never see the third."""

    fit: IntArray
    calibrate: IntArray
    test: IntArray


def split_users(
    sequences: Sequences, streams: Streams, *, least: int, most: int | None = None
) -> Groups:
    """Thirds of the users with at least ``least`` items, in random order; depends on the seed only.

    Raises:
        DataError: too few such users.
    """
    able = np.flatnonzero(sequences.lengths >= least)
    if len(able) < 3 * LEAST:
        many = len(sequences) >= 3 * LEAST
        enough = int(np.sort(sequences.lengths)[-3 * LEAST]) if many else 0
        raise DataError(
            f"{len(able)} users have at least {least} items; three groups need {3 * LEAST}",
            hint=f"--queries {enough}, the most that so many users have"
            if enough
            else f"use data of at least {3 * LEAST} users",
        )
    parts = np.array_split(streams.numpy("groups").permutation(able), 3)
    return Groups(*(np.sort(part[:most]) for part in parts))


def account_table(
    watch: Watch, log: QueryLog, checkpoints: Sequence[int], facts: Mapping[str, str]
) -> pl.DataFrame:
    """Watch a log and write down every account's scores after each number of queries.

    Returns:
        Columns ``account``, ``queries``, ``detector``, ``score`` and those of ``facts``: one row
        per account, checkpoint that it reached, and detector. Anyone can score detection from it.
    """
    wanted = np.array(checkpoints)
    parts = []
    for rows in log.blocks(BLOCK):
        queries, scores = watch.observe_log(log, rows)
        at = np.flatnonzero(np.isin(queries, wanted))
        names = [log.calls.account[row] for row in rows[at]]
        parts += [
            pl.DataFrame(
                {
                    "account": pl.Series(names, dtype=pl.String),
                    "queries": queries[at],
                    "detector": pl.Series([label] * len(at), dtype=pl.String),
                    "score": values[at],
                }
            )
            for label, values in scores.items()
        ]
    table = pl.concat(parts)
    # the count stands still while queries repeat
    table = table.unique(["account", "queries", "detector"], keep="first", maintain_order=True)
    return table.with_columns(pl.lit(value).alias(name) for name, value in facts.items())


def _by_checkpoint(
    table: pl.DataFrame, label: str, checkpoints: IntArray
) -> tuple[FloatArray, ...]:
    own = table.filter(pl.col("detector") == label)
    return tuple(
        own.filter(pl.col("queries") == count)["score"].sort().to_numpy().astype(np.float64)
        for count in checkpoints.tolist()
    )


def fit_detectors(
    recommender: Recommender | None,
    sequences: Sequences,
    config: FitConfig,
    *,
    streams: Streams,
    snapshots: Sequence[Path] = (),
    times: IntArray | None = None,
    target: Target | None = None,
    groups: Groups | None = None,
    progress: Progress | None = None,
) -> tuple[Fitted, pl.DataFrame, Groups]:
    """Fit on one group of users, calibrate on another, leave the third alone.

    Args:
        recommender: the model that is watched; None where only ``target`` is at hand.
        sequences: the users whose replay is the honest traffic.
        config: see ``FitConfig``.
        streams: randomness.
        snapshots: checkpoints saved while the recommender was trained, for ``hoda``.
        times: clock times of the items, if they are real.
        target: who answers, guards included; the bare recommender if None.
        groups: who fits, calibrates and is left alone; thirds at random if None.
        progress: is told what goes on.

    Returns:
        The detectors, the account table of both groups, and the groups.

    Raises:
        ConfigError: no such detector, or one that lacks what it needs.
        DataError: too few users, or users of another catalog than the recommender's.
    """
    answering = LocalTarget(recommender) if target is None and recommender else target
    if answering is None:
        raise ConfigError("there is neither a recommender nor a target to replay users against")
    if not answering.catalog.table["id"].equals(sequences.catalog.table["id"]):
        raise DataError(
            f"the recommender knows {len(answering.catalog)} items, the data has "
            f"{len(sequences.catalog)}, and they are not the same",
            hint="name the data set and filters that the checkpoint was trained with",
        )
    checkpoints = np.array([count for count in CHECKPOINTS if count <= config.queries] or [1])
    if config.queries < CHECKPOINTS[0]:
        checkpoints = np.array([config.queries])
    least = int(checkpoints[min(len(checkpoints) - 1, 2)])
    if groups is None:
        groups = split_users(sequences, streams, least=least, most=config.users)

    def traffic(name: str, users: IntArray, *, shared: bool) -> dict[str, QueryLog]:
        """Every law for its share of the users; every pattern for its share, or for all."""
        logs, parts = {}, 1 + len(config.patterns)
        everybody, users = users, (users[0::parts] if shared else users)
        for at, law in enumerate(config.laws):
            logs[law.label] = honest_log(
                answering,
                sequences,
                users[at :: len(config.laws)],
                law,
                queries=config.queries,
                k=config.k,
                rng=streams.child(name).numpy(f"law-{at}"),
                times=times,
                progress=progress,
            )
        for at, (label, pattern) in enumerate(config.patterns.items(), start=1):
            logs[label] = pattern_log(
                answering,
                sequences,
                everybody[at::parts] if shared else everybody,
                config.usual,
                pattern,
                queries=config.queries,
                k=config.k,
                rng=streams.child(name).numpy(f"pattern-{label}"),
                progress=progress,
            )
        return {label: log for label, log in logs.items() if len(log)}

    fit_logs = traffic("fit", groups.fit, shared=True)
    calibrate_logs = traffic("calibrate", groups.calibrate, shared=False)
    known = sequences.select(groups.fit[: len(groups.fit) // 2])
    protocol = {
        "honest_traffic": "replay of users under click laws and request patterns; not their own "
        "traffic on these lists",
        "patterns": sorted(config.patterns),
        "laws": [law.label for law in config.laws],
        "restart": [law.restart for law in config.laws],
        "times": "order only" if times is None else "clock times",
        "k": config.k,
        "queries": config.queries,
        "checkpoints": checkpoints.tolist(),
        "users": {name: len(part) for name, part in vars(groups).items()},
        "least_items": least,
        "held_out": "from the detectors, not from the training of the recommender",
        "seed": streams.seed,
    }
    fitted, table = learn(
        recommender,
        known,
        frozenset(account_of(one) for one in known.users),
        config,
        fit_logs,
        calibrate_logs,
        checkpoints=checkpoints,
        streams=streams,
        snapshots=snapshots,
        protocol=protocol,
        progress=progress,
    )
    return fitted, table, groups


def learn(
    recommender: Recommender | None,
    known: Sequences,
    accounts: frozenset[str],
    config: FitConfig,
    fit_logs: Mapping[str, QueryLog],
    calibrate_logs: Mapping[str, QueryLog],
    *,
    checkpoints: IntArray,
    streams: Streams,
    protocol: dict[str, Any],
    snapshots: Sequence[Path] = (),
    progress: Progress | None = None,
) -> tuple[Fitted, pl.DataFrame]:
    """Detectors from one group's traffic, calibration from another's.

    Args:
        recommender: the model that is watched.
        known: histories of half of the fit group.
        accounts: names of their accounts.
        config: which detectors.
        fit_logs: traffic of the fit group, by law or pattern.
        calibrate_logs: traffic of the calibration group.
        checkpoints: numbers of queries after which accounts are compared.
        streams: randomness.
        protocol: what is told of the fit.
        snapshots: checkpoints saved while the recommender was trained, for ``hoda``.
        progress: is told what goes on.

    Returns:
        The detectors, and the account table of both groups.
    """
    laws = {law.label for law in config.laws}
    data = FitData(
        catalog=known.catalog,
        histories=known,
        honest=tuple(_followed(log) for name, log in fit_logs.items() if name in laws),
        habits=tuple(_followed(log) for name, log in fit_logs.items() if name not in laws),
        streams=streams.child("detectors"),
        recommender=recommender,
        snapshots=tuple(snapshots),
        known=accounts,
    )
    detectors: dict[str, Detector] = {}
    for key, settings in config.detectors.items():
        kind: type[Detector] = registry("detectors").get(key.removesuffix("-raw"))
        raw = {"sessions": False} if key.endswith("-raw") else {}
        one = kind.fit(data, kind.config_class.model_validate({**raw, **settings}))
        detectors[one.label] = one
        if progress is not None:
            progress("fitting detectors", len(detectors), len(config.detectors))
    bare = Fitted(known.catalog, detectors, {}, {})
    fitting = _tables(bare, fit_logs, checkpoints, "fit")
    others = fitting.filter(~pl.col("account").is_in(sorted(accounts)))
    scales = {
        label: Scale.of(checkpoints, _by_checkpoint(others, label, checkpoints))
        for label in config.combined
    }
    combined = Fitted(known.catalog, detectors, scales, {})
    young = min(YOUNG, int(checkpoints[0]))
    everything = _tables(combined, calibrate_logs, np.append(checkpoints, young), "calibrate")
    calibrating = everything.filter(pl.col("queries").is_in(checkpoints.tolist()))
    patterns = [name for name in calibrate_logs if name not in laws]
    calibrations = {
        label: Calibration.of(
            calibrating.filter(pl.col("detector") == label), checkpoints, patterns, least=LEAST
        )
        for label in (*detectors, COMBINED)
    }
    vectors = item_vectors(
        known, recommender, width=32, rng=streams.child("sybils").numpy("vectors")
    )
    linker = Linker.fit(vectors, next(iter(calibrate_logs.values())))
    told = {
        **protocol,
        "p_values": "the largest over the patterns: honest accounts with as many queries; beyond "
        "their top tenth, a fitted tail; an allowance for their number",
    }
    population = Population.of(
        everything,
        config.combined,
        list(calibrate_logs),
        queries=young,
        rng=streams.child("population").numpy("rows"),
    )
    alike = ClusterTest.of(
        linker,
        calibrations[COMBINED],
        calibrating,
        calibrate_logs,
        rng=streams.child("clusters").numpy("halves"),
    )
    fitted = Fitted(known.catalog, detectors, scales, calibrations, linker, told, population, alike)
    return fitted, pl.concat([fitting, calibrating], how="diagonal")


def _followed(log: QueryLog) -> Steps:
    return Follower().follow_rows(log, np.arange(len(log)))


def _tables(
    fitted: Fitted, logs: Mapping[str, QueryLog], checkpoints: IntArray, group: str
) -> pl.DataFrame:
    """The account table of some logs, watched apart."""
    return pl.concat(
        account_table(
            fitted.watch(),
            log,
            checkpoints.tolist(),
            {"group": group, "law": law, "truth": "honest"},
        )
        for law, log in logs.items()
    )
