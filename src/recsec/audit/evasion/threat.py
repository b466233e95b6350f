"""Evasion as a threat in audits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recsec.attacks.evasion import open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.evasion.cells import EvasionCell, expand_evasion
from recsec.audit.evasion.plan import EvasionGate, EvasionTables, ModelPlan, VisualPlan
from recsec.audit.evasion.run import EvasionRun
from recsec.audit.evasion.scene import Catalog, open_catalog
from recsec.audit.sections import EnginePlan, Plan
from recsec.audit.threat import Opened, ThreatAudit
from recsec.errors import ConfigError
from recsec.hardening import hardening_class
from recsec.models import Encoder, check_device
from recsec.registry import registry
from recsec.settings import checked
from recsec.targets.visual import is_source, open_source

__all__ = ["EvasionAudit"]


@dataclass(frozen=True, eq=False)
class OpenEvasion(Opened):
    """What the tables name, found to exist; ``size`` is the side of the attacked images."""

    engine: EnginePlan
    plan: VisualPlan
    catalog: Catalog
    cells: tuple[EvasionCell, ...]
    size: int

    @property
    def seeds(self) -> frozenset[int]:  # type: ignore[override]
        """That of pairs, noise and random starts."""
        return frozenset({self.plan.seed})

    def start(self, conductor: Conductor) -> EvasionRun:
        """See ``Opened.start``."""
        return EvasionRun(self.engine, self.plan, self.catalog, self.cells, self.size, conductor)


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
        del authorised
        mine = plan.of(EvasionTables)
        if mine.visual is None:
            raise ConfigError("the plan has no [visual]")
        trains = any(model.model is None for model in mine.visual.models)
        if mine.engine.kind == "local":
            check_device(mine.engine.device, one=trains)
        cells = expand_evasion(mine)
        for cell in cells:
            open_attack(cell.attack.key, cell.attack.settings)
        sizes = _sizes(mine.visual, cells)
        if len(sizes) > 1:
            raise ConfigError(
                f"the models see photos of {', '.join(map(str, sorted(sizes)))} pixels",
                hint="budgets compare at one size only; audit them in separate plans",
            )
        catalog = open_catalog(mine.visual.data)
        return OpenEvasion(mine.engine, mine.visual, catalog, cells, max(sizes))


def _sizes(visual: VisualPlan, cells: Sequence[EvasionCell]) -> set[int]:
    """Sides of the photos that the models see; what they lack is told on the way."""
    sizes = set()
    for model in visual.models:
        if model.model is not None:
            encoder = open_source(model.model).encoder
            sizes.add(encoder.size)
            if not encoder.gradients:
                _refuse_gradients(model, cells)
        elif model.train is not None:
            kind: type[Encoder] = registry("encoders").get(model.train)
            config: Any = checked(
                kind.config_class, model.settings, where=f"settings of {model.train}"
            )
            sizes.add(int(config.size))
        elif model.harden is not None:
            base = next(one for one in visual.models if one.name == visual.base_of(model))
            if base.model is not None and is_source(base.model):
                raise ConfigError(
                    f"{model.name} is hardened from {base.model}, whose weights are not recsec's",
                    hint="recsec train encoder --set backbone=hf:FOLDER --set epochs=0 makes a "
                    "checkpoint of a pretrained network",
                )
            method = hardening_class(model.harden, hardens=Encoder.name)
            checked(method.config_class, model.settings, where=f"settings of {model.harden}")
    return sizes


def _refuse_gradients(model: ModelPlan, cells: Sequence[EvasionCell]) -> None:
    """Say so where a plan attacks gradients that a model does not show.

    Raises:
        ConfigError: it does.
    """
    for cell in cells:
        if cell.model == model.name and _access(cell) == "gradients":
            raise ConfigError(
                f"the attack {cell.attack.label} follows gradients, and {model.name} "
                f"({model.model}) shows none",
                hint='attacks = ["square"] asks for scores, { attack = "transfer", surrogates = '
                '["hf:FOLDER"] } needs nothing; models = ["NAME"] names those that a grid attacks',
            )


def _access(cell: EvasionCell) -> str:
    return open_attack(cell.attack.key, cell.attack.settings).access
