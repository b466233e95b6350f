"""From the words that ``--model`` takes to something that answers histories."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import UsageError
from recsec.runs import atomic_write_text, digest
from recsec.sources import is_folder, kind_of_source, require

if TYPE_CHECKING:
    import numpy as np

    from recsec.data import Catalog, Dataset, Reading, Split
    from recsec.models import Recommender
    from recsec.targets import Target
    from recsec.types import Answerer, IntArray

__all__ = [
    "as_owner",
    "data_of",
    "guarded_plan",
    "open_api",
    "open_checkpoint_folder",
    "open_data",
    "open_guarded",
    "open_model",
    "open_source",
    "open_target_to_serve",
    "popular_at_first",
    "sample_users",
]

OWNER = "owner"

FILES = ("key", "people")
"""Settings of guards that name files."""


def open_data(
    name: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    sep: str | None = None,
    time_format: str | None = None,
    drop_bad: bool = False,
    filters: Mapping[str, Any] | None = None,
    catalog: str | Path | None = None,
) -> Dataset:
    """Interactions, as ``--data`` takes them.

    Args:
        name: a known data set (``ml-1m``), ``synthetic:users=500,items=200``, or a table: CSV,
            JSON Lines, Parquet, a folder of parts.
        columns: of an own table, our names (user, item, time, rating) to the file's.
        sep: between its fields; told from the file if None.
        time_format: of its times: ``s``, ``ms``, ``us``, ``ns`` or a pattern.
        drop_bad: leave out rows that do not fit; ``report.left_out`` counts them.
        filters: which interactions count, such as ``{"min_item": 1}``.
        catalog: a table of items: ids, titles, genres, years.

    Returns:
        ``catalog``, ``interactions.table`` (polars, user and item numbers from 1) and more.

    Raises:
        ConfigError: an option does not fit, or the name is one of photos.
        DataError: missing, broken or empty data.
    """
    from recsec.data import Reading, load_as
    from recsec.settings import checked

    said = {
        "columns": dict(columns or {}),
        "sep": sep,
        "time_format": time_format,
        "drop_bad": drop_bad,
        "filters": dict(filters or {}),
        "catalog": None if catalog is None else str(catalog),
    }
    return load_as(name, checked(Reading, said, where="open_data"))


def data_of(model: str) -> Dataset:
    """The data that a checkpoint was trained on, as they were.

    Raises:
        UsageError: nothing is known of them.
        DataError: they are gone, or changed since.
    """
    from recsec.targets import remembered

    return remembered(model).load(whose=Path(model))


def open_checkpoint_folder(spec: str) -> Recommender:
    """The recommender in the checkpoint folder that the words name.

    Raises:
        UsageError: the words name a target, not a checkpoint, or nothing at all.
        CheckpointError: the folder is no checkpoint.
    """
    if not is_folder(spec):
        require(["weights"], f"--model {spec}", ["ids"], who="this command", threat="extraction")
    from recsec import models

    return models.load(Path(os.path.expanduser(spec)))


def open_model(
    spec: str, data: Dataset | None = None, *, authorised: bool = False
) -> Recommender | Target:
    """What the words name.

    Args:
        spec: any source of ``recsec.sources`` for sequences.
        data: whose catalog it speaks; a checkpoint has its own.
        authorised: the owner of a target that is not on this machine agreed to be queried.

    Raises:
        UsageError: the words name nothing that recsec can open.
        CheckpointError: the folder is no checkpoint.
        TargetError: the target does not answer as it must.
    """
    if is_folder(spec):
        return open_checkpoint_folder(spec)
    if data is None:
        raise UsageError(f"--model {spec} needs --data: its items are not known otherwise")
    from recsec.targets import LocalTarget, open_target

    counts = data.split().train.counts
    found = open_target(spec, data.catalog, authorised=authorised, counts=counts)
    return found.recommender if isinstance(found, LocalTarget) else found


def open_api(spec: str, data: Dataset, *, authorised: bool = False) -> Target:
    """What the words name, as a client reaches it.

    Raises:
        RecsecError: as ``open_model``.
    """
    from recsec.targets import open_target

    counts = data.split().train.counts
    return open_target(spec, data.catalog, authorised=authorised, counts=counts)


def open_source(
    spec: str, data: Dataset | None, *, authorised: bool
) -> tuple[Recommender | Answerer, Catalog]:
    """What the words name, as something that answers histories, and its items.

    A target is asked in the name of the account ``owner``.
    """
    from recsec.models import Recommender

    found = open_model(spec, data, authorised=authorised)
    if isinstance(found, Recommender):
        return found, found.catalog
    return as_owner(found), found.catalog


def open_target_to_serve(spec: str, data: Dataset | None, *, authorised: bool) -> Target:
    """What the words name, as it answers accounts.

    Args:
        spec: see ``open_model``; a checkpoint, also one behind guards, brings its own items.
        data: whose items a callable or an HTTP target ranks, and what is popular among them: that
            is what an account without events gets.
        authorised: see ``open_model``.
    """
    from recsec import models
    from recsec.models import Recommender
    from recsec.targets import LocalTarget, open_target, read_guarded

    counts = None if data is None else data.split().train.counts
    path = Path(os.path.expanduser(spec))
    guarded = read_guarded(path) if spec.endswith(".toml") else None
    if guarded is not None and guarded.checkpoint is not None:
        catalog = models.load(guarded.checkpoint.expanduser()).catalog
        return open_target(spec, catalog, authorised=authorised, counts=counts)
    found = open_model(spec, data, authorised=authorised)
    return LocalTarget(found, counts=counts) if isinstance(found, Recommender) else found


def open_guarded(
    spec: str, tables: Sequence[Mapping[str, Any]], data: Dataset, *, authorised: bool = False
) -> Answerer:
    """A source behind guards, as it answers the account ``owner``.

    Raises:
        UsageError: a guard needs scores, and ``spec`` gives lists.
        ConfigError: a guard does not exist or does not fit.
        RecsecError: as ``open_model``.
    """
    from recsec.targets import guarded_target, refuse_guards

    refuse_guards(tables, f"--model {spec}", kind_of_source(spec, "extraction").gives)
    split = data.split()
    found = open_api(spec, data, authorised=authorised)
    return as_owner(guarded_target(found, tables, train=split.train, name=f"--model {spec}"))


def guarded_plan(
    model: str,
    tables: Sequence[Mapping[str, Any]],
    *,
    data: str,
    reading: Reading,
    out: Path,
    twins: int,
) -> dict[str, Any]:
    """The ``[target]`` of a plan that attacks a source behind guards.

    The target is described in a file beside ``out``. Its name holds a digest of guards, keys and
    weights, so a run directory belongs to exactly these.

    Args:
        model: a source.
        tables: name and settings of each guard.
        data: the data set, for the popularity of items.
        reading: what is said about it.
        out: the run directory.
        twins: how many independent models to train like the checkpoint.

    Raises:
        UsageError: a guard needs scores, and the source gives lists.
        CheckpointError: a checkpoint is missing or broken.
        ConfigError: a guard does not fit.
    """
    from recsec.models import read_config
    from recsec.targets import read_guarded, refuse_guards

    kind = kind_of_source(model, "extraction")
    refuse_guards(tables, f"--model {model}", kind.gives)
    file = read_guarded(Path(model).expanduser()) if kind.name == "guarded" else None
    if file is not None:  # one file names all guards, in their order
        model, tables = file.source, [*file.guards, *tables]
    here = is_folder(model)
    folder = Path(model).expanduser().resolve()
    config = read_config(folder) if here else {}
    guards = [{name: _resolved(name, value) for name, value in table.items()} for table in tables]
    table_file = Path(data).expanduser()
    described = str(table_file.resolve()) if table_file.is_file() else data
    weights = folder / "model.safetensors"  # none, where it is no folder
    held = [weights, *(Path(table[name]) for table in guards for name in FILES if name in table)]
    content = [path.read_bytes().hex() for path in held if path.is_file()]
    told = {"guards": guards, "data": described, "columns": reading.columns, "content": content}
    told |= {} if here else {"model": model}
    name = digest({**told, **reading.said()})[:12]
    path = out.with_name(f"{out.name}.target-{name}.toml")
    source = f"checkpoint = {json.dumps(str(folder))}" if here else f"model = {json.dumps(model)}"
    lines = [source, f"data = {json.dumps(described)}"]
    lines += _lines(reading.said())
    for table in guards:
        lines += ["", "[[guards]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    atomic_write_text(path, "\n".join(lines) + "\n")
    seed = config.get("seed")
    recipe: dict[str, Any] = {"count": twins}
    if isinstance(seed, int):
        recipe |= {"model": config["model"], "settings": config["config"]}
    names = " + ".join([folder.name if here else model, *(str(table["name"]) for table in guards)])
    return {
        "model": os.path.relpath(path),
        "name": names,
        "twins": recipe,
        "seed": seed if isinstance(seed, int) else 0,
    }


def _resolved(name: str, value: Any) -> Any:
    return str(Path(value).expanduser().resolve()) if name in FILES else value


def _lines(values: Mapping[str, Any], before: str = "") -> list[str]:
    """Plain data as lines of TOML, tables by dotted keys."""
    return [
        line
        for key, value in values.items()
        for line in (
            _lines(value, f"{before}{key}.")
            if isinstance(value, Mapping)
            else [f"{before}{key} = {_toml(value)}"]
        )
    ]


def _toml(value: Any) -> str:
    """A scalar or a list of scalars; JSON writes them as TOML does."""
    return json.dumps(value)


class _Owner:
    """A target as it answers the account ``owner``."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def __call__(self, histories: IntArray, k: int) -> IntArray:
        return self.target.query(OWNER, histories, k)


def as_owner(target: Target) -> Answerer:
    """A target as it answers the account ``owner``."""
    return _Owner(target)


def popular_at_first(answer: Answerer, counts: IntArray) -> Answerer:
    """An answerer that gives a history of no items what is popular, and asks about the others.

    Args:
        answer: who is asked; many functions and APIs fail where there is no newest item.
        counts: ``(N + 1,)`` how often each item was chosen.
    """
    from recsec.targets.base import popular_first

    def answered(histories: IntArray, k: int) -> IntArray:
        return popular_first(lambda rows: answer(rows, k), histories, k, counts)

    return answered


def sample_users(split: Split, count: int | None, rng: np.random.Generator) -> IntArray | None:
    """User numbers of a sample, sorted; None stands for all users."""
    import numpy as np

    total = len(split.full)
    if count is None or count >= total:
        return None
    return np.sort(rng.choice(total, count, replace=False)).astype(np.int64)
