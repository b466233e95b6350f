"""What ``evaluate``, ``recommend`` and ``compare`` share: who answers, and how results look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from recsec.cli.shared.common import open_model
from recsec.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from recsec.data import Catalog, Dataset, Split
    from recsec.models.base import Recommender
    from recsec.stats import Estimate
    from recsec.targets.base import Target
    from recsec.types import Answerer, IntArray

__all__ = [
    "AuthorisedOption",
    "UsersOption",
    "genre_line",
    "interval",
    "items_table",
    "open_guarded",
    "open_source",
    "plain_table",
    "sample_users",
]

AuthorisedOption = Annotated[
    bool,
    typer.Option(
        "--i-am-authorised",
        help="The owner of an HTTP target that is not on this machine allows these queries.",
    ),
]
UsersOption = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=1,
        metavar="N",
        help="Measure on N users drawn with the seed, not on all: for a target that costs.",
    ),
]


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
    if spec.startswith(("callable:", "http://", "https://")) or spec.endswith(".toml"):
        raise UsageError(
            f"--guard stands before a checkpoint, not before {spec}",
            hint="a callable and an API bring their own guards",
        )
    from recsec.targets import guarded_target, open_checkpoint

    split = data.split()
    recommender = open_checkpoint(Path(spec).expanduser(), split.catalog)
    return _as_owner(guarded_target(recommender, tables, train=split.train))


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


def interval(estimate: Estimate | None, *, digits: int = 4, sign: bool = False) -> Text:
    """A value over its 95 % interval, two lines; a dash where there is none."""
    if estimate is None or estimate.value != estimate.value:
        return Text("-", style="dim")
    form = f"{'+' if sign else ''}.{digits}f"
    text = Text(format(estimate.value, form))
    if estimate.low is not None and estimate.high is not None:
        text.append(f"\n{estimate.low:{form}}..{estimate.high:{form}}", style="dim")
    return text


def plain_table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """A table in the house style: the first ``left`` columns flush left, numbers flush right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for at, column in enumerate(columns):
        words = at < left  # numbers keep their line, words give way
        table.add_column(
            column, justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    return table


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
