"""``recsec evaluate``: how good a recommender is, for whom, and what its lists are like."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.answering import (
    AuthorisedOption,
    UsersOption,
    interval,
    open_guarded,
    open_source,
    plain_table,
    sample_users,
)
from recsec.cli.shared.common import (
    ColumnsOption,
    DataOption,
    GuardOption,
    JsonOption,
    ModelOption,
    QuietOption,
    SeedOption,
    open_data,
    parse_guards,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.visual.evaluate import LabelAttack, evaluate_photos
from recsec.cli.visual.opening import refuse_columns
from recsec.errors import UsageError

if TYPE_CHECKING:
    from recsec.evaluation import Evaluation, GroupRow
    from recsec.models.base import Recommender
    from recsec.stats import Estimate
    from recsec.types import Answerer

__all__ = ["run"]

RANKING = ("hr", "ndcg", "mrr", "coverage")
LISTS = {
    "popularity@10": "mean popularity percentile of the lists (catalog: 0.5)",
    "popularity_bias@10": "that, minus the same of the history",
    "genre_consistency@10": "Jaccard index of the genres of history and list",
    "genre_similarity@10": "weighted Jaccard of their genre shares",
    "year_shift@10": "release years, list minus history",
    "children_to_adult@10": "children's histories whose list holds adult items",
}
BY = {"activity": "By activity (quartiles of history length)", "genre": "By dominant genre"}


class Held(StrEnum):
    """Which item is held out."""

    TEST = "test"
    VALID = "valid"


class LabelAttacks(StrEnum):
    """Attacks on the predictions."""

    FGSM = "fgsm"
    PGD = "pgd"


def run(
    model: ModelOption,
    data: DataOption,
    columns: ColumnsOption = None,
    stage: Annotated[
        Held, typer.Option("--stage", help="Hold out the last item (test) or the one before.")
    ] = Held.TEST,
    k: Annotated[
        int, typer.Option("--k", min=1, help="Length of the lists that are asked for.")
    ] = 20,
    users: UsersOption = None,
    guard: GuardOption = None,
    seed: SeedOption = 0,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Write figures (SVG) here.")
    ] = None,
    attack: Annotated[
        LabelAttacks | None,
        typer.Option("--attack", help="Photos: also measure the predictions under an attack."),
    ] = None,
    eps: Annotated[
        float, typer.Option("--eps", min=0, max=1, help="Radius of the attack; 8/255 is 0.0314.")
    ] = 0.03,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Gradient steps of pgd.")] = 8,
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a recommender on held-out items.

    Leave-one-out with a full ranking and the history excluded: HR, NDCG and MRR, coverage,
    popularity bias, genre consistency, for all users and by group, with 95 % intervals. A model
    that only gives lists, or answers through a guard, is measured on its first K items.
    """
    from recsec.data import is_photos
    from recsec.evaluation import evaluate
    from recsec.rng import Streams

    if is_photos(data):
        refuse_columns(columns)
        if users is not None or figures is not None:
            raise UsageError("--users and --figures are about interactions; the data are photos")
        chosen_attack = (
            None
            if attack is None
            else LabelAttack(eps, 1 if attack == LabelAttacks.FGSM else steps)
        )
        evaluate_photos(model, data, stage=stage.value, seed=seed, attack=chosen_attack, json=json)
        return
    if attack is not None:
        raise UsageError(f"--attack changes photos; --data {data} names interactions")
    streams = Streams(seed).child("evaluate")
    dataset = open_data(data, columns)
    split = dataset.split()
    guards = parse_guards(guard)
    if guards:
        source: Recommender | Answerer = open_guarded(model, guards, dataset)
    else:
        source, _ = open_source(model, dataset, authorised=authorised)
    chosen = sample_users(split, users, streams.numpy("users"))
    with progress() as report:
        found = evaluate(source, split, stage=stage.value, users=chosen, depth=k, progress=report)
    estimates = found.estimates(streams.numpy("metrics"))
    groups = found.groups(streams.numpy("groups"))
    confusion = found.genre_confusion()
    genres = split.catalog.genre_names
    written = _figures(figures, groups, genres, confusion, estimates.get("hr@10"))
    result: dict[str, Any] = {
        "protocol": found.protocol,
        "model": model,
        "guards": guard or [],
        "data": data,
        "synthetic": dataset.synthetic,
        **estimates,
        "left_out": found.left_out,
        "defects": list(found.defects),
        "groups": groups,
        "genre_confusion": {"genres": genres, "shares": confusion},
        "figures": [str(path) for path in written],
    }
    emit(result, lambda out: _render(out, found, estimates, groups), json=json)
    for defect in found.defects:
        note(f"warning: {defect}")
    if dataset.synthetic:
        note("the data is synthetic: these numbers say nothing about real users")
    for path in written:
        note(f"figure: {path}")


def _figures(
    folder: Path | None,
    groups: list[GroupRow],
    genres: list[str],
    confusion: Any,
    overall: Estimate | None,
) -> list[Path]:
    """Draw what the data allow; the paths of the files."""
    if folder is None:
        return []
    if not genres:
        note("no figures: the items have no genres")
        return []
    import numpy as np

    from recsec.reports.figures.evaluation import genre_confusion, hr_by_genre
    from recsec.runs import atomic_write_text

    rows = [
        (row.group, row.users, row.metrics["hr@10"])
        for row in groups
        if row.by == "genre" and "hr@10" in row.metrics
    ]
    drawn = {}
    if not np.isnan(confusion).all():
        drawn["genre-confusion.svg"] = genre_confusion(genres, confusion)
    if rows and overall is not None:
        drawn["hr-by-genre.svg"] = hr_by_genre(rows, overall)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in drawn.items():
        atomic_write_text(folder / name, text)
    return [folder / name for name in sorted(drawn)]


def _render(
    out: Console, found: Evaluation, estimates: dict[str, Estimate], groups: list[GroupRow]
) -> None:
    """The tables."""
    cutoffs = found.cutoffs
    table = plain_table("Ranking", ["", *(f"@{k}" for k in cutoffs)])
    for name in RANKING:
        table.add_row(name, *(interval(estimates[f"{name}@{k}"]) for k in cutoffs))
    out.print(table)
    table = plain_table("Lists of 10", ["", "mean", "users", "what it is"])
    table.columns[3].justify, table.columns[3].no_wrap = "left", False
    for name, what in LISTS.items():
        if name in estimates:
            value = estimates[name]
            table.add_row(name.removesuffix("@10"), interval(value), str(value.n), what)
    out.print(table)
    for name, reason in found.left_out.items():
        out.print(f"{name} is left out: {reason}", markup=False)
    for by, title in BY.items():
        rows = [row for row in groups if row.by == by]
        if rows:
            out.print(_group_table(title, rows))
    out.print(found.protocol, markup=False)


def _group_table(title: str, rows: list[GroupRow]) -> Any:
    """HR, consistency, year shift and crossing of each group."""
    columns = {
        "hr@10": "HR@10",
        "genre_consistency@10": "consistency",
        "year_shift@10": "year shift",
        "children_to_adult@10": "to adult",
    }
    known = {name: label for name, label in columns.items() if name in rows[0].metrics}
    table = plain_table(title, ["group", "users", *known.values()])
    for row in rows:
        cells = (
            interval(row.metrics[name], digits=1 if name == "year_shift@10" else 3)
            for name in known
        )
        table.add_row(row.group, str(row.users), *cells)
    return table
