"""A recommender behind guards, described in a file: ``--model guarded.toml``.

checkpoint = "runs/sasrec"      # or model = "callable:shop:recommend", or another source
data = "ml-1m"          # for guards that need histories, or the popularity of items

[[guards]]              # guards act in the order given
name = "watermark"
key = "owner.key"
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from recsec import models
from recsec.data import Reading
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError, TargetError, UsageError
from recsec.models import Recommender, Remembered
from recsec.sources import Capability, is_folder, kind_of_source, require
from recsec.targets.base import Target
from recsec.targets.foreign import ForeignRecommender, capabilities_of
from recsec.targets.guards import Surroundings, Watermark, build_guards, configured
from recsec.targets.listed import GuardedLists
from recsec.targets.local import LocalTarget
from recsec.text import placed
from recsec.types import IntArray

__all__ = [
    "GuardedFile",
    "ServedTarget",
    "guarded_target",
    "more_marked",
    "open_checkpoint",
    "read_guarded",
    "refuse_guards",
    "remembered",
]


class GuardedFile(Reading):
    """What the file may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    checkpoint: Path | None = Field(None, description="folder of the recommender")
    model: str | None = Field(None, description="in its place, any other source")
    data: str | None = Field(None, description="data set whose training part gives popularity")
    guards: tuple[dict[str, Any], ...] = Field(description="name and settings of each guard")

    @model_validator(mode="after")
    def _one_source(self) -> GuardedFile:
        if (self.checkpoint is None) == (self.model is None):
            raise ValueError("give either checkpoint (a folder) or model (another source)")
        return self

    @property
    def source(self) -> str:
        """Whom it guards, in the words that ``--model`` takes."""
        return str(self.checkpoint.expanduser()) if self.checkpoint else str(self.model)


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


def more_marked(target: Target, bias: float) -> Target:
    """A target that carries a watermark, with a stronger one.

    Args:
        target: behind guards, as it is served.
        bias: of the watermark.

    Raises:
        ConfigError: it carries none, or one that is as strong.
    """
    if isinstance(target, ServedTarget):
        found = more_marked(target._target, bias)
        return ServedTarget(found) if isinstance(found, LocalTarget) else found
    if not isinstance(target, LocalTarget | GuardedLists) or not any(
        isinstance(one, Watermark) for one in target.guards
    ):
        raise ConfigError(
            f"{target!r} carries no watermark",
            hint='recsec serve guarded.toml, with [[guards]] name = "watermark"',
        )
    guards = [one.stronger(bias) if isinstance(one, Watermark) else one for one in target.guards]
    if isinstance(target, GuardedLists):
        return GuardedLists(target.target, guards)
    return LocalTarget(
        target.recommender,
        guards,
        chunk=target.chunk,
        pool=target.pool,
        exclude_history=target.exclude_history,
        counts=target.counts,
    )


def read_guarded(path: Path) -> GuardedFile | None:
    """The description in a TOML file; None where the file describes something else.

    Raises:
        ConfigError: it names a checkpoint, and something in it does not fit.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads it as an HTTP target says what is wrong
    if not {"checkpoint", "guards"} & set(values):
        return None
    try:
        return GuardedFile.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(placed(fault["loc"], fault["msg"].lower()) for fault in error.errors())
        raise ConfigError(
            f"{path}: {faults}", hint=f"keys: {', '.join(GuardedFile.model_fields)}"
        ) from error


def remembered(spec: str) -> Remembered:
    """The data that stand behind a source, where nobody names them.

    A checkpoint remembers what it was trained on; of a file with guards it is that of the
    checkpoint behind them.

    Args:
        spec: what ``--model`` takes.

    Raises:
        UsageError: nothing is known of its data.
        CheckpointError: the folder is no checkpoint, or what it remembers is damaged.
    """
    folder = Path(spec).expanduser() if is_folder(spec) else None
    if folder is None and kind_of_source(spec, "extraction").name == "toml":
        file = read_guarded(Path(spec).expanduser())
        folder = None if file is None or file.checkpoint is None else file.checkpoint.expanduser()
    if folder is None:
        raise UsageError(
            f"--model {spec} needs --data: its items are not known otherwise",
            hint="--data NAME, as recsec data list has them, or the path of a table",
        )
    found = models.recall(folder)
    if found is None:
        models.read_config(folder)
        raise UsageError(
            f"{folder} does not remember its data: an older version trained it, or somebody who "
            "did not name them",
            hint="--data NAME says on which data it was trained",
        )
    return found


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
    found: Recommender | Target,
    tables: Sequence[Mapping[str, Any]],
    *,
    train: Sequences | None,
    name: str = "",
) -> Target:
    """A recommender, or a target that only gives lists, behind guards, as it is served.

    Args:
        found: who ranks.
        tables: name and settings of each guard; see ``build_guards``.
        train: histories of the training data, if known.
        name: how errors call it.

    Raises:
        ConfigError: a guard does not exist or does not fit.
        UsageError: a guard needs scores, and there are only lists.
    """
    counts = None if train is None else train.counts
    if isinstance(found, LocalTarget) and not found.guards:
        counts = found.counts if counts is None else counts
        found = found.recommender
    if isinstance(found, Recommender):
        guards = build_guards(tables, Surroundings(found, train))
        return ServedTarget(LocalTarget(found, guards, counts=counts))
    refuse_guards(tables, name or repr(found), capabilities_of(found))

    def score(histories: IntArray) -> NoReturn:
        raise TargetError(f"{name} gives lists, no scores")

    nobody = ForeignRecommender(found.catalog, score, label=name or repr(found))
    return GuardedLists(found, build_guards(tables, Surroundings(nobody, train)))


def refuse_guards(
    tables: Sequence[Mapping[str, Any]], name: str, gives: Collection[Capability]
) -> None:
    """Say which guard asks for more than there is.

    Args:
        tables: name and settings of each guard.
        name: how errors call the source before which they are to stand.
        gives: what it can do.

    Raises:
        ConfigError: a guard does not exist or does not fit.
        UsageError: a guard needs scores, and there are only lists.
    """
    for kind, _ in configured(tables):
        need: tuple[Capability, ...] = ("ids",) if kind.on_lists else ("all-scores",)
        require(need, name, gives, who=f"the guard {kind.name}", threat="extraction")
