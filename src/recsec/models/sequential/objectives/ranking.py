"""What the objectives of sequences share: tokens to predict, and validation by NDCG@10."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist

from recsec.data.sequences import Batch, Split, Stage
from recsec.metrics import hits, ndcg, target_ranks
from recsec.models.base import mask_history
from recsec.models.sequential.objectives.losses import Seen, catalog_loss
from recsec.models.sequential.objectives.sampled import (
    DRAWN,
    Sampler,
    sampled_loss,
    why_sampled,
)
from recsec.models.trainer import Objective
from recsec.types import IntArray

__all__ = ["Ranked", "Ranking"]


VALIDATION_USERS = 2048

CELLS = 1 << 26
"""Scores that are held at once: 256 MB."""


class Ranked(Protocol):
    """What such an objective needs of the module that it trains."""

    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """See ``Recommender.scores``."""
        ...

    def item_table(self) -> Float[Tensor, "N1 D"]:
        """Output embeddings: scores are inner products with a representation; row 0 is padding."""
        ...


class Ranking(Objective):
    """What the objectives on a split share: the data, and validation by NDCG@10.

    The loss is the softmax over the catalog, or over a sample of a large one (``sampled``).
    Validation ranks the whole catalog for the validation item of at most 2,048 users, evenly
    spaced (all of them where there are fewer).
    """

    def __init__(self, model: Ranked, split: Split) -> None:
        super().__init__()
        self.model = model
        self.split = split
        self.trained = Split(split.train)
        large = why_sampled(len(split.catalog)) is not None
        self.sampler = Sampler(split.train.counts) if large else None

    @abstractmethod
    def tokens(self, batch: Any) -> tuple[Tensor, Tensor, Seen]:
        """What a batch asks: representations ``(T, D)``, wanted items ``(T, 1)``, and what each
        token has seen, which takes no part in its softmax.
        """

    def forward(self, batch: Any) -> Tensor:
        """Mean loss over the tokens of a batch."""
        encoded, wanted, seen = self.tokens(batch)
        if self.sampler is not None:
            drawn = self.sampler.draw(DRAWN, self.generator, encoded.device)
            table = self.model.item_table()
            return sampled_loss(encoded, table, wanted, drawn, seen=seen) / len(wanted)
        weights = torch.ones_like(wanted, dtype=torch.float32)
        table = self.model.item_table()
        return catalog_loss(encoded, table, wanted, weights, seen=seen) / len(wanted)

    def validate(self) -> dict[str, float]:
        """``ndcg@10`` and ``hr@10`` of the validation items, history excluded.

        ``train_ndcg@10`` is the same for the newest training item of an eighth of these users, who
        were trained on it: the distance between the two is the generalization gap.
        """
        count = len(self.split.full)
        users = np.unique(np.linspace(0, count - 1, min(count, VALIDATION_USERS)).astype(np.int64))
        found = self._shared("valid", self.split, users)
        known = self._shared("test", self.trained, users[::8])
        return {
            "ndcg@10": float(ndcg(found, 10).mean()),
            "hr@10": float(hits(found, 10).mean()),
            "train_ndcg@10": float(ndcg(known, 10).mean()),
        }

    def _shared(self, stage: Stage, split: Split, users: IntArray) -> IntArray:
        """Ranks ``(U,)``, of which each process of a distributed training finds its part."""
        rank, world = 0, 1
        if dist.is_available() and dist.is_initialized():
            rank, world = dist.get_rank(), dist.get_world_size()
        size = max(1, min(256, CELLS // (len(split.catalog) + 1)))
        mine = users[rank::world]
        ranks = [self._ranks(batch) for batch in split.batches(stage, size=size, users=mine)]
        own = np.concatenate([np.zeros(0, np.int64), *ranks])
        if world == 1:
            return own
        parts: list[Any] = [None] * world
        dist.all_gather_object(parts, own)
        whole = np.zeros(len(users), dtype=np.int64)
        for at, part in enumerate(parts):
            whole[at::world] = part
        return whole

    def _ranks(self, batch: Batch) -> IntArray:
        """Exact ranks ``(B,)`` of the targets of a batch."""
        scores = mask_history(self.model.scores(batch.histories), torch.from_numpy(batch.histories))
        return target_ranks(scores, torch.from_numpy(batch.targets)).numpy()
