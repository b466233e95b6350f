"""True answers for histories like people's, wrong ones for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from recsec.data.sequences import pad
from recsec.errors import ConfigError
from recsec.models.base import Recommender
from recsec.rng import Streams
from recsec.targets.guards.base import GuardConfig, Rescoring, Surroundings
from recsec.targets.guards.key import seed_of
from recsec.targets.guards.typical import RankLaw, own_ranks
from recsec.types import IntArray

__all__ = ["Misinform", "MisinformConfig"]

USERS = 4000
"""Most users whose histories are looked at, half of them cut at a random place.

Every other one fits the law, the rest the threshold.
"""


class MisinformConfig(GuardConfig):
    """Settings of ``Misinform``."""

    key: Path | None = Field(
        None, description="key file that decides what is wrong; null: known to all"
    )
    false_alarms: float = Field(
        0.01, gt=0, lt=1, description="share of honest histories that get a wrong answer"
    )


class Misinform(Rescoring):
    """Gives wrong lists to histories that no person would have.

    Each item of a history had a rank in the list that the recommender would have served before it.
    People choose at all ranks, and what is likely more often; a thief's policy takes items from the
    lists that he is served, or from the catalog whatever the history. Histories that speak for a
    policy get the right list with every item exchanged for another, by a secret permutation of the
    catalog: the lists agree with each other and with no truth, so a copy learns a world that does
    not exist; and who goes on from them looks less like a person, not more. Accounts play no role,
    so more of them do not help.

    Histories of a few items tell little and get true answers; so do histories of people that a
    thief has got hold of. The honest ones were trained on: users who came later look a little less
    likely. Costs a pass over the history and the ranks of its newest 50 items for each question.

    The permutation is one for all histories. Who knows it turns wrong lists back into right ones:
    without a key everybody can. Who does not may learn it, as a list just before suspicion and the
    one just after share most of their items; no such thief has been tried yet.

    Source: adaptive misinformation of Kariyappa & Qureshi, CVPR 2020, for classifiers of images;
    test and wrong answers are ours.

    Args:
        recommender: whose answers it guards.
        law: of honest and other histories.
        threshold: suspicion above which an answer is wrong, in nats.
        seed: of the permutation.
    """

    name = "misinform"
    config_class = MisinformConfig

    def __init__(
        self, recommender: Recommender, law: RankLaw, *, threshold: float, seed: int = 0
    ) -> None:
        self.recommender = recommender
        self.law = law
        self.threshold = threshold
        shuffled = Streams(seed).numpy("another world").permutation(len(recommender.catalog)) + 1
        self.other = torch.from_numpy(np.concatenate([[0], shuffled]))

    @classmethod
    def build(cls, config: MisinformConfig, surroundings: Surroundings) -> Self:
        """Fit to the training histories; see ``Guard.build``."""
        known = surroundings.train
        if known is None or len(known) < 2:
            raise ConfigError(
                "misinform needs histories of people, and so the data set",
                hint="name it: data = NAME in the target's file, or --data",
            )
        rng = Streams(0).numpy("misinform")
        users = rng.permutation(len(known))[:USERS]
        lengths = known.lengths[users]
        early = rng.random(len(users)) < 0.5
        ends = np.where(early, rng.integers(np.minimum(lengths, 2), lengths + 1), lengths)
        rows = pad(known[int(user)][:end] for user, end in zip(users, ends, strict=True))
        ranks = own_ranks(surroundings.recommender, rows)
        popular = known.items[rng.integers(0, len(known.items), ranks[::2].shape)]
        liked = own_ranks(surroundings.recommender, rows[::2], popular)
        law = RankLaw.fit(ranks[::2], liked, len(known.catalog))
        honest = law.suspicion(ranks[1::2])
        threshold = float(np.quantile(honest, 1 - config.false_alarms, method="higher"))
        seed = seed_of(config.key, "another world")
        return cls(surroundings.recommender, law, threshold=threshold, seed=seed)

    def suspected(self, histories: IntArray) -> IntArray:
        """Row numbers of histories ``(B, L)`` that no person would have."""
        suspicion = self.law.suspicion(own_ranks(self.recommender, histories))
        return np.flatnonzero(suspicion > self.threshold)

    def rescored(self, histories: IntArray, scores: Tensor) -> Tensor:
        """See ``Rescoring.rescored``."""
        rows = torch.from_numpy(self.suspected(histories))
        if len(rows) == 0:
            return scores
        known = scores[rows]
        wrong = known[:, self.other].masked_fill_(torch.isneginf(known), float("-inf"))
        return scores.index_copy(0, rows, wrong)
