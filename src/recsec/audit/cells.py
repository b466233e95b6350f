"""The cells of a plan, and the collections that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recsec.attacks.extraction import ExtractionConfig
from recsec.audit.plan import ExtractionPlan, Plan

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
    """

    id: str
    config: ExtractionConfig
    k: int
    seed: int
    calls: int


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
    """

    id: str
    row: str
    policy: str
    config: ExtractionConfig
    k: int
    calls: int
    seed: int
    collection: str


@dataclass(frozen=True)
class Grid:
    """All cells in the order of the plan, and what they need to ask."""

    cells: tuple[CellSpec, ...]
    collections: tuple[Collection, ...]

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


class _Names:
    """Gives each content one name: the wished one, or that with a number where it is taken."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def of(self, wish: str, content: Sequence[Any]) -> str:
        wish = "".join(sign if sign.isalnum() or sign in "._=-" else "+" for sign in wish)
        key, name, number = repr(content), wish, 1
        while self._given.setdefault(name, key) != key:
            number += 1
            name = f"{wish}-{number}"
        return name


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
        )
        for policy in grid.policies
    ]


def expand(plan: Plan) -> Grid:
    """Cells = policy x k x calls x seed of each grid; the same cell in two grids counts once.

    Cells that ask the same way share one collection at the largest of their budgets.
    """
    names, asked = _Names(), _Names()
    cells: dict[str, CellSpec] = {}
    collections: dict[str, Collection] = {}
    for grid in plan.extraction:
        for config in _configs(grid):
            label = policy_label(config.policy, config.policy_settings)
            whole = config.model_dump(mode="json")
            query = [whole[key] for key in ("policy", "policy_settings", "length", "sessions")]
            for k in grid.k:
                for calls in sorted(grid.calls):
                    row = names.of(f"{label}-k{k}-c{calls}", [whole, k, calls])
                    for seed in grid.seeds:
                        unit = asked.of(f"{label}-k{k}-s{seed}", [query, k, seed])
                        cell = CellSpec(f"{row}-s{seed}", row, label, config, k, calls, seed, unit)
                        cells[cell.id] = cell
                        known = collections.get(unit, Collection(unit, config, k, seed, calls))
                        collections[unit] = replace(known, calls=max(known.calls, calls))
    return Grid(tuple(cells.values()), tuple(collections.values()))
