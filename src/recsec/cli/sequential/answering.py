"""Who answers histories, bare or behind guards, and how a list of items looks."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from recsec.cli.shared.common import open_model
from recsec.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from recsec.data import Catalog, Dataset, Split
    from recsec.models.base import Recommender
    from recsec.targets.base import Target
    from recsec.types import Answerer, IntArray

__all__ = [
    "genre_line",
    "guarded_plan",
    "items_table",
    "open_guarded",
    "open_source",
    "sample_users",
]

FILES = ("key", "people")
"""Settings of guards that name files."""


def open_source(
    spec: str, data: Dataset | None, *, authorised: bool
) -> tuple[Recommender | Answerer, Catalog]:
    """What ``--model`` names, as something that answers histories, and its items.

    A target is asked in the name of the account ``owner``.
    """
    from recsec.models.base import Recommender

    found = open_model(spec, data, authorised=authorised)
    if isinstance(found, Recommender):
        return found, found.catalog
    return _as_owner(found), found.catalog


def open_guarded(spec: str, tables: Sequence[Mapping[str, Any]], data: Dataset) -> Answerer:
    """A checkpoint behind guards, as it answers the account ``owner``.

    Raises:
        UsageError: ``spec`` names no checkpoint: only what answers on this machine can be guarded.
        ConfigError: a guard does not exist or does not fit.
    """
    _refuse_target(spec)
    from recsec.targets import guarded_target, open_checkpoint

    split = data.split()
    recommender = open_checkpoint(Path(spec).expanduser(), split.catalog)
    return _as_owner(guarded_target(recommender, tables, train=split.train))


def guarded_plan(
    model: str,
    tables: Sequence[Mapping[str, Any]],
    *,
    data: str,
    columns: Mapping[str, str],
    dialect: Mapping[str, Any],
    out: Path,
    twins: int,
) -> dict[str, Any]:
    """The ``[target]`` of a plan that attacks a checkpoint behind guards.

    The target is described in a file beside ``out``. Its name holds a digest of guards, keys and
    weights, so a run directory belongs to exactly these.

    Args:
        model: a checkpoint folder.
        tables: name and settings of each guard.
        data: the data set, for the popularity of items.
        columns: of an own file; see ``parse_columns``.
        dialect: what is said about it; see ``dialect_of_tables``.
        out: the run directory.
        twins: how many independent models to train like the checkpoint.

    Raises:
        UsageError: the words name no checkpoint.
        CheckpointError: it is missing or broken.
        ConfigError: a guard does not fit.
    """
    _refuse_target(model)
    from recsec.models import read_config
    from recsec.runs import atomic_write_text, digest
    from recsec.targets.guards import configured

    configured(tables)
    folder = Path(model).expanduser().resolve()
    config = read_config(folder)
    guards = [{name: _resolved(name, value) for name, value in table.items()} for table in tables]
    source = Path(data).expanduser()
    described = str(source.resolve()) if source.is_file() else data
    weights = folder / "model.safetensors"
    held = [weights, *(Path(table[name]) for table in guards for name in FILES if name in table)]
    content = [path.read_bytes().hex() for path in held if path.is_file()]
    told = {"guards": guards, "data": described, "columns": dict(columns), "content": content}
    name = digest({**told, **dialect})[:12]
    path = out.with_name(f"{out.name}.target-{name}.toml")
    lines = [f"checkpoint = {json.dumps(str(folder))}", f"data = {json.dumps(described)}"]
    lines += [f"columns.{name} = {json.dumps(theirs)}" for name, theirs in columns.items()]
    lines += [f"{key} = {_toml(value)}" for key, value in dialect.items()]
    for table in guards:
        lines += ["", "[[guards]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    atomic_write_text(path, "\n".join(lines) + "\n")
    seed = config.get("seed")
    recipe: dict[str, Any] = {"count": twins}
    if isinstance(seed, int):
        recipe |= {"model": config["model"], "settings": config["config"]}
    names = " + ".join([folder.name, *(str(table["name"]) for table in guards)])
    return {
        "model": os.path.relpath(path),
        "name": names,
        "twins": recipe,
        "seed": seed if isinstance(seed, int) else 0,
    }


def _resolved(name: str, value: Any) -> Any:
    return str(Path(value).expanduser().resolve()) if name in FILES else value


def _toml(value: Any) -> str:
    """A scalar or a list of scalars; JSON writes them as TOML does."""
    return json.dumps(value)


def _refuse_target(spec: str) -> None:
    if spec.startswith(("callable:", "http://", "https://")) or spec.endswith(".toml"):
        raise UsageError(
            f"--guard stands before a checkpoint, not before {spec}",
            hint="a callable and an API bring their own guards",
        )


def _as_owner(target: Target) -> Answerer:
    def answer(histories: IntArray, k: int) -> IntArray:
        return target.query("owner", histories, k)

    return answer


def sample_users(split: Split, count: int | None, rng: np.random.Generator) -> IntArray | None:
    """User numbers of a sample, sorted; None stands for all users."""
    import numpy as np

    total = len(split.full)
    if count is None or count >= total:
        return None
    return np.sort(rng.choice(total, count, replace=False)).astype(np.int64)


def items_table(catalog: Catalog, items: Sequence[int]) -> Table:
    """Numbered items with id, title and genres, one line each where ids are short."""
    ids = [str(catalog.ids[item - 1]) for item in items]
    table = Table(box=box.SIMPLE, expand=True)
    table.add_column("", justify="right", style="dim")
    table.add_column("id", justify="right", max_width=24, overflow="fold")
    table.add_column("title", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("genres", ratio=2, no_wrap=True, overflow="ellipsis")
    for at, (item, identifier) in enumerate(zip(items, ids, strict=True), start=1):
        genres = ", ".join(catalog.genres[item - 1])
        table.add_row(str(at), Text(identifier), Text(catalog.title(item)), Text(genres))
    return table


def genre_line(catalog: Catalog, items: Sequence[int], *, most: int = 4) -> str:
    """The most frequent genres of some items, such as ``Drama 6, Comedy 3``."""
    found = Counter(genre for item in items if item > 0 for genre in catalog.genres[item - 1])
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{genre} {count}" for genre, count in ranked[:most])
