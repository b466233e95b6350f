"""What the evasion part of a plan is going to cost, said before the first attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsec.attacks.evasion import open_attack
from recsec.audit.evasion.cells import EvasionCell
from recsec.audit.evasion.searched import uploads
from recsec.audit.threat import ThreatScope
from recsec.targets.visual import SearchFile, checking_uploads
from recsec.text import counted

__all__ = ["EvasionScope", "evasion_scope"]

PAIR_STEPS_PER_SECOND = 500.0
"""Gradients of one pair at 64 px that one core computes, in order of magnitude."""
FORWARDS_PER_GRADIENT = 2.5
SIDE = 64
BYTES_OF_TASK, BYTES_OF_PHOTO = 20_000, 2048
"""Of the table of a chunk, and of the features of a photo, in order of magnitude."""
UPLOADS_PER_SECOND = 10.0
"""Of a search that says no rate."""


@dataclass(frozen=True)
class EvasionScope(ThreatScope):
    """What will happen to a visual recommender; making the models comes on top of ``seconds``.

    Pairs that an attack solves early take less, survivors of other attacks are counted as all.

    Attributes:
        tasks: chunks of pairs; ``finished`` counts these.
        attacks: pairs over all cells that are left.
        uploads: photos that visual searches are going to be shown at most.
    """

    tasks: int
    attacks: int
    uploads: int = 0

    def words(self, duration: Callable[[float], str]) -> list[str]:
        """See ``ThreatScope.words``."""
        what = f"{counted(self.cells, 'evasion attack')}, {counted(self.attacks, 'changed photo')}"
        lines = [f"{what}; at most about {duration(self.seconds)}, training excluded"]
        if self.uploads:
            lines.append(f"at most {counted(self.uploads, 'upload')} to the visual search")
        if self.finished:
            lines.append(
                f"{counted(self.finished, 'task')} finished earlier: none of them is attacked again"
            )
        return lines


def evasion_scope(
    units: Sequence[tuple[EvasionCell, int, bool]],
    *,
    size: int,
    processes: int,
    photos: int,
    searches: Mapping[str, SearchFile],
) -> EvasionScope:
    """Count, and guess the time from the settings of the attacks.

    Args:
        units: cell, pairs and whether it is finished, of every chunk.
        size: side of the images in pixels.
        processes: that work side by side.
        photos: of the catalog.
        searches: models that are visual searches.
    """
    left = [(cell, pairs) for cell, pairs, finished in units if not finished]
    work = sum(pairs * gradients(cell) for cell, pairs in left) * (size / SIDE) ** 2
    asked = {
        name: checking_uploads(search)
        for name, search in searches.items()
        if any(cell.model == name for cell, _ in left)
    }
    for cell, pairs in left:
        if cell.model in searches:
            asked[cell.model] += pairs * uploads(cell, searches[cell.model])
    waiting = sum(n / (searches[name].rate or UPLOADS_PER_SECOND) for name, n in asked.items())
    return EvasionScope(
        cells=len({cell.id for cell, _, _ in units}),
        finished=len(units) - len(left),
        seconds=work / PAIR_STEPS_PER_SECOND / processes + waiting,
        room=BYTES_OF_TASK * len(left)
        + BYTES_OF_PHOTO * photos * len({cell.model for cell, _, _ in units}),
        tasks=len(units),
        attacks=sum(pairs for _, pairs in left),
        uploads=sum(asked.values()),
    )


def gradients(cell: EvasionCell) -> float:
    """Cost of one pair at most, in gradients."""
    config: Any = open_attack(cell.attack.key, cell.attack.settings).config
    steps = getattr(config, "steps", 0) * getattr(config, "restarts", 1)
    return float(2 + steps + getattr(config, "queries", 0) / FORWARDS_PER_GRADIENT)
