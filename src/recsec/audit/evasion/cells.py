"""The cells of the evasion grids: model x attack x budget, and the chunks of pairs in each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from recsec.attacks.evasion import Transfer, fitting_attack, open_attack
from recsec.audit.evasion.plan import AttackPlan, EvasionPlan, EvasionTables, VisualPlan
from recsec.audit.names import Names
from recsec.sources import Capability

__all__ = ["CHUNK", "NOISE", "WHOLE", "EvasionCell", "R", "chunks", "expand_evasion"]

CHUNK = 50
"""Pairs of one task: what a kill loses at most."""
NOISE = "noise"
REFERENCE = "reference"
WHOLE = 0.5
"""A budget of half the pixel range: any photo can become any other to the eye."""
R = 10
"""The list length on which checks look."""


@dataclass(frozen=True)
class EvasionCell:
    """One attack on one model with one budget.

    Attributes:
        id: name within the run.
        model: name of the model.
        attack: the attack.
        eps: budget.
        pairs: the first so many of the pairs.
        stage: place of its grid in the plan; survivors are those of earlier stages.
        survivors_of: labels of attacks; only pairs that none of them brought to rank 1.
        project: see ``EvasionPlan``.
        size: see ``EvasionPlan``.
        control: the reference attack on some pairs that all others left, to check the others.
        asked: what the plan calls the attack, where the model shows less than it follows.
    """

    id: str
    model: str
    attack: AttackPlan
    eps: float
    pairs: int
    stage: int
    survivors_of: tuple[str, ...] | None = None
    project: bool = True
    size: int | None = None
    control: bool = False
    asked: str = ""

    @property
    def needs_surrogate(self) -> bool:
        """Whether it searches on a network that the audit has to train."""
        attack = open_attack(self.attack.key, self.attack.settings)
        return isinstance(attack, Transfer) and not attack.config.surrogates

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that ``survivors_of`` may call it by."""
        return (self.label, self.asked) if self.asked else (self.label,)

    @property
    def counts(self) -> bool:
        """Whether it is part of the evidence: noise and the control stand beside it."""
        return self.attack.key != NOISE and not self.control

    @property
    def label(self) -> str:
        """The attack as the report prints it."""
        parts = [self.attack.label]
        parts += [] if self.size is None else [f"at {self.size} px"]
        parts += [] if self.project else ["not projected"]
        return ", ".join(parts)


def expand_evasion(
    plan: EvasionTables, gives: Mapping[str, Collection[Capability]]
) -> tuple[EvasionCell, ...]:
    """Cells in the order of the plan; noise first, because it costs next to nothing.

    Last comes the reference attack, for each model and budget that gradients were used with.

    The same attack in two grids counts once, with the larger number of pairs.

    Args:
        plan: the tables.
        gives: what each model can do, by name: ``auto`` and ``square`` follow what there is.
    """
    if plan.visual is None:
        return ()
    names = Names()
    found: dict[str, EvasionCell] = {}
    noise = AttackPlan.model_construct(key=NOISE, settings={})
    budgets = sorted({eps for grid in plan.evasion for eps in grid.eps})
    for model in plan.visual.models:
        for eps in budgets:
            cell = _cell(names, model.name, noise, eps, plan.visual.count(eps), -1)
            found[cell.id] = cell
    for stage, grid in enumerate(plan.evasion):
        for cell in _grid(names, plan.visual, grid, stage, gives):
            known = found.get(cell.id)
            if known is None:
                found[cell.id] = cell
            elif known.survivors_of is None:
                found[cell.id] = replace(known, pairs=max(known.pairs, cell.pairs))
    white = {
        (cell.model, cell.eps)
        for cell in found.values()
        if cell.size is None and cell.eps < WHOLE and _sees_gradients(cell.attack)
    }
    reference = AttackPlan.model_construct(key=REFERENCE, settings={})
    for name, eps in sorted(white):
        cell = _cell(
            names, name, reference, eps, plan.visual.count(eps), len(plan.evasion), ("all",)
        )
        found[f"control {cell.id}"] = replace(cell, control=True)
    return tuple(found.values())


def _sees_gradients(attack: AttackPlan) -> bool:
    return open_attack(attack.key, attack.settings).access == "gradients"


def _fitted(attack: AttackPlan, gives: Collection[Capability]) -> AttackPlan:
    """The attack, or what it becomes at a model that shows less."""
    tool = open_attack(attack.key, attack.settings)
    fitted = fitting_attack(tool, gives)
    if fitted is tool:
        return attack
    usual = type(fitted.config)().model_dump()
    said = {key: value for key, value in fitted.config.model_dump().items() if value != usual[key]}
    return AttackPlan.model_construct(key=fitted.name, settings=said)


def _grid(
    names: Names,
    visual: VisualPlan,
    grid: EvasionPlan,
    stage: int,
    gives: Mapping[str, Collection[Capability]],
) -> Sequence[EvasionCell]:
    models = [
        model.name for model in visual.models if grid.models is None or model.name in grid.models
    ]
    found = []
    for attack in grid.attacks:
        fitted = {model: _fitted(attack, gives[model]) for model in models}
        for eps in grid.eps:
            pairs = min(visual.count(eps), grid.pairs or visual.count(eps))
            for model, one in fitted.items():
                cell = _cell(
                    names, model, one, eps, pairs, stage, grid.survivors_of, grid.project, grid.size
                )
                found.append(replace(cell, asked="" if one is attack else attack.label))
    return found


def _cell(
    names: Names,
    model: str,
    attack: AttackPlan,
    eps: float,
    pairs: int,
    stage: int,
    survivors_of: tuple[str, ...] | None = None,
    project: bool = True,
    size: int | None = None,
) -> EvasionCell:
    content = [model, attack.model_dump(), eps, survivors_of, project, size]
    name = names.of(f"{model}-{attack.label}-e{eps:g}", content)
    return EvasionCell(name, model, attack, eps, pairs, stage, survivors_of, project, size)


def chunks(cell: EvasionCell) -> list[tuple[str, range]]:
    """Task id and pair numbers of each chunk."""
    return [
        (f"{cell.id}-p{start}", range(start, min(start + CHUNK, cell.pairs)))
        for start in range(0, cell.pairs, CHUNK)
    ]
