"""Evasion as a threat in audits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsec.attacks.evasion import open_attack
from recsec.audit.conductor import Conductor
from recsec.audit.evasion.cells import EvasionCell, expand_evasion
from recsec.audit.evasion.plan import EvasionGate, EvasionTables, VisualPlan
from recsec.audit.evasion.run import EvasionRun
from recsec.audit.evasion.scene import Catalog, open_catalog
from recsec.audit.sections import EnginePlan, Plan
from recsec.audit.threat import Opened, ThreatAudit
from recsec.errors import ConfigError
from recsec.hardening import hardening_class
from recsec.models import Encoder, check_device, load_encoder
from recsec.registry import registry
from recsec.settings import checked

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
        sizes = _sizes(mine.visual)
        if len(sizes) > 1:
            raise ConfigError(
                f"the models see photos of {', '.join(map(str, sorted(sizes)))} pixels",
                hint="budgets compare at one size only; audit them in separate plans",
            )
        catalog = open_catalog(mine.visual.data)
        return OpenEvasion(mine.engine, mine.visual, catalog, cells, max(sizes))


def _sizes(visual: VisualPlan) -> set[int]:
    """Sides of the photos that the models see; settings of hardenings are checked on the way."""
    sizes = set()
    for model in visual.models:
        if model.model is not None:
            sizes.add(load_encoder(Path(model.model).expanduser()).size)
        elif model.train is not None:
            kind: type[Encoder] = registry("encoders").get(model.train)
            config: Any = checked(
                kind.config_class, model.settings, where=f"settings of {model.train}"
            )
            sizes.add(int(config.size))
        elif model.harden is not None:
            method = hardening_class(model.harden, hardens=Encoder.name)
            checked(method.config_class, model.settings, where=f"settings of {model.harden}")
    return sizes
