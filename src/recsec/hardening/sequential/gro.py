"""GRO: train the target so that learning its lists leads a surrogate astray.

Source: Zhang et al., "Defense Against Model Extraction Attacks on Recommender Systems", WSDM 2024
(arXiv 2310.16335), and its corrected code of February 2024. A student of the same architecture is
trained on the target's lists all along. Where the student's loss would grow if place i of the list
held another item, the target is pushed to rank that item above the one it has there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.data.sequences import Split
from recsec.hardening.sequential.copies import LastKept, RecommenderHardening, begin, schedule
from recsec.models import ModelConfig, Training
from recsec.models.sequential.neural import NeuralRecommender
from recsec.models.sequential.objectives.losses import catalog_loss
from recsec.models.trainer import fit
from recsec.rng import Streams

__all__ = ["Gro", "GroConfig", "student_loss", "swap_loss", "swapped"]


class GroConfig(ModelConfig):
    """Settings of ``Gro``; defaults are the paper's, lambda that of ML-1M in the corrected code."""

    strength: float = Field(1.0, ge=0, description="lambda, weight of the swap loss")
    k: int = Field(100, gt=1, description="list length that the student learns from")
    rank_margin: float = Field(0.5, ge=0, description="m1 of the student's loss")
    negative_margin: float = Field(0.5, ge=0, description="m2 of the student's loss")
    swap_margin: float = Field(0.0, ge=0, description="margin of the swap loss")
    tokens: int = Field(512, gt=0, description="positions of a batch at which lists are compared")
    epochs: int = Field(10, gt=0, description="epochs with both models; the last one is kept")
    lr: float = Field(1e-3, gt=0)
    scratch: bool = Field(False, description="start from new weights, not from the given ones")


def student_loss(
    placed: Float[Tensor, "T K"],
    outside: Float[Tensor, "T K"],
    *,
    rank_margin: float,
    negative_margin: float,
) -> Float[Tensor, " T"]:
    """What a thief minimizes: the hinge losses of a list and of items outside it.

    Args:
        placed: the student's scores of the items of the list, in its order.
        outside: its scores of as many items outside.
    """
    steps = F.relu(placed[:, 1:] - placed[:, :-1] + rank_margin).mean(dim=1)
    return steps + F.relu(outside - placed + negative_margin).mean(dim=1)


def swapped(
    scores: Float[Tensor, "T N1"],
    lists: Int[Tensor, "T K"],
    outside: Int[Tensor, "T K"],
    *,
    rank_margin: float,
    negative_margin: float,
) -> Int[Tensor, "T K"]:
    """The swap matrix A' in closed form: the item that place i should hold, 0 for none.

    With A the 0/1 matrix of the list, the student's loss depends on ``c = A S`` only, so its
    gradient by ``A[i, j]`` is ``g_i S_j``, of rank one: the row's largest entry is the student's
    best item where ``g_i > 0``, its worst where ``g_i < 0``, and there is none where the hinges are
    flat. No K x N matrix is needed.

    Args:
        scores: of the student; what is not finite can not be chosen.
        lists: the target's lists.
        outside: the items that the student's loss sets against the list.
    """
    k = lists.shape[1]
    placed, other = scores.gather(1, lists), scores.gather(1, outside)
    pull = -(other - placed + negative_margin > 0).to(scores.dtype) / k
    steps = (placed[:, 1:] - placed[:, :-1] + rank_margin > 0).to(scores.dtype) / (k - 1)
    pull[:, :-1] -= steps
    pull[:, 1:] += steps
    real = torch.isfinite(scores)
    best = scores.masked_fill(~real, -torch.inf).argmax(dim=1, keepdim=True)
    worst = scores.masked_fill(~real, torch.inf).argmin(dim=1, keepdim=True)
    return torch.where(pull > 0, best, torch.where(pull < 0, worst, 0))


def swap_loss(
    scores: Float[Tensor, "T N1"],
    lists: Int[Tensor, "T K"],
    wanted: Int[Tensor, "T K"],
    *,
    margin: float,
) -> Float[Tensor, ""]:
    """Mean over places of ``max(0, S[a_i] - S[a'_i] + margin)`` of the target's scores S."""
    gap = scores.gather(1, lists) - scores.gather(1, wanted) + margin
    return torch.where(wanted > 0, F.relu(gap), 0).mean()


class _Together(LastKept):
    """Target and student in one objective, so that resuming covers both."""

    def __init__(
        self, target: NeuralRecommender, student: NeuralRecommender, split: Split, config: GroConfig
    ) -> None:
        super().__init__(target.objective(split))
        self.student = student.objective(split)
        self.config = config

    def epoch(self, rng: np.random.Generator) -> list[Any]:
        """The batches of the task, each with a seed for what is drawn there."""
        self.passed += 1
        batches = self.task.epoch(rng)
        seeds = rng.integers(2**62, size=len(batches))
        return list(zip(batches, seeds.tolist(), strict=True))

    def forward(self, batch: Any) -> Tensor:
        """``L_target + L_student + lambda L_swap``; each part moves its own model only."""
        items, seed = batch
        encoded, wanted, seen = self.task.tokens(items)
        table = self.task.model.item_table()
        weights = torch.ones_like(wanted, dtype=torch.float32)
        loss = catalog_loss(encoded, table, wanted, weights, seen=seen) / len(wanted)
        rng = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(encoded), generator=rng)[: self.config.tokens]
        places = chosen.to(encoded.device)
        hidden = self.student.tokens(items)[0][places]
        student = hidden.float() @ self.student.model.item_table().float().T
        target = encoded[places].float() @ table.float().T
        return loss + self._lists(target, student, seen, chosen, rng)

    def _lists(
        self, target: Tensor, student: Tensor, seen: Any, chosen: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The student's loss on the target's lists, and the swap loss."""
        config = self.config
        hidden = torch.zeros_like(target, dtype=torch.bool)
        hidden.scatter_(1, seen(chosen), True)
        hidden[:, 0] = True
        k = min(config.k, int((~hidden).sum(dim=1).min()) // 2)
        lists = target.detach().masked_fill(hidden, -torch.inf).topk(k, dim=1).indices
        free = (~hidden).float().scatter(1, lists, 0).cpu()
        outside = torch.multinomial(free, k, generator=rng).to(target.device)
        margins = {"rank_margin": config.rank_margin, "negative_margin": config.negative_margin}
        learned = student_loss(
            student.gather(1, lists), student.gather(1, outside), **margins
        ).mean()
        blind = student.detach().masked_fill(hidden, -torch.inf)
        wanted = swapped(blind, lists, outside, **margins)
        swap = swap_loss(target, lists, wanted, margin=config.swap_margin)
        return learned + config.strength * swap


class Gro(RecommenderHardening):
    """Target and student trained together with the swap loss; for every model of sequences.

    Departures: lists leave the history out, as served ones do; with models that are trained at
    every position the lists are compared at some of them; all items outside list and history are
    negatives alike.
    """

    name = "gro"
    config_class = GroConfig
    config: GroConfig

    def fit(
        self, model: NeuralRecommender, data: Split, *, seed: int, training: Training
    ) -> NeuralRecommender:
        """See ``Hardening.fit``."""
        streams = Streams(seed, ("gro",))
        target = begin(model, streams.torch("target"), scratch=self.config.scratch)
        student = begin(model, streams.torch("student"), scratch=True)
        together = _Together(target, student, data, self.config)
        how = schedule(model, epochs=self.config.epochs, lr=self.config.lr)
        fit(together, how, streams=streams, training=training)
        return target.cpu()
