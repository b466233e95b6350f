"""Evasion as a threat in audits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recsec.attacks.evasion import Transfer, open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.evasion.cells import EvasionCell, R, expand_evasion
from recsec.audit.evasion.plan import EvasionGate, EvasionTables, ModelPlan, VisualPlan
from recsec.audit.evasion.run import EvasionRun
from recsec.audit.evasion.scene import POPULAR, Catalog, open_catalog
from recsec.audit.sections import EnginePlan, Plan
from recsec.audit.threat import Opened, ThreatAudit
from recsec.errors import ConfigError
from recsec.hardening import hardening_class
from recsec.models import Encoder, check_device
from recsec.registry import registry
from recsec.settings import checked
from recsec.sources import Capability, kind_of_source
from recsec.targets.visual import (
    ImageSearch,
    SearchFile,
    is_search,
    is_source,
    open_source,
    read_search_file,
)

__all__ = ["EvasionAudit"]

OURS: Collection[Capability] = kind_of_source("", "evasion").gives
"""Of what the audit trains or hardens."""
NEEDS: Mapping[str, Collection[Capability]] = {
    "gradients": {"gradients"},
    "scores": {"embeddings", "scores"},
    "ids": {"ids"},
}
"""Of what a model must give something for an attack with some access."""


@dataclass(frozen=True, eq=False)
class OpenEvasion(Opened):
    """What the tables name, found to exist.

    Attributes:
        engine: where work is done.
        plan: the tables.
        catalog: the photos.
        cells: all attacks.
        size: side of the attacked images.
        searches: models that are visual searches.
        authorised: the owner of a search beyond this machine agreed.
    """

    engine: EnginePlan
    plan: VisualPlan
    catalog: Catalog
    cells: tuple[EvasionCell, ...]
    size: int
    searches: dict[str, SearchFile]
    authorised: bool

    @property
    def seeds(self) -> frozenset[int]:  # type: ignore[override]
        """That of pairs, noise and random starts."""
        return frozenset({self.plan.seed})

    def start(self, conductor: Conductor) -> EvasionRun:
        """See ``Opened.start``."""
        return EvasionRun(
            self.engine,
            self.plan,
            self.catalog,
            self.cells,
            self.size,
            self.searches,
            self.authorised,
            conductor,
        )


class EvasionAudit(ThreatAudit):
    """Attack pairs of photos on every model of a plan, inside every budget."""

    subject = "[visual]"
    tables = EvasionTables
    gate = EvasionGate

    def asked(self, plan: Plan) -> bool:
        """See ``ThreatAudit.asked``."""
        return plan.of(EvasionTables).visual is not None

    def open(self, plan: Plan, *, authorised: bool) -> OpenEvasion:
        """See ``ThreatAudit.open``."""
        mine = plan.of(EvasionTables)
        if mine.visual is None:
            raise ConfigError("the plan has no [visual]")
        trains = any(model.model is None for model in mine.visual.models)
        if mine.engine.kind == "local":
            check_device(mine.engine.device, one=trains)
        for grid in mine.evasion:
            for attack in grid.attacks:
                open_attack(attack.key, attack.settings)
        found = {model.name: _found(mine.visual, model) for model in mine.visual.models}
        sizes = {size for size, _ in found.values() if size}
        cells = expand_evasion(mine, {name: gives for name, (_, gives) in found.items()})
        _check_surrogates(mine.visual, cells)
        for model in mine.visual.models:
            _refuse_lacking(model, cells, found[model.name][1])
        if len(sizes) > 1:
            raise ConfigError(
                f"the models see photos of {', '.join(map(str, sorted(sizes)))} pixels",
                hint="budgets compare at one size only; audit them in separate plans",
            )
        catalog = open_catalog(mine.visual.data)
        searches = _searches(mine, cells)
        for config in searches.values():
            ImageSearch(config, catalog.photos, authorised=authorised).close()
        return OpenEvasion(
            mine.engine, mine.visual, catalog, cells, max(sizes), searches, authorised
        )


def _found(visual: VisualPlan, model: ModelPlan) -> tuple[int, Collection[Capability]]:
    """Side of the photos that a model sees, and what it gives; 0 where another one decides.

    Raises:
        ConfigError, CheckpointError, TargetError: it does not exist or does not fit.
    """
    if model.model is not None and is_search(model.model):
        search = read_search_file(model.model)
        return search.size, search.gives
    if model.model is not None:
        source = open_source(model.model)
        return source.encoder.size, source.gives
    if model.train is not None:
        kind: type[Encoder] = registry("encoders").get(model.train)
        config: Any = checked(kind.config_class, model.settings, where=f"settings of {model.train}")
        return int(config.size), OURS
    if model.harden is not None:
        base = next(one for one in visual.models if one.name == visual.base_of(model))
        if base.model is not None and is_source(base.model):
            raise ConfigError(
                f"{model.name} is hardened from {base.model}, whose weights are not recsec's",
                hint="recsec train encoder --set backbone=hf:FOLDER --set epochs=0 makes a "
                "checkpoint of a pretrained network",
            )
        method = hardening_class(model.harden, hardens=Encoder.name)
        checked(method.config_class, model.settings, where=f"settings of {model.harden}")
    return 0, OURS


def _check_surrogates(visual: VisualPlan, cells: Sequence[EvasionCell]) -> None:
    """What transfer attacks search on exists and shows gradients, or can be trained.

    Raises:
        ConfigError, CheckpointError, TargetError: it is not so.
    """
    if any(cell.needs_surrogate for cell in cells):
        own = visual.surrogate
        kind: type[Encoder] = registry("encoders").get(own.train)
        checked(kind.config_class, own.settings, where=f"settings of {own.train}")
    for attack in {cell.attack.label: cell.attack for cell in cells}.values():
        tool = open_attack(attack.key, attack.settings)
        if isinstance(tool, Transfer) and tool.config.surrogates:
            tool.ensemble(torch.device("cpu"))


def _refuse_lacking(
    model: ModelPlan, cells: Sequence[EvasionCell], gives: Collection[Capability]
) -> None:
    """Say so where a plan asks of a model what it does not show.

    Raises:
        ConfigError: it does.
    """
    for cell in cells:
        access = open_attack(cell.attack.key, cell.attack.settings).access
        if cell.model == model.name and not set(NEEDS[access]) & set(gives):
            raise ConfigError(
                f"the attack {cell.attack.label} follows {access}, and {model.name} "
                f"({model.model}) shows none",
                hint='attacks = ["square"] asks for scores or lists, { attack = "transfer", '
                'surrogates = ["hf:FOLDER"] } needs nothing; models = ["NAME"] names those that a '
                "grid attacks",
            )


def _searches(plan: EvasionTables, cells: Sequence[EvasionCell]) -> dict[str, SearchFile]:
    """The visual searches of a plan, by name.

    Raises:
        ConfigError: the plan asks of one what lists cannot tell.
    """
    found: dict[str, SearchFile] = {}
    for model in plan.visual.models if plan.visual is not None else ():
        if model.model is None or not is_search(model.model):
            continue
        found[model.name] = config = read_search_file(model.model)
        metric = plan.gate.of(EvasionGate).evasion.metric
        least = max(R, int(metric.removeprefix("success@")))
        if config.k < least:
            raise ConfigError(
                f"{model.name} lists {config.k} ids, and an audit with the gate {metric} looks at "
                f"the first {least}",
                hint=f"k = {least} in [search], and in the form that asks for it",
            )
        if any(one.model == model.name and (one.size or not one.project) for one in cells):
            raise ConfigError(
                f"{model.name} is a visual search: its file says the size of an upload, and "
                "uploads stay inside the budget",
                hint="leave size and project out of the grids that attack it",
            )
    if found and plan.visual is not None and plan.visual.policy == POPULAR:
        raise ConfigError(
            "the policy popular-target needs vectors, and a visual search has none",
            hint='policy = "cross-category", or a CSV file with item,target',
        )
    return found
