"""Attack many pairs and judge each: the harness counts and measures, the attack only claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recsec.attacks.evasion.base import Embedder, EvasionAttack
from recsec.attacks.evasion.fast import Prepared, prepare
from recsec.attacks.evasion.harness.confirm import confirm, embed_pixels
from recsec.attacks.evasion.harness.ingest import Ingest
from recsec.attacks.evasion.harness.pairs import Pairs
from recsec.attacks.evasion.harness.ranking import Goal, Ranking, ranking_of
from recsec.attacks.evasion.objective import (
    CosineToTarget,
    Demotion,
    FeatureDistance,
    ListOverlap,
    Objective,
    QueryMargin,
    overlap_weights,
)
from recsec.attacks.evasion.projection import check_eps, effective_eps
from recsec.errors import ConfigError, DataError
from recsec.models import ExactIndex
from recsec.rng import Streams
from recsec.types import Progress

__all__ = ["Evaded", "Scene", "evade"]

BATCH = 64


@dataclass(frozen=True)
class Scene:
    """What is attacked: an encoder, the index of its catalog, and the pairs with their photos.

    Attributes:
        embedder: the attacked model, in evaluation mode, on one device with ``index``.
        index: its embeddings of the whole catalog.
        pairs: P pairs of rows.
        attackers: ``(P, 3, H, W)`` uint8 photos that are perturbed.
        targets: ``(P, 3, H, W)`` uint8 photos of the targets; only some goals look at them.
        ready: the copy of the embedder that attacks search with; made on demand.
    """

    embedder: Embedder
    index: ExactIndex
    pairs: Pairs
    attackers: UInt8[Tensor, "P 3 H W"]
    targets: UInt8[Tensor, "P 3 H W"] | None = None
    ready: Prepared | None = None

    def __post_init__(self) -> None:
        if len(self.attackers) != len(self.pairs):
            raise ConfigError(f"{len(self.pairs)} pairs but {len(self.attackers)} photos")
        if len(self.index) < 3:
            raise DataError(
                f"the catalog has {len(self.index)} items: without a third item beside attacker "
                "and target every rank is 1",
                hint="attack a larger catalog",
            )

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def device(self) -> torch.device:
        """Where the index and the embedder are."""
        return self.index.vectors.device

    def floats(self, rows: Tensor) -> Float[Tensor, "B 3 H W"]:
        """Photos of some pairs as float32 in [0, 1]."""
        return self.attackers[rows].to(self.device).float().div(255)

    def rows(self, which: Literal["attackers", "targets"], part: Tensor) -> Tensor:
        """Rows of the catalog of some pairs, on the device of the index."""
        return torch.from_numpy(getattr(self.pairs, which))[part].to(self.device)

    def prepared(self) -> Self:
        """The same with ``ready``: several attacks then share one copy."""
        if self.ready is not None or len(self) == 0:
            return self
        return replace(self, ready=prepare(self.embedder, self.floats(torch.arange(1))))

    def photos(self, part: Tensor) -> Float[Tensor, "B 3 H W"]:
        """The targets' photos of some pairs."""
        if self.targets is None:
            raise ConfigError("this attack needs the photos of the targets")
        return self.targets[part].to(self.device).float().div(255)

    def objective(
        self, goal: Goal, part: Tensor, stop_rank: int | None, *, k: int = 50
    ) -> Objective:
        """The objective of some pairs; done when the item is among the first ``stop_rank``
        neighbors (demotion: no longer among them; query: when the target is among those of the
        photo). None goes on to the last step.

        Args:
            goal: "cosine" to the target, "features" (squared distance before normalization),
                "demotion" (away from the target), "lists" (overlap of lists of ``k`` ids) or
                "query" (the target in the answer to the photo).
            part: numbers of pairs.
            stop_rank: see above.
            k: length of the lists.
        """
        attackers, targets = self.rows("attackers", part), self.rows("targets", part)
        if goal == "query":
            return QueryMargin(
                self.index.vectors, targets, attackers, stop_rank or 1, stops=stop_rank is not None
            )
        limit = None
        if stop_rank is not None:
            limit = self.index.thresholds(targets, stop_rank, attackers)
        catalog = self.index.vectors
        if goal == "cosine":
            return CosineToTarget(catalog[targets], limit)
        if goal == "demotion":
            return Demotion(catalog[targets], limit)
        if goal == "lists":
            weights = overlap_weights(catalog, targets, attackers, k)
            return ListOverlap(catalog, targets, weights, limit, k)
        ready = self.prepared().ready
        if ready is None:
            raise ConfigError("there is no pair to attack")
        with torch.no_grad():
            return FeatureDistance(ready.judge(self.photos(part), raw=True), limit)


@dataclass(frozen=True)
class Evaded:
    """The judged result of one attack at one budget.

    Attributes:
        attack: its name.
        eps: the budget asked for; ``effective_eps`` of it is what 8-bit images can use.
        table: one row per pair: attacker, target (rows of the catalog), rank_before, rank_after,
            cosine_before, cosine_after, linf, l2, psnr, ssim, in_budget, forwards, backwards,
            queries, dead.
        images: ``(P, 3, H, W)`` uint8, as decoded from the files.
        ranking: whose list the ranks are places in.
    """

    attack: str
    eps: float
    table: pl.DataFrame
    images: npt.NDArray[np.uint8]
    ranking: Ranking

    def reached(self, r: int) -> npt.NDArray[np.bool_]:
        """``(P,)``, which pairs are confirmed at rank ``r``, as the goal has it."""
        return self.ranking.reached(self.table["rank_after"].to_numpy(), r)

    def better_of(self, other: Evaded) -> Evaded:
        """Per pair the better confirmed result; the effort of both is added up."""
        mine_, theirs_ = (
            (one.table["rank_after"].to_numpy(), one.table["cosine_after"].to_numpy())
            for one in (self, other)
        )
        take = self.ranking.better(*mine_, theirs_)
        mine, theirs = self.table.to_dict(as_series=False), other.table.to_dict(as_series=False)
        spent = ("forwards", "backwards", "queries", "dead")
        columns: dict[str, Any] = {
            name: np.array(mine[name]) + np.array(theirs[name])
            if name in spent
            else np.where(take, np.array(mine[name]), np.array(theirs[name]))
            for name in self.table.columns
        }
        images = np.where(take[:, None, None, None], self.images, other.images)
        return replace(self, table=pl.DataFrame(columns), images=images)


def evade(
    attack: EvasionAttack,
    scene: Scene,
    *,
    eps: float,
    rng: Streams,
    goal: Goal | None = None,
    surrogate: Embedder | None = None,
    stop_rank: int | None = 1,
    start: npt.NDArray[np.uint8] | None = None,
    project: bool = True,
    ingest: Ingest | None = None,
    batch: int = BATCH,
    keys: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Evaded:
    """Attack every pair of a scene, then judge the files.

    Args:
        attack: what perturbs.
        scene: pairs, photos, model, index.
        eps: L-infinity budget, a share of the pixel range.
        rng: pair i draws from its own stream, so the batch size changes nothing.
        goal: what is raised; by default the cosine, or the overlap of lists where the attacker
            sees ids only.
        surrogate: the attack sees this embedder instead of the attacked one, which only judges.
        stop_rank: a pair is left alone once its 8-bit image is among the first ``stop_rank``; with
            an ``ingest`` it never is, since what barely succeeds as PNG fails behind it.
        start: ``(P, 3, H, W)`` uint8 images inside the ball to start from.
        project: see ``confirm``.
        ingest: see ``confirm``.
        batch: pairs at a time.
        keys: names of the pairs' streams; by default their numbers.
        progress: is told about pairs done.

    Raises:
        ConfigError: ``eps`` is not in [0, 1], or the goal does not fit.
        TargetError: the embedder gives something that is not finite.
    """
    check_eps(eps)
    scene = scene.prepared()
    if surrogate is None and attack.name == "transfer":
        raise ConfigError(
            "a transfer attack needs surrogates",
            hint='--set surrogates=["DIR"], folders made by recsec train encoder',
        )
    if goal is None:
        goal = "lists" if attack.access == "ids" and surrogate is None else "cosine"
    if surrogate is not None and goal in ("features", "lists"):
        raise ConfigError(
            f"an attack on surrogates cannot follow the goal {goal!r}",
            hint="it knows cosine, demotion and query",
        )
    ranking = ranking_of(goal)
    names = list(range(len(scene))) if keys is None else list(keys)
    tables, images = [], []
    for part in torch.split(torch.arange(len(scene)), batch):
        photos = scene.floats(part)
        first = None
        if start is not None:
            first = torch.from_numpy(start[part.numpy()]).to(scene.device).float().div(255)
        if surrogate is None:
            k = getattr(attack.config, "k", 50)
            limit = stop_rank if ingest is None else None
            objective = scene.objective(goal, part, limit, k=k)
        else:
            kind = Demotion if ranking.away else CosineToTarget
            with torch.no_grad():
                objective = kind(surrogate(scene.photos(part)))
        claim = attack.perturb(
            surrogate or scene.ready or scene.embedder,
            photos,
            objective,
            eps=eps,
            rng=rng,
            keys=[names[row] for row in part.tolist()],
            start=first,
        )
        attackers, targets = scene.rows("attackers", part), scene.rows("targets", part)
        originals = scene.attackers[part]
        judged = confirm(
            scene.embedder, scene.index, claim.images, originals,
            attackers=attackers, targets=targets, eps=eps, project=project, ingest=ingest,
            ranking=ranking,
        )  # fmt: skip
        clean = embed_pixels(scene.embedder, originals, scene.device, ingest=ingest)
        wanted = scene.index.vectors[targets]
        tables.append(
            pl.DataFrame(
                {
                    "attacker": attackers.cpu().numpy(),
                    "target": targets.cpu().numpy(),
                    "rank_before": ranking.ranks(scene.index, clean, targets, attackers)
                    .cpu()
                    .numpy(),
                    "rank_after": judged.ranks,
                    "cosine_before": (clean.double() * wanted.double()).sum(1).cpu().numpy(),
                    "cosine_after": judged.cosines,
                    "linf": judged.linf,
                    "l2": judged.l2,
                    "psnr": judged.psnr,
                    "ssim": judged.ssim,
                    "in_budget": judged.linf <= effective_eps(eps) + 1e-9,
                    "forwards": claim.forwards.cpu().numpy(),
                    "backwards": claim.backwards.cpu().numpy(),
                    "queries": claim.queries.cpu().numpy(),
                    "dead": claim.dead.cpu().numpy(),
                }
            )
        )
        images.append(judged.images)
        if progress is not None:
            progress(attack.name, int(part[-1]) + 1, len(scene))
    if not tables:
        raise DataError("there is no pair to attack")
    return Evaded(attack.name, eps, pl.concat(tables), np.concatenate(images), ranking)
