"""Attack pairs through a visual search that answers with lists of ids, one pair after the other.

There is no vector: an attack sees, and a success is, a place in a list that the search gave for the
PNG. A finished pair is never asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recsec.attacks.evasion.base import EvasionAttack, Perturbed
from recsec.attacks.evasion.harness.confirm import distances
from recsec.attacks.evasion.harness.ingest import through_png
from recsec.attacks.evasion.harness.pair_run import finite, write_images, write_table
from recsec.attacks.evasion.harness.pairs import Pairs
from recsec.attacks.evasion.methods.noise import Noise
from recsec.attacks.evasion.methods.transfer import Ensemble
from recsec.attacks.evasion.objective import CosineToTarget, ListedPlace, place_weights
from recsec.attacks.evasion.projection import Ball, effective_eps, to_bytes
from recsec.errors import ConfigError
from recsec.rng import Streams
from recsec.runs import RunDirectory
from recsec.targets.visual import ImageSearch, Scored
from recsec.types import Progress

__all__ = ["ListedPair", "attack_listed", "run_listed"]

COLUMNS = (
    "item", "target", "eps", "rank_before", "rank_after", "rank_noise", "linf", "l2", "psnr",
    "ssim", "in_budget", "queries",
)  # fmt: skip
OWN = 10.0
"""What the target itself is worth in a list, as in ``ListOverlap``."""
NEAR = 2.0
"""What the whole way from the last score of a list to the first is worth beside its places. The
scores of other items are left out: they rise where a photo comes near to everything."""
TINY = 1e-12
"""Where all scores of a list are the same."""


class ListedPair:
    """One pair at the search: what is listed, and where the item that counts is.

    Args:
        search: is asked.
        item: row of the item whose photo is changed.
        target: row of the target item.
        scored: the attack follows scores too.
    """

    def __init__(
        self, search: ImageSearch, item: int, target: int, *, scored: bool = False
    ) -> None:
        self.search, self.item, self.target = search, item, target
        self.subject = item if search.relists else target
        self.scored = scored
        self._unit: float | None = None

    def listed(self, image: UInt8[Tensor, "3 S S"]) -> Scored:
        """The list after an upload, without the item that it is about."""
        found = self.search.scored(image.numpy(), self.item, self.target)
        kept = found.rows != (self.target if self.search.relists else self.item)
        return Scored(found.rows[kept], None if found.nearness is None else found.nearness[kept])

    def place(self, image: UInt8[Tensor, "3 S S"]) -> int:
        """Where the item that counts is; k + 1 where it is not listed."""
        at = np.flatnonzero(self.listed(image).rows == self.subject)
        return int(at[0]) + 1 if len(at) else self.search.config.k + 1

    def answers(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B N"]:
        """Lists as ``ListedPlace`` reads them; with scores ``(B, 2 N)``, these behind the places.

        A score counts from that of the last item on, as one that is not listed has none, in units
        of the way from the first to the last in the first list that was read.
        """
        items = len(self.search.photos)
        found = torch.zeros(len(images), 2 * items if self.scored else items)
        for row, image in enumerate(to_bytes(images)):
            answer = self.listed(image)
            rows = torch.from_numpy(answer.rows)
            found[row, rows] = place_weights(rows[None])[0]
            if self.scored and answer.nearness is not None and len(rows):
                above = torch.from_numpy(answer.nearness - answer.nearness[-1])
                self._unit = self._unit or max(float(above[0]), TINY)
                found[row, items + rows] = (above / self._unit).float()
        return found

    def objective(self, photo: UInt8[Tensor, "3 S S"] | None, rank: int) -> ListedPlace:
        """The place of the subject; where photos are searched, also what is near the target.

        Args:
            photo: the target's, which is public; None asks nothing.
            rank: the place wanted.
        """
        worth = torch.zeros(1, len(self.search.photos))
        if not self.search.relists and photo is not None:
            near = self.search.list(photo.numpy(), self.target, self.target)
            rows = torch.from_numpy(near[(near != self.item) & (near != self.target)])
            worth[0, rows] = place_weights(rows[None])[0]
        worth[0, self.subject] = OWN
        if self.scored:
            own = torch.zeros_like(worth)
            own[0, self.subject] = NEAR
            worth = torch.cat([worth, own], dim=1)
        return ListedPlace(torch.tensor([self.subject]), worth, rank)


def run_listed(
    run: RunDirectory,
    attack: EvasionAttack,
    search: ImageSearch,
    pairs: Pairs,
    images: tuple[UInt8[Tensor, "P 3 S S"], UInt8[Tensor, "P 3 S S"]],
    names: Sequence[tuple[str, str]],
    *,
    eps: Sequence[float],
    rng: Streams,
    stop_rank: int = 1,
    surrogate: Ensemble | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Attack every pair with every budget, each from the clean photo, and noise beside it.

    Args:
        run: where results go; pairs that are done are read, not asked again.
        attack: Square, transfer or noise: what needs no more than lists, and scores where there
            are.
        search: is asked.
        pairs: rows of the catalog.
        images: photos of items and of targets, of the size that is uploaded.
        names: external ids of item and target, per pair.
        eps: budgets.
        rng: draws.
        stop_rank: place that needs no further question.
        surrogate: what a transfer attack searches on.
        progress: is told about pairs done.

    Returns:
        One row per pair and budget, with ``COLUMNS``. A rank of k + 1 stands for "not listed".

    Raises:
        ConfigError: the attack needs more than lists.
        TargetError: the search fails.
    """
    if attack.access not in search.config.gives:
        raise ConfigError(
            f"{attack.name} needs {attack.access}, and {search.name} gives lists of ids",
            hint="--attack square, or --attack transfer with surrogates",
        )
    rows: list[dict[str, Any]] = []
    for number, (name, target_name) in enumerate(names):
        cell = f"pair-{number:05d}"
        done = run.done(cell)
        if done is None:
            pair = ListedPair(
                search, int(pairs.attackers[number]), int(pairs.targets[number]),
                scored=attack.access == "scores",
            )  # fmt: skip
            photos = images[0][number], images[1][number]
            with run.timed("attack"):
                lines, files = attack_listed(
                    attack, pair, photos, eps=eps, rng=rng, rank=stop_rank, surrogate=surrogate,
                    key=number,
                )  # fmt: skip
            for budget, file in zip(sorted(eps), files, strict=True):
                write_images(run, [f"{name}--{target_name}"], budget, file.numpy())
            done = {"pairs": [{"item": name, "target": target_name} | line for line in lines]}
            run.finish(cell, done)
        rows += done["pairs"]
        if progress is not None:
            progress(f"asking {search.name}", number + 1, len(names))
    return write_table(run, "pairs", rows, COLUMNS)


def attack_listed(
    attack: EvasionAttack,
    pair: ListedPair,
    photos: tuple[UInt8[Tensor, "3 S S"], UInt8[Tensor, "3 S S"]],
    *,
    eps: Sequence[float],
    rng: Streams,
    rank: int = 1,
    surrogate: Ensemble | None = None,
    noise: bool = True,
    key: int,
) -> tuple[list[dict[str, Any]], list[Tensor]]:
    """One pair at all budgets; a search that lists things anew gets the clean photo back.

    Args:
        attack: see ``run_listed``.
        pair: at the search.
        photos: of its item and of its target.
        eps: budgets.
        rng: draws.
        rank: place that needs no further question.
        surrogate: what a transfer attack searches on.
        noise: also upload noise of each budget, as ``rank_noise``.
        key: name of the pair's stream.

    Returns:
        By budget, ascending: ``COLUMNS`` without names, with ``forwards``, ``backwards`` and
        ``dead``; and the changed photo ``(1, 3, S, S)`` uint8.

    Raises:
        TargetError: the search fails.
    """
    original, of_target = photos
    clean = original[None].float().div(255)
    try:
        before = pair.place(original)
        objective: Any
        embedder: Callable[[Tensor], Tensor] = pair.answers
        if surrogate is not None:
            embedder = surrogate
            with torch.no_grad():
                objective = CosineToTarget(surrogate(of_target[None].float().div(255)))
        else:
            follows = attack.name != Noise.name
            objective = pair.objective(of_target if follows else None, rank)
        lines, files = [], []
        for budget in sorted(eps):

            def made(tool: EvasionAttack, budget: float = budget) -> tuple[Tensor, Perturbed]:
                claim = tool.perturb(embedder, clean, objective, eps=budget, rng=rng, keys=[key])
                inside = Ball.around(clean, budget).round(claim.images)
                return through_png(to_bytes(inside)), claim

            file, claim = made(attack)
            line: dict[str, Any] = {
                "eps": budget,
                "rank_before": before,
                "rank_after": pair.place(file[0]),
                "queries": int(claim.queries[0]),
                "forwards": int(claim.forwards[0]) if surrogate is not None else 0,
                "backwards": int(claim.backwards[0]),
                "dead": int(claim.dead[0]),
            }
            if noise:
                line["rank_noise"] = pair.place(made(Noise(Noise.config_class()))[0][0])
            line |= {name: float(one[0]) for name, one in distances(original[None], file).items()}
            line["in_budget"] = line["linf"] <= effective_eps(budget) + 1e-9
            lines.append(finite(line))
            files.append(file)
        return lines, files
    finally:
        if pair.search.relists:
            pair.search.list(original.numpy(), pair.item, pair.target)
