"""The cells of a plan, and the collections that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from recsec.attacks.extraction import (
    Adaptive,
    ExtractionConfig,
    asking,
    asks,
    opening_calls,
)
from recsec.audit.extraction.plan import ExtractionPlan, ExtractionTables
from recsec.audit.names import Names
from recsec.reports import UNDEFENDED

__all__ = ["CellSpec", "Collection", "Grid", "expand"]


@dataclass(frozen=True)
class Collection:
    """Queries that are asked once, for all budgets up to ``calls``.

    Attributes:
        id: name within the run, and of its folder under ``transcript/``.
        config: the attack; only its query part matters here.
        k: list length.
        seed: of the queries.
        calls: the largest budget.
        defense: who answers.
    """

    id: str
    config: ExtractionConfig
    k: int
    seed: int
    calls: int
    defense: str = UNDEFENDED


@dataclass(frozen=True)
class CellSpec:
    """One attack with one budget and one seed.

    Attributes:
        id: name within the run.
        row: name of what the cells that differ in the seed only have in common.
        policy: the policy with its settings, as the report prints it.
        config: the attack.
        k: list length.
        calls: budget.
        seed: of queries and surrogate.
        collection: id of the queries.
        floor: name of the answers that the same thief gives without a call: those of popularity,
            or of a model trained on his leak.
        defense: whom he attacks.
        bare: the cell of the same attack on the bare target, whether or not the plan has it.
    """

    id: str
    row: str
    policy: str
    config: ExtractionConfig
    k: int
    calls: int
    seed: int
    collection: str
    floor: str
    defense: str
    bare: str


@dataclass(frozen=True)
class Grid:
    """All cells in the order of the plan, and what they need to ask.

    Attributes:
        cells: the attacks.
        collections: their queries.
        floors: by name, the attacks whose leak alone has to be measured.
    """

    cells: tuple[CellSpec, ...]
    collections: tuple[Collection, ...]
    floors: Mapping[str, ExtractionConfig] = field(default_factory=dict)

    @property
    def leak(self) -> float:
        """The largest share of users that leaks to any attack."""
        return max((cell.config.leak for cell in self.cells), default=0.0)

    @property
    def calls(self) -> int:
        """Calls over all collections."""
        return sum(collection.calls for collection in self.collections)


def policy_label(policy: str, settings: Mapping[str, Any]) -> str:
    """``mixed`` or ``mixed share=0.4``.

    >>> policy_label("mixed", {"share": 0.4})
    'mixed share=0.4'
    """
    return " ".join([policy, *(f"{key}={settings[key]}" for key in sorted(settings))])


def _configs(grid: ExtractionPlan) -> list[ExtractionConfig]:
    return [
        ExtractionConfig(
            policy=policy,
            policy_settings=grid.policy_settings.get(policy, {}),
            length=grid.length,
            sessions=grid.sessions,
            surrogate=grid.surrogate,
            surrogate_settings=grid.surrogate_settings,
            loss=grid.loss,
            leak=grid.leak,
            proxy=grid.proxy,
            adaptive=Adaptive.parse(grid.adaptive),
        )
        for policy in grid.policies
    ]


def _label(config: ExtractionConfig, longest: int) -> str:
    """The policy, its settings, what leaks to it, and its switches.

    Sessions that are shorter than the ``longest`` of the plan are named, too.
    """
    label = policy_label(config.policy, config.policy_settings)
    more = [f"leak={config.leak:g}"] if config.leak else []
    more += [f"proxy={config.proxy}"] if config.proxy else []
    if config.length < longest:
        more.append(f"length={config.length}")
    return " ".join([label, *more, *(f"+{word}" for word in config.adaptive.words())])


def expand(plan: ExtractionTables) -> Grid:
    """Cells = defense x policy x k x calls x seed of each grid; the same cell twice counts once.

    Cells that ask the same defense the same way share one collection at the largest of their
    budgets. Those of the bare target have the names that they have in a plan without defenses.
    """
    names, asked, learned = Names(), Names(), Names()
    floors: dict[str, ExtractionConfig] = {}
    longest = max((grid.length for grid in plan.extraction), default=0)
    cells: dict[str, CellSpec] = {}
    collections: dict[str, Collection] = {}
    for grid in plan.extraction:
        for config in _configs(grid):
            label, asked_for = _label(config, longest), asking(config)
            asked_as, query = _label(asked_for, longest), asks(config)
            whole = config.model_dump(mode="json")
            floor = "floor"
            if config.informed:
                whose = config.proxy or f"leak{config.leak:g}"
                learner = [whose, config.surrogate, config.surrogate_settings]
                floor = learned.of(f"floor-{whose}-{config.surrogate}", learner)
                floors[floor] = config
            for k in grid.k:
                for calls in sorted(grid.calls):
                    bare = names.of(f"{label}-k{k}-c{calls}", [whole, k, calls])
                    for seed, defense in product(grid.seeds, grid.defenses or plan.rows):
                        opening = opening_calls(config, calls)
                        unit = asked.of(f"{asked_as}-k{k}-s{seed}", [query, k, seed, opening])
                        row = bare
                        if defense != UNDEFENDED:
                            row = names.of(f"{defense}.{bare}", [defense, bare])
                            unit = asked.of(f"{defense}.{unit}", [defense, unit])
                        cell = CellSpec(
                            id=f"{row}-s{seed}",
                            row=row,
                            policy=label,
                            config=config,
                            k=k,
                            calls=calls,
                            seed=seed,
                            collection=unit,
                            floor=floor,
                            defense=defense,
                            bare=f"{bare}-s{seed}",
                        )
                        cells[cell.id] = cell
                        fresh = Collection(unit, asked_for, k, seed, calls, defense)
                        known = collections.get(unit, fresh)
                        collections[unit] = replace(known, calls=max(known.calls, calls))

    def place(one: CellSpec | Collection) -> int:
        return plan.rows.index(one.defense)

    return Grid(
        tuple(sorted(cells.values(), key=place)),
        tuple(sorted(collections.values(), key=place)),
        floors,
    )
