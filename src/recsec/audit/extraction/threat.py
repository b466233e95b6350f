"""Extraction as a threat in audits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from recsec.attacks.extraction import leaked_users, make_policy, surrogate_config
from recsec.audit.conductor import Conductor
from recsec.audit.extraction.cells import Grid, expand
from recsec.audit.extraction.opening import open_data, open_model
from recsec.audit.extraction.plan import ExtractionGatePlan, ExtractionTables, TargetPlan
from recsec.audit.extraction.run import ExtractionRun
from recsec.audit.sections import Plan
from recsec.audit.threat import Opened, ThreatAudit
from recsec.data import Dataset, Split
from recsec.errors import ConfigError
from recsec.models import Recommender, Remembered, check_device
from recsec.registry import registry
from recsec.rng import Streams
from recsec.settings import checked
from recsec.text import placed

__all__ = ["ExtractionAudit"]

DECIDING = 10
"""Length of the lists on which lift, and with it the verdict, rests."""


@dataclass(frozen=True, eq=False)
class OpenExtraction(Opened):
    """What the tables name, found to exist."""

    plan: ExtractionTables
    target: TargetPlan
    grid: Grid
    dataset: Dataset
    split: Split
    authorised: bool

    @property
    def seeds(self) -> frozenset[int]:  # type: ignore[override]
        """Of all grids."""
        return frozenset(seed for grid in self.plan.extraction for seed in grid.seeds)

    def start(self, conductor: Conductor) -> ExtractionRun:
        """See ``Opened.start``."""
        return ExtractionRun(
            self.plan,
            self.target,
            self.grid,
            self.dataset,
            self.split,
            self.authorised,
            conductor,
        )


class ExtractionAudit(ThreatAudit):
    """Copy a recommender through its top-k API, and measure how good the copies are."""

    subject = "[target]"
    tables = ExtractionTables
    gate = ExtractionGatePlan

    def asked(self, plan: Plan) -> bool:
        """See ``ThreatAudit.asked``."""
        return plan.of(ExtractionTables).target is not None

    def open(self, plan: Plan, *, authorised: bool) -> OpenExtraction:
        """See ``ThreatAudit.open``."""
        mine = plan.of(ExtractionTables)
        if mine.target is None:
            raise ConfigError("the plan has no [target]")
        if mine.engine.kind == "local":
            check_device(mine.engine.device, one=True)
        grid = expand(mine)
        check_attacks(grid)
        check_recipes(mine.target)
        dataset, split = _open_data(mine.target)
        check_lengths(grid, split)
        for leak in {cell.config.leak for cell in grid.cells}:
            leaked_users(split, leak, Streams(0))
        if mine.target.model is not None:
            open_model(mine.target.model, dataset, authorised=authorised)
        for defense in mine.defense:
            if defense.model is not None:
                open_model(defense.model, dataset, authorised=authorised)
            defense.content()
        return OpenExtraction(mine, mine.target, grid, dataset, split, authorised)


def _open_data(target: TargetPlan) -> tuple[Dataset, Split]:
    """The data of a plan, which must be those that it pins.

    Raises:
        DataError: missing, broken, or others.
    """
    if target.fingerprint is None:
        return open_data(target.data, target.reading)
    known = Remembered(data=target.data, reading=target.reading, fingerprint=target.fingerprint)
    whose = Path(target.model or "the plan")
    known.find(whose=whose)
    dataset, split = open_data(target.data, target.reading)
    known.check(dataset, whose=whose)
    return dataset, split


def check_attacks(grid: Grid) -> None:
    """Find settings that do not fit before anything is trained or asked.

    Raises:
        ConfigError: with the cell and what does not fit.
    """
    for spec in grid.cells:
        try:
            make_policy(spec.config, items=1)
            surrogate_config(spec.config, calls=spec.calls)
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigError(
                f"the cell {spec.id}: {placed(fault['loc'], fault['msg'])}",
                hint="recsec list policies and recsec list models print the settings there are",
            ) from error


def check_lengths(grid: Grid, split: Split) -> None:
    """Find lists that no answer can be as long as: a catalog holds few items beside a history.

    Raises:
        ConfigError: with the length that is asked for, and the one that there is.
    """
    items, known = len(split.catalog), int(split.train.lengths.min()) + 1
    if items - known < DECIDING:
        raise ConfigError(
            f"a catalog of {items:,} items has no list of {DECIDING}, which Agr@{DECIDING} "
            f"compares, beside a history of {known}",
            hint=f"an audit needs a catalog of at least {known + DECIDING} items",
        )
    for spec in grid.cells:
        if spec.k > items - 1:
            raise ConfigError(
                f"the cell {spec.id}: a catalog of {items:,} items has no list of {spec.k:,} "
                "beside a history",
                hint=f"ask for lists of at most {items - 1:,}",
            )


def check_recipes(target: TargetPlan) -> None:
    """Find settings that do not fit of a target or twins that are to be trained.

    Raises:
        ConfigError: no such model, or settings that it does not take.
    """
    recipes = [(target.train, target.settings), (target.twins.model, target.twins.settings)]
    for name, settings in recipes:
        if name is not None:
            kind: type[Recommender] = registry("models").get(name)
            checked(kind.config_class, settings, where=f"settings of {name}")
