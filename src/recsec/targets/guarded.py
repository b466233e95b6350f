"""A checkpoint behind guards, described in a file: ``--model guarded.toml``.

checkpoint = "runs/sasrec"
data = "ml-1m"          # for guards that need histories, or the popularity of items

[[guards]]              # guards act in the order given
name = "watermark"
key = "owner.key"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from recsec import models
from recsec.data import Dialect
from recsec.data import load as load_data
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError, TargetError
from recsec.models import Recommender
from recsec.targets.base import Target
from recsec.targets.guards import Surroundings, build_guards
from recsec.targets.local import LocalTarget
from recsec.types import IntArray

__all__ = [
    "GuardedFile",
    "ServedTarget",
    "guarded_target",
    "open_checkpoint",
    "open_guarded",
    "read_guarded",
]


class GuardedFile(Dialect):
    """What the file may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    checkpoint: Path = Field(description="folder of the recommender")
    data: str | None = Field(None, description="data set whose training part gives popularity")
    columns: dict[str, str] = Field(
        default_factory=dict, description="of an own file: {user = .., item = .., time = ..}"
    )
    guards: tuple[dict[str, Any], ...] = Field(description="name and settings of each guard")


class ServedTarget:
    """A guarded target as everybody else reaches it: its answers, and nothing behind them.

    Whoever opens a guarded checkpoint measures what it serves, never the recommender inside.
    """

    def __init__(self, target: LocalTarget) -> None:
        self.catalog = target.catalog
        self.chunk = target.chunk
        self.pool = target.pool
        self.same_for_all = target.same_for_all
        self._target = target

    def __repr__(self) -> str:
        return f"ServedTarget({self._target!r})"

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``."""
        return self._target.query(account, histories, k)

    def follow(self, account: str, histories: IntArray) -> None:
        """See ``Stateful.follow``."""
        self._target.follow(account, histories)


def read_guarded(path: Path) -> GuardedFile | None:
    """The description in a TOML file; None where the file describes something else.

    Raises:
        ConfigError: it names a checkpoint, and something in it does not fit.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads it as an HTTP target says what is wrong
    if "checkpoint" not in values:
        return None
    try:
        return GuardedFile.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}"
            for fault in error.errors()
        )
        raise ConfigError(
            f"{path}: {faults}", hint=f"keys: {', '.join(GuardedFile.model_fields)}"
        ) from error


def open_checkpoint(path: Path, catalog: Catalog) -> Recommender:
    """The recommender in a checkpoint folder, which must rank the items of ``catalog``.

    Raises:
        CheckpointError: a missing or broken checkpoint.
        TargetError: it ranks other items.
    """
    recommender = models.load(path)
    if not np.array_equal(recommender.catalog.ids, catalog.ids):
        raise TargetError(
            f"the checkpoint {path} knows {len(recommender.catalog)} items, the data set "
            f"{len(catalog)}, and they are not the same in the same order",
            hint="name the data set and filters that the checkpoint was trained with",
        )
    return recommender


def guarded_target(
    recommender: Recommender, tables: Sequence[Mapping[str, Any]], *, train: Sequences | None
) -> Target:
    """A recommender behind guards, as it is served.

    Args:
        recommender: who ranks.
        tables: name and settings of each guard; see ``build_guards``.
        train: histories of the training data, if known.

    Raises:
        ConfigError: a guard does not exist or does not fit.
    """
    guards = build_guards(tables, Surroundings(recommender, train))
    return ServedTarget(LocalTarget(recommender, guards))


def open_guarded(file: GuardedFile, catalog: Catalog) -> Target:
    """The target that a file describes, over the items of ``catalog``."""
    recommender = open_checkpoint(file.checkpoint.expanduser(), catalog)
    train = None
    if file.data is not None:
        split = load_data(file.data, columns=file.columns or None, dialect=file.dialect).split()
        if not np.array_equal(split.catalog.ids, catalog.ids):
            raise ConfigError(f"the data {file.data!r} of the guards holds other items")
        train = split.train
    return guarded_target(recommender, file.guards, train=train)
