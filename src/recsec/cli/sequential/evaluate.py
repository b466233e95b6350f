"""The part of ``recsec evaluate`` that is about recommenders of sequences."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.text import Text

from recsec.cli.sequential.answering import note_unknown, unknown_json
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.reading import open_data, told_name
from recsec.cli.shared.tables import group_table, interval, plain_table
from recsec.errors import UsageError
from recsec.library.opening import open_guarded, open_source
from recsec.library.recommender import measure
from recsec.settings import parse_guards
from recsec.sources import refuse_source

if TYPE_CHECKING:
    from recsec.data import Split
    from recsec.evaluation import Evaluation, GroupRow
    from recsec.models.base import Recommender
    from recsec.stats import Estimate
    from recsec.types import Answerer, Progress

__all__ = ["evaluate_sequences"]

SHOWN = 20
"""Places that the command asks for by default; a smaller catalog has fewer."""
RANKING = ("hr", "ndcg", "mrr", "coverage")
LISTS = {
    "popularity@10": "mean popularity percentile of the lists (catalog: 0.5)",
    "popularity_bias@10": "that, minus the same of the history",
    "genre_consistency@10": "Jaccard index of the genres of history and list",
    "genre_similarity@10": "weighted Jaccard of their genre shares",
    "year_shift@10": "release years, list minus history",
    "children_to_adult@10": "children's histories whose list holds adult items",
}
WORSE = {
    "worse": "unseen people served worse (fewer than half of the items due)",
    "worse_fitted": "the same, behind guards that are fitted to other unseen people",
}
BY = {"activity": "By activity (quartiles of history length)", "genre": "By dominant genre"}
GROUP_COLUMNS = {
    "hr@10": "HR@10",
    "genre_consistency@10": "consistency",
    "year_shift@10": "year shift",
    "children_to_adult@10": "to adult",
}


def evaluate_sequences(
    model: str,
    data: str | None,
    *,
    columns: str | None,
    stage: Literal["test", "valid"],
    k: int,
    users: int | None,
    guard: list[str] | None,
    unseen: int | None,
    people: Path | None,
    seed: int,
    figures: Path | None,
    authorised: bool,
    json: bool,
) -> None:
    """Measure a recommender on held-out items; the arguments are the options of the command.

    Raises:
        UsageError: the words name nothing that can be opened.
        DataError: missing, broken or empty data.
    """
    dataset = open_data(data, columns, model=model)
    if k > max(SHOWN, len(dataset.catalog)):
        raise UsageError(f"--k {k}: the catalog has {len(dataset.catalog):,} items")
    k = min(k, len(dataset.catalog))
    guards = parse_guards(guard)
    if unseen is not None and not guards:
        raise UsageError("--unseen asks whom guards serve worse", hint="add --guard misinform")
    if unseen is not None:
        refuse_source("evaluate --unseen", model)
    if people is not None and unseen is None:
        raise UsageError("--people keeps what unseen users choose", hint="add --unseen 1000")
    if guards:
        source: Recommender | Answerer = open_guarded(model, guards, dataset, authorised=authorised)
    else:
        source, _ = open_source(model, dataset, authorised=authorised)
    with progress() as report:
        quality = measure(
            source, dataset, stage=stage, k=k, users=users, seed=seed, progress=report
        )
        strangers = _unseen(model, guards, dataset.split(), unseen, people, seed, report)
    found, estimates, groups = quality.evaluation, quality.estimates, quality.groups
    confusion = found.genre_confusion()
    genres = dataset.catalog.genre_names
    written = _figures(figures, groups, genres, confusion, estimates.get("hr@10"))
    result: dict[str, Any] = {
        "protocol": found.protocol,
        "model": model,
        "guards": guard or [],
        "data": told_name(data, dataset),
        "synthetic": dataset.synthetic,
        **estimates,
        "unseen": strangers,
        "left_out": found.left_out,
        "defects": list(found.defects),
        "unknown_ids": unknown_json(quality.unknown),
        "seen_test_items": {"suspicious": quality.seen.suspicious, **vars(quality.seen)},
        "groups": groups,
        "genre_confusion": {"genres": genres, "shares": confusion},
        "figures": [str(path) for path in written],
    }
    emit(result, lambda out: _render(out, found, estimates, groups), json=json)
    for who, share in (strangers or {}).items():
        if share is not None:
            note(
                f"{WORSE[who]}: {share.value:.2%} [{share.low:.2%}, {share.high:.2%}] of {share.n}"
            )
    for defect in found.defects:
        note(f"warning: {defect}")
    note_unknown(quality.unknown)
    if quality.seen.suspicious:
        note(f"warning: {quality.seen.said()}")
    note_synthetic(dataset.synthetic)
    for path in written:
        note(f"figure: {path}")


def _unseen(
    model: str,
    guards: list[dict[str, Any]],
    split: Split,
    users: int | None,
    people: Path | None,
    seed: int,
    report: Progress,
) -> dict[str, Estimate | None] | None:
    """Train without some users, and see what they are served; None where nobody asks for it."""
    if users is None:
        return None
    from recsec.models import Training
    from recsec.rng import Streams
    from recsec.targets import unseen_served_worse

    with TemporaryDirectory() as folder:
        found = unseen_served_worse(
            Path(model).expanduser(),
            guards,
            split,
            users=users,
            k=10,
            rng=Streams(seed).child("evaluate").numpy("unseen"),
            training=Training(progress=report),
            people=people or Path(folder) / "people.json",
        )
    return {"worse": found.worse, "worse_fitted": found.fitted}


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
        out.print(f"{name} is left out: {reason}")
    for by, title in BY.items():
        rows = [row for row in groups if row.by == by]
        if rows:
            out.print(group_table(title, rows, GROUP_COLUMNS, _group_cell))
    out.print(found.protocol)


def _group_cell(name: str, value: Estimate) -> Text:
    return interval(value, digits=1 if name == "year_shift@10" else 3)
