"""Several detectors watching one stream: fitted once, streaming, one p-value per account.

A folder of detectors:

DETECTORS/detectors.json       settings of each detector, protocol, assumptions
DETECTORS/detectors.safetensors   what they learned, scales, calibration; written last
DETECTORS/items.parquet        the catalog
DETECTORS/accounts.parquet     scores of every honest account of the fit and calibration groups
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.catalog import Catalog
from recsec.detection.base import Arrays, Detector
from recsec.detection.calibration import COMBINED, Calibration, Scale, combine
from recsec.detection.clusters import ClusterTest
from recsec.detection.population import Population
from recsec.detection.state import pack_names, read_arrays, unpack_names, write_arrays
from recsec.detection.sybil import Linker
from recsec.errors import CheckpointError, RunError
from recsec.registry import registry
from recsec.runs import atomic_write_json
from recsec.traffic import REPEATS, Follower, Query, QueryLog, Steps
from recsec.types import FloatArray, IntArray

__all__ = ["FORMAT", "PARTS", "TENSORS", "Fitted", "Watch"]

FORMAT = 4

TENSORS = "detectors.safetensors"

REFIT = "delete that file and run the command recsec detect fit that made it again"

PARTS = ("detectors.json", "items.parquet", TENSORS)
"""Files of a folder of detectors."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Detectors after fitting and calibration; nothing here changes while watching.

    Attributes:
        catalog: the items.
        detectors: by label; without accounts.
        scales: of the detectors that are combined.
        calibrations: by label, ``combined`` included.
        linker: finds sybils; None before calibration.
        protocol: what was assumed and how many accounts stand behind it.
        population: honest accounts when they were young; None in folders of an older recsec.
        alike: honest accounts that ask alike, for clusters to be compared with; None as well.
    """

    catalog: Catalog
    detectors: dict[str, Detector]
    scales: dict[str, Scale]
    calibrations: dict[str, Calibration]
    linker: Linker | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    population: Population | None = None
    alike: ClusterTest | None = None

    def save(self, folder: Path) -> None:
        """Write the folder; it is complete when its tensors are there.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TENSORS).unlink(missing_ok=True)
        self.catalog.save(folder / "items.parquet")
        settings = {
            label: {"detector": one.name, "config": one.config.model_dump(mode="json")}
            for label, one in self.detectors.items()
        }
        atomic_write_json(
            folder / "detectors.json",
            {
                "format": FORMAT,
                "detectors": settings,
                "combined": sorted(self.scales),
                "protocol": self.protocol,
            },
        )
        arrays: Arrays = {}
        for label, one in self.detectors.items():
            arrays |= {f"fitted/{label}/{name}": value for name, value in one.fitted.items()}
        for label, scale in self.scales.items():
            arrays[f"scale/{label}"] = np.array([scale.middle, scale.width])
        for label, calibration in self.calibrations.items():
            arrays["checkpoints"] = calibration.checkpoints
            for at, scores in enumerate(calibration.scores):
                arrays[f"honest/{label}/{at}"] = scores
            for at, habits in enumerate(calibration.habits):
                arrays[f"habits/{label}/{at}"] = habits
        if self.linker is not None:
            arrays["link/vectors"] = self.linker.vectors
            arrays["link/near"] = np.array([self.linker.near])
        told = {}
        if self.population is not None:
            kept, told["population"] = self.population.packed()
            arrays |= {f"population/{name}": value for name, value in kept.items()}
        if self.alike is not None:
            arrays |= {f"alike/{name}": value for name, value in self.alike.packed().items()}
        write_arrays(folder / TENSORS, arrays, told)

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        """Read a folder of detectors.

        Raises:
            CheckpointError: it is missing, incomplete, broken or of another format.
        """
        try:
            facts = json.loads((folder / "detectors.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{folder} is no folder of detectors: {error}",
                hint="recsec detect fit --model DIR --data NAME --out DETECTORS makes one",
            ) from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise CheckpointError(f"{folder / 'detectors.json'} is not of format {FORMAT}")
        arrays, told = read_arrays(folder / TENSORS, hint=REFIT)
        catalog = Catalog.load(folder / "items.parquet")
        try:
            return cls._assemble({**facts, **told}, arrays, catalog)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise CheckpointError(f"{folder} does not fit together: {error!r}") from error

    @classmethod
    def _assemble(cls, facts: dict[str, Any], arrays: Arrays, catalog: Catalog) -> Fitted:
        detectors = {}
        for label, settings in facts["detectors"].items():
            kind: type[Detector] = registry("detectors").get(settings["detector"])
            config = kind.config_class.model_validate(settings["config"])
            detectors[label] = kind(config, _under(f"fitted/{label}", arrays), catalog)
        checkpoints = arrays["checkpoints"]
        calibrations = {
            label: Calibration(
                checkpoints,
                tuple(arrays[f"honest/{label}/{at}"] for at in range(len(checkpoints))),
                tuple(
                    arrays[f"habits/{label}/{at}"]
                    for at in range(len(checkpoints))
                    if f"habits/{label}/{at}" in arrays
                ),
                allow=True,
            )
            for label in (*detectors, COMBINED)
        }
        scales = {
            label: Scale(checkpoints, *arrays[f"scale/{label}"]) for label in facts["combined"]
        }
        linker = Linker(arrays["link/vectors"], float(arrays["link/near"][0]))
        population = (
            Population.unpacked(_under("population", arrays), facts["population"])
            if "population" in facts
            else None
        )
        alike = ClusterTest.unpacked(_under("alike", arrays)) if "alike/null" in arrays else None
        told = facts["protocol"]
        return cls(catalog, detectors, scales, calibrations, linker, told, population, alike)

    def watch(self) -> Watch:
        """Start watching, without any account."""
        return Watch(self, {label: one.fresh() for label, one in self.detectors.items()})


class Watch:
    """Detectors with the state of a stream. See each detector for the bounds of its state.

    Args:
        fitted: what does not change.
        detectors: by label, with accounts.
    """

    def __init__(self, fitted: Fitted, detectors: dict[str, Detector]) -> None:
        self.fitted = fitted
        self.detectors = detectors
        self.follower = Follower()
        self.seen = 0
        """Queries observed; the place in a log where to go on."""
        self.log: dict[str, str] = {}
        """Name and check sum of the log whose beginning was observed, if it was one."""
        self._queries: dict[str, int] = {}
        self._repeats: dict[str, int] = {}

    def observe(self, steps: Steps) -> tuple[IntArray, dict[str, FloatArray]]:
        """Take note of followed queries.

        Returns:
            How many queries each one's account has made ``(n,)``, repeats left out, and by label
            the score ``(n,)`` of the account after the query, ``combined`` included.
        """
        scores = {label: one.observe(steps) for label, one in self.detectors.items()}
        order = np.argsort(steps.account, kind="stable")
        ordered = steps.account[order]
        first = np.searchsorted(ordered, np.arange(len(steps.accounts)))
        fresh = steps.kind != REPEATS
        total = np.concatenate([[0], np.cumsum(fresh[order])])
        made = np.array([self.judged(name) for name in steps.accounts], dtype=np.int64)
        queries = np.empty(len(steps), dtype=np.int64)
        queries[order] = total[1:] - total[first][ordered] + made[ordered]
        for kept, counted in ((self._queries, fresh | True), (self._repeats, ~fresh)):
            counts = np.bincount(steps.account[counted], minlength=len(steps.accounts))
            for name, count in zip(steps.accounts, counts.tolist(), strict=True):
                kept[name] = kept.get(name, 0) + count
        self.seen += len(steps)
        return queries, {**scores, COMBINED: combine(scores, queries, self.fitted.scales)}

    @property
    def names(self) -> list[str]:
        """The accounts that were seen, in the order of their first queries."""
        return list(self._queries)

    def judged(self, name: str) -> int:
        """Queries of an account that were no repeats."""
        return self._queries.get(name, 0) - self._repeats.get(name, 0)

    def observe_log(self, log: QueryLog, rows: IntArray) -> tuple[IntArray, dict[str, FloatArray]]:
        """``observe`` for some rows of a log, which are followed first."""
        return self.observe(self.follower.follow_rows(log, rows))

    def update(self, account: str, query: Query) -> float:
        """Take note of one live query; returns the account's p-value."""
        queries, scores = self.observe(self.follower.follow_one(account, query))
        calibration = self.fitted.calibrations[COMBINED]
        return float(calibration.p_values(scores[COMBINED], queries)[0])

    def standing(self, names: Sequence[str]) -> tuple[IntArray, IntArray, dict[str, FloatArray]]:
        """Of accounts ``(m,)`` that were seen: queries, judged queries, and a score per label."""
        queries = np.array([self._queries[name] for name in names], dtype=np.int64)
        judged = np.array([self.judged(name) for name in names], dtype=np.int64)
        scores: dict[str, FloatArray] = {}
        for label, one in self.detectors.items():
            found = dict(zip(*one.scores(), strict=True))
            scores[label] = np.array([found[name] for name in names], dtype=np.float64)
        scores[COMBINED] = combine(scores, judged, self.fitted.scales) if names else np.zeros(0)
        return queries, judged, scores

    def accounts(self) -> pl.DataFrame:
        """One row per account: ``id``, ``queries``, a score per label, ``p_value``; sorted by p.

        Judged are the queries that repeat none; ``queries`` counts all.
        """
        names = self.names
        queries, judged, scores = self.standing(names)
        p_values = self.fitted.calibrations[COMBINED].p_values(scores[COMBINED], judged)
        table = pl.DataFrame(
            {"id": pl.Series(names, dtype=pl.String), "queries": queries}
            | {f"score[{label}]": values for label, values in scores.items()}
            | {"p_value": p_values}
        )
        return table.sort("p_value", "id")

    def save(self, path: Path) -> None:
        """Write the state as one file, whole or not at all.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        write_arrays(path, *self.packed())

    def packed(self) -> tuple[Arrays, dict[str, Any]]:
        """The state as arrays and facts, for ``unpacked``."""
        arrays: Arrays = {
            name: np.array(list(kept.values()), dtype=np.int64)
            for name, kept in (("queries", self._queries), ("repeats", self._repeats))
        }
        self._keep(arrays, "accounts", list(self._queries))
        names, memory = self.follower.state()
        self._keep(arrays, "follower", names)
        arrays |= {f"follower/{name}": value for name, value in memory.items()}
        for label, one in self.detectors.items():
            names, kept = one.state()
            self._keep(arrays, f"detector/{label}", names)
            arrays |= {f"detector/{label}/{name}": value for name, value in kept.items()}
        return arrays, {"seen": self.seen, "log": self.log, **self._identity()}

    def _identity(self) -> dict[str, Any]:
        """What a state must agree with."""
        request = self.fitted.protocol.get("request")
        return {"format": FORMAT, "labels": sorted(self.detectors), "request": request}

    def _keep(self, arrays: Arrays, prefix: str, names: Sequence[str]) -> None:
        """Pack names, unless they are those of the accounts once more."""
        if (
            prefix != "accounts"
            and len(names) == len(self._queries)
            and names == list(self._queries)
        ):
            return
        arrays[f"{prefix}/names"], arrays[f"{prefix}/ends"] = pack_names(names)

    @classmethod
    def resume(cls, fitted: Fitted, path: Path) -> Watch:
        """Go on from ``save``: exactly as if it had never stopped.

        Raises:
            CheckpointError: the file is missing or broken.
            RunError: it belongs to other detectors.
        """
        hint = "delete that file: the same command reads the log from its beginning"
        return cls.unpacked(fitted, *read_arrays(path, hint=hint), name=f"the state {path}")

    @classmethod
    def unpacked(cls, fitted: Fitted, arrays: Arrays, facts: dict[str, Any], *, name: str) -> Watch:
        """Go on from ``packed``.

        Raises:
            RunError: it belongs to other detectors.
        """
        watch = fitted.watch()
        if {key: facts.get(key) for key in watch._identity()} != watch._identity():
            raise RunError(
                f"{name} belongs to other detectors: {facts.get('labels')}",
                hint="use the folder of detectors with which it was written, or another --state",
            )

        def under(prefix: str) -> tuple[list[str], Mapping[str, npt.NDArray[Any]]]:
            own = _under(prefix, arrays)
            if "names" not in own:
                return names, own
            return unpack_names(own.pop("names"), own.pop("ends")), own

        names = unpack_names(arrays["accounts/names"], arrays["accounts/ends"])
        watch._queries = dict(zip(names, arrays["queries"].tolist(), strict=True))
        watch._repeats = dict(zip(names, arrays["repeats"].tolist(), strict=True))
        followed, memory = under("follower")
        watch.follower = Follower.from_state(followed, dict(memory))
        for label, one in watch.detectors.items():
            one.restore(*under(f"detector/{label}"))
        watch.seen, watch.log = int(facts["seen"]), dict(facts.get("log") or {})
        return watch

    def merge(self, other: Watch) -> None:
        """Add what another watch with the same detectors saw.

        Accounts that only one of them saw come out exactly. Of an account in both, the other's
        queries count as later ones; see each detector for what that means.
        """
        for label, one in self.detectors.items():
            one.merge(other.detectors[label])
        self.follower.merge(other.follower)
        for mine, theirs in ((self._queries, other._queries), (self._repeats, other._repeats)):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        self.seen += other.seen


def _under(prefix: str, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Arrays whose names begin so, without it."""
    long = len(prefix) + 1
    return {name[long:]: value for name, value in arrays.items() if name.startswith(f"{prefix}/")}
