"""HODA: how hard are the queries, judged by when the model's answer settled while it was trained?

Source: Sadeghzadeh, Sobhanian, Dehghan & Jalili, "HODA: Hardness-Oriented Detection of Model
Extraction Attacks", IEEE TIFS 2024 (arXiv 2106.11424).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from safetensors.numpy import load_file

from recsec.data.catalog import Catalog
from recsec.data.sequences import pad
from recsec.detection.base import Arrays, CountingDetector, DetectorConfig, FitData
from recsec.errors import ConfigError
from recsec.models.base import Recommender
from recsec.registry import registry
from recsec.traffic import Steps
from recsec.types import FloatArray, IntArray

__all__ = ["Hoda", "HodaConfig", "hardness"]

CHAINS = 256
"""Growing histories of an account whose hardness may still be replaced, newest kept."""

BATCH = 256


class HodaConfig(DetectorConfig):
    """Settings of ``Hoda``."""

    sessions: bool = Field(
        True, description="each growing history counts once; false: raw queries, as published"
    )
    snapshots: int = Field(5, gt=1, description="snapshots used, evenly spaced")


def hardness(answers: IntArray) -> IntArray:
    """The first snapshot from which on the answer stays the same; the last for one that never does.

    Args:
        answers: ``(n, E)`` the answer to each query by each snapshot, oldest first.

    Returns:
        ``(n,)`` 0 (easy) to E - 1 (hardest: it changed at the very end).

    >>> hardness(np.array([[7, 7, 7], [1, 7, 7], [1, 2, 3]]))
    array([0, 1, 2])
    """
    changes = answers[:, 1:] != answers[:, :-1]
    last = changes.shape[1] - np.argmax(changes[:, ::-1], axis=1)
    settled: IntArray = np.where(changes.any(axis=1), last, 0)
    return settled


class Hoda(CountingDetector):
    """HODA: Pearson distance of an account's histogram of hardness from that of honest users.

    Hardness is the first of the saved snapshots from which on the first item of the list stays the
    same. Needs a checkpoint trained with ``--snapshots``.

    State: one number per snapshot and, with ``sessions``, two per open history (at most 256). Raw
    counts merge exactly in any split, sessions where each account's queries stayed together.
    """

    name = "hoda"
    config_class = HodaConfig
    config: HodaConfig

    def __init__(
        self, config: Any, fitted: Mapping[str, npt.NDArray[Any]], catalog: Catalog
    ) -> None:
        super().__init__(config, fitted, catalog)
        self._models = self._load()
        self.width = len(self._models)
        self._heads: dict[int, dict[int, int]] = {}

    def _load(self) -> list[Recommender]:
        """The snapshots, from their tensors in ``fitted``."""
        recipe = json.loads(bytes(self.fitted["recipe"]))
        kind: type[Recommender] = registry("models").get(recipe["model"])
        config = kind.config_class.model_validate(recipe["config"])
        models = []
        for number in range(recipe["snapshots"]):
            prefix = f"snapshot-{number}/"
            tensors = {
                name.removeprefix(prefix): torch.from_numpy(np.array(value))
                for name, value in self.fitted.items()
                if name.startswith(prefix)
            }
            models.append(kind.from_state(self.catalog, config, tensors))
        return models

    @classmethod
    def fit(cls, data: FitData, config: Any) -> Self:
        """See ``Detector.fit``."""
        if data.recommender is None or len(data.snapshots) < 2:
            raise ConfigError(
                f"hoda needs at least 2 snapshots of the model, found {len(data.snapshots)}",
                hint="recsec train MODEL --data NAME --out DIR --snapshots 5",
            )
        picked = np.linspace(0, len(data.snapshots) - 1, config.snapshots).round().astype(int)
        paths = [data.snapshots[place] for place in dict.fromkeys(picked.tolist())]
        recipe = {
            "model": data.recommender.name,
            "config": data.recommender.config.model_dump(mode="json"),
            "snapshots": len(paths),
        }
        fitted: Arrays = {
            f"snapshot-{number}/{name.removeprefix('model.')}": value
            for number, path in enumerate(paths)
            for name, value in load_file(path).items()
        }
        fitted["recipe"] = np.frombuffer(json.dumps(recipe).encode(), dtype=np.uint8)
        fitted["normal"] = np.full(len(paths), 1 / len(paths))
        blank = cls(config, fitted, data.catalog)
        total = np.zeros(len(paths))
        for steps in data.honest:
            part = blank.fresh()
            part.observe(steps)
            total += part.counts.sum(axis=0)
        fitted["normal"] = total / total.sum()
        return cls(config, fitted, data.catalog)

    def settle(self, steps: Steps) -> IntArray:
        """Hardness ``(n,)`` of each query."""
        first = np.zeros((len(steps), self.width), dtype=np.int64)
        order = np.argsort(np.diff(steps.offsets), kind="stable")
        for start in range(0, len(steps), BATCH):
            rows = order[start : start + BATCH]
            histories = pad(
                steps.items[steps.offsets[row] : steps.offsets[row + 1]] for row in rows
            )
            for column, model in enumerate(self._models):
                first[rows, column] = model.top_k(histories, 1)[:, 0]
        return hardness(first)

    def increments(self, steps: Steps, codes: IntArray) -> IntArray:
        """One at each query's hardness; with sessions, its history's earlier one is taken back."""
        settled = self.settle(steps)
        added = np.zeros((len(steps), self.width), dtype=np.int64)
        added[np.arange(len(steps)), settled] = 1
        if self.config.sessions:
            for row, code in enumerate(codes.tolist()):
                heads = self._heads.setdefault(code, {})
                before = heads.pop(int(steps.chain[row]), None)
                if before is not None:
                    added[row, before] -= 1
                heads[int(steps.chain[row])] = int(settled[row])
                if len(heads) > CHAINS:
                    del heads[next(iter(heads))]
        return added

    def score(self, counts: IntArray) -> FloatArray:
        """See ``CountingDetector.score``: 1 - correlation, 0 (alike) to 2; 1 for no histogram."""
        normal = self.fitted["normal"] - self.fitted["normal"].mean()
        own = counts - counts.mean(axis=1, keepdims=True)
        size = np.linalg.norm(own, axis=1) * np.linalg.norm(normal)
        distance: FloatArray = 1 - (own @ normal) / np.where(size > 0, size, 1.0)
        return distance

    def state(self) -> tuple[list[str], Arrays]:
        """See ``Detector.state``."""
        names, arrays = super().state()
        heads = [
            (code, chain, settled)
            for code, chains in self._heads.items()
            for chain, settled in chains.items()
        ]
        arrays["heads"] = np.array(heads, dtype=np.int64).reshape(-1, 3)
        return names, arrays

    def restore(self, names: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """See ``Detector.restore``."""
        super().restore(names, arrays)
        self._heads = {}
        for code, chain, settled in arrays["heads"].tolist():
            self._heads.setdefault(code, {})[chain] = settled

    def merge(self, other: Self) -> None:
        """See ``Detector.merge``; of an account in both, histories stay apart."""
        super().merge(other)
        names = list(other._codes)
        for code, heads in other._heads.items():
            mine = self._heads.setdefault(self._codes[names[code]], {})
            shift = max(mine, default=-1) + 1
            mine.update({chain + shift: settled for chain, settled in heads.items()})
