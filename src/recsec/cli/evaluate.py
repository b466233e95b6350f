"""``recsec evaluate``: how good a recommender is, for whom, and what its lists are like."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recsec.cli.sequential.evaluate import evaluate_sequences
from recsec.cli.shared.common import (
    AnyModelOption,
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    GuardOption,
    JsonOption,
    QuietOption,
    SeedOption,
    SepOption,
    TimeFormatOption,
    UsersOption,
)
from recsec.cli.shared.reading import CatalogOption, FiltersOption, KnownDataOption
from recsec.cli.visual.evaluate import LabelAttack, evaluate_photos
from recsec.cli.visual.opening import refuse_columns
from recsec.errors import UsageError

__all__ = ["run"]


class Held(StrEnum):
    """Which item is held out."""

    TEST = "test"
    VALID = "valid"


class LabelAttacks(StrEnum):
    """Attacks on the predictions."""

    FGSM = "fgsm"
    PGD = "pgd"


def run(
    model: AnyModelOption,
    data: KnownDataOption = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
    stage: Annotated[
        Held, typer.Option("--stage", help="Hold out the last item (test) or the one before.")
    ] = Held.TEST,
    k: Annotated[
        int, typer.Option("--k", min=1, help="Length of the lists that are asked for.")
    ] = 20,
    users: UsersOption = None,
    guard: GuardOption = None,
    unseen: Annotated[
        int | None,
        typer.Option(
            "--unseen",
            metavar="N",
            min=1,
            help="With --guard: train the recipe again without N users; how many of them are "
            "served worse?",
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people",
            metavar="FILE",
            help="With --unseen: keep what half of them choose, for --guard misinform:people=FILE.",
        ),
    ] = None,
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

    if data is not None and is_photos(data):
        refuse_columns(columns)
        if any(one is not None for one in (users, figures, unseen, people)):
            raise UsageError(
                "--users, --figures, --unseen and --people are about interactions; the data are "
                "photos"
            )
        chosen_attack = (
            None
            if attack is None
            else LabelAttack(eps, 1 if attack == LabelAttacks.FGSM else steps)
        )
        evaluate_photos(model, data, stage=stage.value, seed=seed, attack=chosen_attack, json=json)
        return
    if attack is not None:
        raise UsageError("--attack changes photos; the data are interactions")
    evaluate_sequences(
        model,
        data,
        columns=columns,
        stage=stage.value,
        k=k,
        users=users,
        guard=guard,
        unseen=unseen,
        people=people,
        seed=seed,
        figures=figures,
        authorised=authorised,
        json=json,
    )
